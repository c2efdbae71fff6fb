"""The weights installed are the model's.

Property: for each column of each weight block there is a factor u > 0 with
|code - weight * u| <= 1/2 for every row, where a code of the largest magnitude may stand for more
(saturation), and a weight of 0 has the code 0.  Whatever scale the compiler chose, a column that
was rounded to the nearest code fulfils this with u = 1 / scale.

Argument: each row bounds u from below and above by (|code| -+ 1/2) / |weight|; there is such a u
if and only if the largest lower bound does not exceed the smallest upper bound.  So a code that is
off by one is found unless some other u explains the whole column as well, and then it is a
correct rounding for that u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.verification.blocks import Region
from anacc.verification.faults import Findings

TOLERANCE = 1e-3  # of a code: weights were scaled in floating point before they were rounded
HALF = 2.0**-10  # relative; two roundings to binary16
SMALLEST = 2.0**-24  # the spacing of binary16 at zero

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """For each column, the factors u that fit all its rows; empty where low > high.

    Attributes:
        low, high: the least and the largest of them.
        rounding: sum over the rows of |code - weight * u|, for the u for which it is largest.
    """

    low: Floats
    high: Floats
    rounding: Floats

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """Where there is none."""
        return np.asarray(self.low > self.high * (1 + 1e-12))


def factors(codes: npt.NDArray[np.int8], weights: Floats, largest: int) -> Interval:
    """The factors that explain the codes of each column.

    Args:
        codes: shape (rows, columns).
        weights: the model's, likewise.
        largest: the code of the largest conductance.
    """
    signed = np.where(weights < 0, -codes.astype(np.float64), codes.astype(np.float64))
    magnitude = np.abs(weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = (signed - 0.5 - TOLERANCE) / magnitude
        high = (signed + 0.5 + TOLERANCE) / magnitude
    high = np.where(signed >= largest, np.inf, high)
    nothing = magnitude == 0
    low = np.where(nothing, np.where(codes == 0, 0.0, np.inf), low)
    high = np.where(nothing, np.inf, high)
    least = np.maximum(low.max(axis=0, initial=0.0), 0.0)
    most = high.min(axis=0, initial=np.inf)
    # A sum of magnitudes is convex in u: it is largest at an end.
    ends = least, np.where(most < np.inf, most, np.where(least < np.inf, least, 0.0))
    sums = [np.abs(signed - magnitude * np.minimum(u, 2.0**60)).sum(axis=0) for u in ends]
    return Interval(least, most, np.maximum(*sums))


def check_codes(
    image: Image,
    regions: dict[int, Region],
    channels: dict[str, Floats],
    findings: Findings,
) -> dict[int, Interval]:
    """Compare all weight blocks with the model.

    Args:
        image: the program.
        regions: what its blocks hold.
        channels: the range of each channel of a node's operand, relative to the others, by node.
        findings: where faults go.

    Returns:
        The factors of each block that could be compared.
    """
    largest = int(image.manifest.target["crossbar"]["g_max"]["value"])
    found: dict[int, Interval] = {}
    checked = 0
    for number, region in regions.items():
        if region.matrix is None:
            continue
        weights = region.weights()
        codes = np.asarray(image.weights[number])
        shape = (len(region.rows) * region.copies, len(region.columns))
        if codes.shape != shape:
            findings.fault(
                "weights",
                f"weight block {number} of layer `{region.layer}` has the shape {codes.shape}, but "
                f"stands for {region.copies} times a region of {weights.shape}",
            )
            continue
        copies = codes.reshape(region.copies, *weights.shape)
        if (copies != copies[0]).any():
            findings.fault(
                "weights",
                f"weight block {number} of layer `{region.layer}`: the {region.copies} copies of "
                "its rows differ",
            )
        interval = factors(copies[0], weights, largest)
        if interval.empty.any() and region.node in channels:
            scaled = weights * _along_rows(region, channels[region.node])
            interval = factors(copies[0], scaled, largest)
        if interval.empty.any():
            column = int(np.flatnonzero(interval.empty)[0])
            findings.fault(
                "weights",
                f"weight block {number} of layer `{region.layer}`: column "
                f"{int(region.columns[column])} is not the model's to within half a code, whatever "
                f"its scale ({int(interval.empty.sum())} of {len(interval.empty)} columns)",
            )
        else:
            found[number] = interval
        checked += codes.size
    findings.figures["weights"] = {"codes": checked, "blocks": len(found)}
    return found


def _along_rows(region: Region, ranges: Floats) -> Floats:
    """The range of the channel that each row of a region reads, shape (rows, 1)."""
    if region.matrix is None:
        raise ValueError("a region without a matrix")
    groups = region.matrix.weight.shape[0]
    height = region.matrix.weight.shape[1]
    inside = len(ranges) // groups
    channel = region.rows // height * inside + region.rows % height % inside
    return np.asarray(ranges[channel][:, np.newaxis])
