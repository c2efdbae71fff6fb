"""The weights installed are the model's.

Property: for each column of each weight block there is a factor u > 0 with
|code - weight * u| <= 1/2 for every row, where a code of the largest magnitude may stand for more
(saturation), and a weight of 0 has the code 0.  Whatever scale the compiler chose, a column that
was rounded to the nearest code fulfils this with u = 1 / scale.

Argument: each row bounds u from below and above by (|code| -+ 1/2) / |weight|; there is such a u
if and only if the largest lower bound does not exceed the smallest upper bound.  So a code that is
off by one is found unless some other u explains the whole column as well, and then it is a
correct rounding for that u.

What the LDPU multiplies a column's counts by must fit: scale * (counts per charge) * u * copies is
the real weight of a column in units of the result, so it is equal for all row tiles of a column
(their intervals of u, widened by the rounding of binary16, have a common point), and over the
columns of a layer it goes like the factors that the model has behind the product (batch norm,
`Mul`) and the ranges that the file states for the channels of operand and result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.program.model import Const, Slice
from anacc.verification.blocks import Region
from anacc.verification.faults import Findings
from anacc.verification.structure import Step, integer, named, operands, steps

TOLERANCE = 1e-3  # of a code: weights were scaled in floating point before they were rounded
HALF = 2.0**-10  # relative; two roundings to binary16
SMALLEST = 2.0**-24  # the spacing of binary16 at zero

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """For each column, the factors u that fit all its rows; empty where low > high."""

    low: Floats
    high: Floats

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
    return Interval(np.maximum(low.max(axis=0, initial=0.0), 0.0), high.min(axis=0, initial=np.inf))


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


@dataclass(frozen=True)
class Weighing:
    """What one column of a tile counts for in the result: low to high, for each column."""

    stream: int
    low: Floats
    high: Floats


def weighings(
    image: Image, regions: dict[int, Region], intervals: dict[int, Interval]
) -> dict[int, Weighing]:
    """For each compared block, real weight times this = its share of the LDPU's result."""
    found: dict[int, Weighing] = {}
    for stream_number, stream in enumerate(image.code.streams):
        flat = list(steps(stream.body))
        blocks = [integer(step.instr, "weight") for step in flat if step.instr.op == "program"]
        for place, step in enumerate(flat):
            if step.instr.op != "mvm" or len(blocks) != 1 or blocks[0] not in intervals:
                continue
            adc = image.code.adcs[integer(step.instr, "adc")]
            ratio = adc.multiplier / 2**adc.shift * regions[blocks[0]].copies
            scale = _scale(image, step, flat[place + 1 :])
            interval = intervals[blocks[0]]
            if scale is None or len(scale) not in (1, len(interval.low)):
                continue
            size = np.abs(scale)
            rounding = size * HALF + SMALLEST
            low = np.maximum(size - rounding, 0.0) * ratio * interval.low
            high = np.where(scale != 0, (size + rounding) * ratio * interval.high, np.inf)
            found[blocks[0]] = Weighing(stream_number, low, high)
    return found


def _scale(image: Image, product: Step, behind: list[Step]) -> Floats | None:
    """The constants that the LDPU multiplies the counts of a product by."""
    counts = operands(product.instr)["dst"]
    for step in behind:
        if step.instr.op not in ("scale", "affine"):
            continue
        given = operands(step.instr)
        source, constant = given["src"], given["scale"]
        if (
            isinstance(source, Slice)
            and isinstance(counts, Slice)
            and source.register == counts.register
            and isinstance(constant, Const)
            and not any(constant.strides)
        ):
            first = constant.base
            return image.constants16[first : first + constant.length].astype(np.float64)
    return None


def check_scales(
    image: Image,
    regions: dict[int, Region],
    found: dict[int, Weighing],
    behind: dict[str, Floats],
    findings: Findings,
) -> None:
    """Compare what row tiles, and what columns of a layer, count for in the result.

    Args:
        image: the program.
        regions: what its blocks hold.
        found: of `weighings`.
        behind: the factor of each column behind a layer's product, by node.
        findings: where faults go.
    """
    chains: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for number in found:
        region = regions[number]
        kind = 0 if region.matrix is None else _input_kind(region)
        key = f"{region.layer} {kind}", (*region.columns.tolist(),)
        chains.setdefault(key, []).append(number)
    layers: dict[str, list[tuple[Floats, Floats, Floats]]] = {}
    for (_, columns), numbers in chains.items():
        low = np.max([found[number].low for number in numbers], axis=0)
        high = np.min([found[number].high for number in numbers], axis=0)
        wrong = low > high
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            worst = max(numbers, key=lambda number: float(found[number].low[where]))
            findings.fault(
                "scales",
                f"{named(image, found[worst].stream)}: the LDPU's scale of column "
                f"{columns[where]} does not fit those of the other row tiles of layer "
                f"`{regions[worst].layer}`",
            )
            continue
        node = regions[numbers[0]].node
        if node in behind:
            factor = np.abs(behind[node][np.asarray(columns)])
            used = (factor > 0) & np.isfinite(high)
            layers.setdefault(node, []).append(
                (low[used] / factor[used], high[used] / factor[used], np.asarray(columns)[used])
            )
    for node, each in layers.items():
        low, high = (np.concatenate([part[i] for part in each]) for i in range(2))
        columns_ = np.concatenate([part[2] for part in each])
        if len(low) and low.max() > high.min() * (1 + 4 * HALF):
            middle = (low + high) / 2
            off = np.abs(np.log(np.maximum(middle, 1e-300) / np.median(middle)))
            findings.fault(
                "scales",
                f"layer `{node}`: the LDPU's scale of column {int(columns_[off.argmax()])} does "
                "not fit its weights and those of the other columns, with what the model has "
                "behind the product",
            )
    findings.figures["scales"] = {"chains": len(chains), "layers": len(layers)}


def _input_kind(region: Region) -> int:
    """Rows that a recurrent layer's input drives have another scale than those of its state."""
    if region.matrix is None or not region.matrix.inputs:
        return 0
    return int(region.rows[0] % region.matrix.weight.shape[1] >= region.matrix.inputs)
