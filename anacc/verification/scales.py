"""What the LDPUs multiply and add is what the model and the ranges of the tensors ask for.

Property: with S the real value of a code (times the range of its channel, where channels have
ranges of their own) of operand, result and residual, as the table of tensors states them, each
column of each row tile fulfils
    coefficient of its counts * counts per charge * copies * u = S_operand * factor / S_result,
where u is a factor that explains the column's codes (`codes`) and `factor` what the model has
behind the product; the coefficient of a residual is S_residual / S_result; and the constant is the
model's offset / S_result.  All to within the roundings to binary16.  Where a border states the
scale of a tensor too, it is the same.

Argument: coefficients are those of the linear form that the LDPU computes (`forms`), multiplied
along the chain of partial sums.  Where the table does not state an S, row tiles are compared with
each other and columns with each other, for it then is the same unknown number.  A program that was
compiled with corrections of its offsets (the default) has others than the model's by what
calibration data show; these are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.verification.blocks import Region
from anacc.verification.codes import Interval
from anacc.verification.coverage import Tile
from anacc.verification.faults import Findings
from anacc.verification.forms import ONE, Floats, Form, Results, results
from anacc.verification.layers import Surroundings
from anacc.verification.structure import Ends, integer, named, steps

ROUNDING = 2.0**-9  # relative; a few roundings to binary16
SMALLEST = 2.0**-24  # the spacing of binary16 at zero


@dataclass(frozen=True)
class Scales:
    """The real value of a code of tensors.

    Attributes:
        scale: of each tensor that the program states.
        channels: of some, the range of each of their channels (features) relative to that.
        channels_of: the channels (of the program) that hold each tensor.
        exact_offsets: whether offsets are the model's own.
        zeros: tensors of which a code other than 0 stands for 0.
    """

    scale: dict[str, float]
    channels: dict[str, Floats]
    channels_of: dict[str, frozenset[int]]
    exact_offsets: bool
    zeros: frozenset[str]


@dataclass(frozen=True)
class _Chain:
    """A tile within its chain of partial sums.

    Attributes:
        tile: the tile.
        block: its weight block.
        made: what its LDPU computes.
        form: of what it gives.
        behind: what the result of the chain has of one unit of that.
        partial: channels that bring it partial sums of its layer.
    """

    tile: Tile
    block: int
    made: Results
    form: Form
    behind: Floats
    partial: frozenset[int]


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
    chains = _chains(image, ends, tiles, regions)
    layers: dict[str, list[_Chain]] = {}
    for chain in chains:
        layers.setdefault(regions[chain.block].layer, []).append(chain)
    absolute = compared = 0
    for name, members in layers.items():
        region = regions[members[0].block]
        surrounding = around.get(region.node)
        expected = None
        if (
            surrounding is not None
            and region.matrix is not None
            and _gives(members, scales.channels_of.get(surrounding.result, frozenset()))
        ):
            expected = _expected(region, surrounding, scales)
            _check_sums(image, members, regions, surrounding, scales, findings)
        absolute += expected is not None
        shares = [
            (chain, regions[chain.block], *_share(image, chain, region, intervals[chain.block]))
            for chain in members
            if chain.block in intervals
            for region in [regions[chain.block]]
        ]
        compared += len(shares)
        factor = surrounding.factor if surrounding is not None else None
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


def _chains(
    image: Image, ends: Ends, tiles: list[Tile], regions: dict[int, Region]
) -> list[_Chain]:
    """All tiles whose LDPU is understood, from the results of the chains backwards."""
    found: dict[int, tuple[Tile, int, Results]] = {}
    for tile in tiles:
        body = image.code.streams[tile.stream].body
        blocks = [integer(s.instr, "weight") for s in steps(body) if s.instr.op == "program"]
        made = results(image, tile.stream, blocks[0])
        if made is not None and blocks[0] in regions:
            found[tile.stream] = tile, blocks[0], made
    chains: dict[int, _Chain] = {}

    def chain(stream: int, depth: int) -> _Chain | None:
        if stream in chains:
            return chains[stream]
        tile, block, made = found[stream]
        partial = frozenset(
            channel
            for channel in tile.adds
            if ends.writer[channel] in found and found[ends.writer[channel]][0].layer == tile.layer
        )
        for channel, form in made.forms.items():
            readers = [r for r in ends.readers[channel] if r in found]
            same = [r for r in readers if found[r][0].layer == tile.layer]
            if not same or image.code.channels[channel].format.value != "f16":
                chains[stream] = _Chain(tile, block, made, form, np.ones(1), partial)
                return chains[stream]
            behind = chain(same[0], depth - 1) if depth else None
            if behind is not None and ("channel", channel) in behind.form:
                factor = behind.form["channel", channel] * behind.behind
                chains[stream] = _Chain(tile, block, made, form, factor, partial)
                return chains[stream]
        return None

    for stream in found:
        chain(stream, len(found))
    return [chains[stream] for stream in sorted(chains)]


def _gives(members: list[_Chain], channels: frozenset[int]) -> bool:
    """Whether the results of a layer are what these channels hold."""
    last = [chain for chain in members if (chain.behind == 1).all()]
    return any(channel in channels for chain in last for channel in chain.made.forms)


def _share(
    image: Image, chain: _Chain, region: Region, interval: Interval
) -> tuple[Floats, Floats]:
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
    shares: list[tuple[_Chain, Region, Floats, Floats]],
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
    members: list[_Chain],
    regions: dict[int, Region],
    around: Surroundings,
    scales: Scales,
    findings: Findings,
) -> None:
    """Compare what is added to the products: the residual and the offset."""
    result = scales.scale.get(around.result)
    residual = scales.scale.get(around.residual)
    offsets: dict[int, float] = {}
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
        offset = np.broadcast_to(chain.form.get(ONE, np.zeros(1)) * chain.behind, ranges.shape)
        for column, value in zip(region.columns.tolist(), offset, strict=True):
            offsets[column] = offsets.get(column, 0.0) + float(value)
    if not result or not scales.exact_offsets or {around.operand, around.result} & scales.zeros:
        return
    ranges = _ranges(scales, around.result, len(around.factor))
    for column, value in sorted(offsets.items()):
        wanted = around.offset[column] / (result * ranges[column])
        if abs(value - wanted) > ROUNDING * abs(wanted) + 2.0**-10:
            findings.fault(
                "scales",
                f"layer `{members[0].tile.layer}`: column {column} has the offset "
                f"{value:.5g} in codes of the result, the model {wanted:.5g}",
            )
            return
