"""What the LDPUs multiply and add is what the model and the ranges of the tensors ask for.

Property: with S the real value of a code (times the range of its channel, where channels have
ranges of their own) of operand, result and residual, as the table of tensors states them, each
column of each row tile fulfils
    coefficient of its counts * counts per charge * copies * u = S_operand * factor / S_result,
where u is a factor that explains the column's codes (`codes`) and `factor` what the model has
behind the product; the coefficient of a residual is S_residual / S_result; and the constants are
those of `offsets`.  All to within the roundings to binary16.  Where a border states the scale of a
tensor too, it is the same.

Argument: coefficients are those of the linear form that the LDPU computes (`forms`), multiplied
along the chain of partial sums.  Where the table does not state an S, row tiles are compared with
each other and columns with each other, for it then is the same unknown number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.verification.blocks import Region
from anacc.verification.chains import Chain, chains
from anacc.verification.codes import Interval
from anacc.verification.coverage import Tile
from anacc.verification.faults import Findings
from anacc.verification.forms import Floats
from anacc.verification.layers import Surroundings
from anacc.verification.offsets import check_offsets
from anacc.verification.partial_sums import PartialSums
from anacc.verification.structure import Ends, named

ROUNDING = 2.0**-9  # relative; a few roundings to binary16
SMALLEST = 2.0**-24  # the spacing of binary16 at zero


@dataclass(frozen=True)
class Scales:
    """The real value of a code of tensors.

    Attributes:
        scale: of each tensor that the program states.
        channels: of some, the range of each of their channels (features) relative to that.
        channels_of: the channels (of the program) that hold each tensor.
        zeros: tensors of which a code other than 0 stands for 0.
    """

    scale: dict[str, float]
    channels: dict[str, Floats]
    channels_of: dict[str, frozenset[int]]
    zeros: frozenset[str]


def check_scales(
    image: Image,
    ends: Ends,
    tiles: list[Tile],
    regions: dict[int, Region],
    intervals: dict[int, Interval],
    around: dict[str, Surroundings],
    scales: Scales,
    findings: Findings,
) -> None:
    """Check the constants of all layers.

    Args:
        image: the program.
        ends: of its channels.
        tiles: its tiles.
        regions: what its blocks hold.
        intervals: the factors that explain their codes.
        around: of each node with a matrix, what surrounds its product.
        scales: of tensors.
        findings: where faults go.
    """
    _check_borders(image, scales, findings)
    sums = PartialSums(image, ends)
    found = chains(image, sums, tiles, regions)
    layers: dict[str, list[Chain]] = {}
    for chain in found:
        layers.setdefault(regions[chain.block].layer, []).append(chain)
    absolute = compared = 0
    for name, members in layers.items():
        region = regions[members[0].block]
        surrounding = around.get(region.node)
        expected = None
        if (
            surrounding is not None
            and region.matrix is not None
            and _gives(members, sums, scales.channels_of.get(surrounding.result, frozenset()))
        ):
            expected = _expected(region, surrounding, scales)
            _check_sums(image, members, regions, surrounding, scales, findings)
            if not {surrounding.operand, surrounding.result} & scales.zeros:
                check_offsets(
                    image,
                    members,
                    regions,
                    intervals,
                    _offsets(surrounding, scales),
                    findings,
                )
        absolute += expected is not None
        shares = [
            (chain, regions[chain.block], *_share(image, chain, region, intervals[chain.block]))
            for chain in members
            if chain.block in intervals
            for region in [regions[chain.block]]
        ]
        compared += len(shares)
        factor = None
        if surrounding is not None and scales.channels.keys().isdisjoint(
            (surrounding.operand, surrounding.result)
        ):
            factor = surrounding.factor
        _check_shares(image, name, shares, expected, factor, findings)
    findings.figures["scales"] = {"tiles": compared, "layers": absolute}


def _check_borders(image: Image, scales: Scales, findings: Findings) -> None:
    """The scale of a tensor is the same at its border and in the table of tensors."""
    for border in image.manifest.borders:
        if image.code.channels[border.channel].format.value == "tensor" or border.dtype not in (
            "float16",
            "float32",
            "float64",
        ):
            continue  # a border of integers has their unit
        stated = scales.scale.get(border.name)
        if stated is not None and abs(border.scale / stated - 1) > ROUNDING:
            findings.fault(
                "scales",
                f"tensor `{border.name}` has the scale {border.scale:.6g} at its border, but "
                f"{stated:.6g} in the table of tensors",
            )


def _gives(members: list[Chain], sums: PartialSums, channels: frozenset[int]) -> bool:
    """Whether the results of a layer are what these channels hold, merged perhaps from copies."""
    channels = channels.union(*(sums.sources(channel) for channel in channels))
    return any(
        channel in channels for chain in members if chain.is_last for channel in chain.made.forms
    )


def _share(image: Image, chain: Chain, region: Region, interval: Interval) -> tuple[Floats, Floats]:
    """What a real weight of 1 counts for in the result: low to high, for each column."""
    adc = image.code.adcs[chain.made.adc]
    ratio = adc.multiplier / 2**adc.shift * region.copies
    own = np.abs(chain.form.get(("counts", chain.block), np.zeros(1)))
    size = own * np.abs(chain.behind)
    slack = size * ROUNDING + SMALLEST * np.abs(chain.behind)
    low = np.maximum(size - slack, 0.0) * ratio * interval.low
    high = np.where(interval.high < np.inf, (size + slack) * ratio * interval.high, np.inf)
    shape = interval.low.shape
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)


def _expected(region: Region, around: Surroundings, scales: Scales) -> Floats | None:
    """S_operand * factor / S_result of each column of the matrix, or None."""
    operand, result = scales.scale.get(around.operand), scales.scale.get(around.result)
    matrix = region.matrix
    if operand is None or result is None or matrix is None or matrix.inputs:
        return None
    ratio = operand / result * np.abs(around.factor)
    ranges = scales.channels.get(around.operand)
    if ranges is not None and matrix.weight.shape[0] == len(ranges):
        # Depthwise: a column reads one channel.  Else ranges are part of the rows' weights.
        ratio = ratio * np.repeat(ranges, matrix.weight.shape[2])
    return ratio / _ranges(scales, around.result, matrix.columns)


def _ranges(scales: Scales, tensor: str, columns: int) -> Floats:
    """The ranges of the channels of a result."""
    found = scales.channels.get(tensor)
    return found if found is not None and len(found) == columns else np.ones(columns)


def _check_shares(
    image: Image,
    name: str,
    shares: list[tuple[Chain, Region, Floats, Floats]],
    expected: Floats | None,
    factor: Floats | None,
    findings: Findings,
) -> None:
    """Compare the shares of a layer's columns with what is expected, or with each other."""
    if expected is not None:
        for chain, region, low, high in shares:
            wanted = expected[region.columns]
            wrong = (low > wanted) | (high < wanted)
            # A column that counts for nothing may be rounded to zero.
            wrong &= wanted > 0
            if wrong.any():
                column = int(np.flatnonzero(wrong)[0])
                findings.fault(
                    "scales",
                    f"{named(image, chain.tile.stream)}: the LDPU counts column "
                    f"{int(region.columns[column])} {low[column] / wanted[column]:.4g} times "
                    f"({int(wrong.sum())} of {len(wrong)} columns are wrong)",
                )
        return
    common: dict[tuple[bool, int], tuple[float, float]] = {}
    for chain, region, low, high in shares:
        for column, least, most in zip(region.columns.tolist(), low, high, strict=True):
            scale = 1.0 if factor is None else abs(float(factor[column]))
            if scale == 0 or most == np.inf:
                continue
            key = _is_state(region), column if factor is None else -1
            before = common.get(key, (0.0, np.inf))
            after = max(before[0], least / scale), min(before[1], most / scale)
            common[key] = after
            if after[0] > after[1]:
                findings.fault(
                    "scales",
                    f"{named(image, chain.tile.stream)}: the LDPU's scale of column {column} does "
                    f"not fit those of the other tiles of layer `{name}`",
                )
                return


def _is_state(region: Region) -> bool:
    """Whether the state of a recurrent layer drives a region: its scale is not the input's."""
    matrix = region.matrix
    return bool(
        matrix is not None
        and matrix.inputs
        and region.rows[0] % matrix.weight.shape[1] >= matrix.inputs
    )


def _check_sums(
    image: Image,
    members: list[Chain],
    regions: dict[int, Region],
    around: Surroundings,
    scales: Scales,
    findings: Findings,
) -> None:
    """Compare what is added to the products: the residual and the offset."""
    result = scales.scale.get(around.result)
    residual = scales.scale.get(around.residual)
    for chain in members:
        region = regions[chain.block]
        ranges = _ranges(scales, around.result, len(around.factor))[region.columns]
        for source, factor in chain.form.items():
            if source[0] == "channel" and source[1] not in chain.partial and result and residual:
                if around.residual in scales.channels:
                    continue
                found = np.broadcast_to(factor, ranges.shape) * ranges * result / residual
                if (np.abs(found - 1) > ROUNDING).any():
                    findings.fault(
                        "scales",
                        f"{named(image, chain.tile.stream)} adds `{around.residual}` "
                        f"{float(found[0]):.4g} times, not once",
                    )


def _offsets(around: Surroundings, scales: Scales) -> Floats | None:
    """The model's offset of each column in codes of the result, or None."""
    result = scales.scale.get(around.result)
    if not result:
        return None
    return np.asarray(around.offset / (result * _ranges(scales, around.result, len(around.offset))))
