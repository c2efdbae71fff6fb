"""The constants that the LDPUs add are the model's, but for stated corrections that are small.

Property: the constant in a result, in its codes, is the model's offset plus what the program states
to have added to it, to within the roundings to binary16.  What is stated, the mean error of the
crossbars on calibration data, is no larger than their error can be.

Argument: let a column have the codes k[r] for the weights w[r], and |k[r] - u * w[r]| sum to R.
An input code is at most X = 127, and half a code from its value.  The charge of one copy of the
rows is then wrong by at most X * R + sum |k[r]| / 2 + R / 2.  The converter counts `ratio` for each
unit of charge; it rounds each of its one or two readings to half a count, and what exceeds its
maximum is lost: at most copies * X * sum |k[r]| * ratio - maximum.  Errors of row tiles add up.
A correction that is larger than what rounding explains is told, for values must then clip, which
only calibration data show.  Inputs beyond their range are not in the bound; it is wide enough for
them, for hardly ever do all inputs of a column reach X, and all errors have one sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anacc.program.image import Image
from anacc.verification.blocks import Region
from anacc.verification.chains import Chain
from anacc.verification.codes import Interval
from anacc.verification.faults import Findings
from anacc.verification.forms import Floats

ROUNDING = 2.0**-9  # relative; a few roundings to binary16
SMALL = 2.0**-10  # codes of the result
LARGEST = 127  # code of an input


def check_offsets(
    image: Image,
    members: Sequence[Chain],
    regions: Mapping[int, Region],
    intervals: Mapping[int, Interval],
    offsets: Floats | None,
    findings: Findings,
) -> None:
    """Check the offsets of a layer.

    Args:
        image: the program.
        members: the tiles of the layer.
        regions: what weight blocks hold.
        intervals: the factors that explain their codes.
        offsets: the model's of each column of the layer in codes of the result, or None.
        findings: where faults go.
    """
    if offsets is None:
        return
    stated = np.zeros(len(offsets))
    for block in {chain.block for chain in members}:
        given = image.origin["weights"][block].get("correction")
        if given:
            stated[regions[block].columns] += given
    rounding, clipping = _largest_errors(image, members, regions, intervals, len(offsets))
    for chain in members:
        if not chain.is_last:
            continue
        columns = regions[chain.block].columns
        wanted = (offsets + stated)[columns]
        slack = ROUNDING * (np.abs(offsets) + np.abs(stated))[columns] + SMALL
        wrong = np.abs(chain.offset - wanted) > slack
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            column = int(columns[place])
            added = f" and {stated[column]:.5g} for errors" if stated[column] else ""
            findings.fault(
                "scales",
                f"layer `{chain.tile.layer}`: column {column} has the offset "
                f"{chain.offset[place]:.5g} in codes of the result, the model "
                f"{offsets[column]:.5g}{added}",
            )
            break
    layer = members[0].tile.layer
    excess = np.abs(stated) - SMALL - (1 + ROUNDING) * rounding
    if (excess > 0).any():
        column = int(np.argmax(excess))
        if (excess > clipping).any():
            column = int(np.argmax(excess - clipping))
        told = f"layer `{layer}`: the correction of column {column} is {stated[column]:.5g} codes"
        if excess[column] > clipping[column]:
            most = rounding[column] + clipping[column]
            findings.fault("scales", f"{told}, but its crossbars are wrong by {most:.5g} at most")
        else:
            findings.unproven.append(
                f"{told}, more than the {rounding[column]:.5g} that rounding explains: values must "
                "clip, which only calibration data show"
            )
    figures = findings.figures.setdefault("offsets", {"layers": 0, "largest_correction": 0.0})
    figures["layers"] += 1
    figures["largest_correction"] = max(
        figures["largest_correction"], float(np.abs(stated).max(initial=0.0))
    )


def _largest_errors(
    image: Image,
    members: Sequence[Chain],
    regions: Mapping[int, Region],
    intervals: Mapping[int, Interval],
    columns: int,
) -> tuple[Floats, Floats]:
    """By how much each column of a layer can be wrong, in codes of the result: because something is
    rounded, and because a converter clips."""
    rounding, clipping = np.zeros(columns), np.zeros(columns)
    done: set[int] = set()  # copies of a layer make the same errors
    for chain in members:
        if chain.block in done:
            continue
        done.add(chain.block)
        region, interval = regions[chain.block], intervals.get(chain.block)
        if interval is None:
            rounding[region.columns] = np.inf
            continue
        adc = image.code.adcs[chain.made.adc]
        ratio = adc.multiplier / 2**adc.shift
        codes = np.abs(np.asarray(image.weights[chain.block], np.int64)).sum(axis=0)
        charge = region.copies * (LARGEST + 0.5) * interval.rounding + codes / 2
        readings = 2 if adc.phases == 4 else 1
        clipped = np.maximum(LARGEST * codes * ratio - adc.maximum, 0.0)
        factor = np.abs(chain.form.get(("counts", chain.block), np.zeros(1)) * chain.behind)
        rounding[region.columns] += (charge * ratio + readings / 2) * factor
        clipping[region.columns] += clipped * factor
    return rounding, clipping
