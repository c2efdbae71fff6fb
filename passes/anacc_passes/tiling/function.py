"""The table of a `function`: its samples and range in the units of operand and result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.errors import IrError
from anacc.ir import Op
from anacc.targets import Target
from anacc_passes.binary16 import LARGEST, headroom
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tables import range_of

_LEAST = float(np.finfo(np.float16).tiny)  # the least normal number


@dataclass(frozen=True)
class Lookup:
    """y = table(scale * x + offset), x in units of the operand and y in those of the result.

    Attributes:
        scale: a power of two.
        samples: shape (n,), binary16.
        limit: the table's; a binary16 number.
    """

    scale: float
    offset: float
    samples: npt.NDArray[np.float16]
    limit: float
    odd: bool


def lookup(op: Op, target: Target, operand: float, result: float) -> Lookup:
    """The table of an op whose operand and result have the given scales.

    Raises:
        IrError: if the target has no tables, or the function is not finite on its range: partition
            and tabulate have let no such op pass.
    """
    table = target.gdpu.function_table
    if table is None:
        raise IrError(f"op `{op.kind}`: the target has no general tables")
    steps, edge = op.nested("steps"), LARGEST_CODE * operand
    where = range_of(steps, op.number("low", -edge), op.number("high", edge))
    # Where the operand's unit is far too fine for the range, count in a larger one.
    unit = operand * headroom((abs(where.centre) + 2 * where.half) / operand)
    centre = float(np.float16(where.centre / unit))
    reach = max(where.half / unit + abs(where.centre / unit - centre), _LEAST)
    limit = np.float16(reach)
    if float(limit) < reach:
        limit = np.nextafter(limit, np.float16(np.inf))
    exact = type(where)(centre * unit, float(limit) * unit, where.odd, where.low, where.high)
    samples = exact.samples(steps, table.segments.value) / result
    if not np.isfinite(samples).all():
        raise IrError(f"op `{op.kind}`: its function is not finite on its range")
    lowest = 0.0 if op.attributes.get("nonnegative") is True else -LARGEST
    held = np.clip(samples, lowest, LARGEST).astype(np.float16)
    return Lookup(operand / unit, 0.0 - centre, held, float(limit), where.odd)
