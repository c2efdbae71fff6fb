"""What saturating to the integers of a quantised model does that the chip does not do anyway."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from anacc.ir import Op
from anacc_passes.formats import MOVES
from anacc_passes.grids import Grid, symmetric
from anacc_passes.ranges import LARGEST_CODE

Bounds = tuple[float, float]

LARGEST = float(np.finfo(np.float32).max)
EVERYTHING: Bounds = (-math.inf, math.inf)

_TAKE_CODES = {"conv", "linear", "average_pool"}
_LDPU_NEXT = {"affine", "add", "relu", "clamp"}
_PASS_ON = (*MOVES, "max_pool", "identity", "quantise", "dequantise")
_ROUNDING = 1e-6  # of a range: bounds that differ by less are the same


def bounds_of(op: Op, operands: Sequence[Bounds]) -> Bounds:
    """What the result of an op lies in, given what its operands lie in."""
    if op.kind == "sigmoid":
        return 0.0, 1.0
    if op.kind == "tanh":
        return -1.0, 1.0
    if op.kind not in ("relu", "clamp", "max_pool", "average_pool", "identity", *MOVES):
        return EVERYTHING
    low, high = min(b[0] for b in operands), max(b[1] for b in operands)
    if op.kind == "relu":
        return max(low, 0.0), max(high, 0.0)
    if op.kind == "clamp":
        bounds = op.number("low"), op.number("high")
        return min(max(low, bounds[0]), bounds[1]), max(min(high, bounds[1]), bounds[0])
    if op.kind in ("pad", "average_pool"):
        value = op.number("value")  # padding of a pooling counts as 0, if it counts
        return min(low, value), max(high, value)
    return low, high


def readers(consumers: Mapping[str, list[Op]], returned: Collection[str], name: str) -> set[str]:
    """The kinds of the ops that take a value, through all that only moves it.

    Args:
        consumers: of every value.
        returned: values that the model returns, which count as the kind `output`.
        name: the value.
    """
    found = {"output"} if name in returned else set()
    for op in consumers[name]:
        if op.kind in _PASS_ON:
            found |= readers(consumers, returned, op.results[0])
        else:
            found.add(op.kind)
    return found


def inside(grid: Grid, known: Bounds) -> bool:
    """Whether saturating to a grid changes nothing."""
    margin = _ROUNDING * (grid.high - grid.low)
    return known[0] >= grid.low - margin and known[1] <= grid.high + margin


def beyond(
    grid: Grid, known: Bounds, takers: set[str], held: bool, own_codes: bool
) -> tuple[float | None, float | None]:
    """The bounds of a grid, low and high, that a clamp must keep; None: that it need not.

    Args:
        grid: of the value.
        known: what the value lies in without it.
        takers: the kinds of the ops that take it.
        held: the host gives the value.
        own_codes: the codes that the value will have are those of the grid.
    """
    margin = _ROUNDING * (grid.high - grid.low)
    low = grid.low if known[0] < grid.low - margin else None
    high = grid.high if known[1] > grid.high + margin else None
    if not grid.ends_at_zero and (takers <= _LDPU_NEXT or (held and takers <= _TAKE_CODES)):
        return None, None
    if own_codes and takers <= _TAKE_CODES:
        # Codes saturate by themselves, and calibrated ones nowhere beyond the grid.
        kept = grid.codes
        reach = LARGEST_CODE * symmetric(*kept) if kept else max(-grid.low, grid.high)
        reach -= margin
        low = None if grid.low <= -reach else low
        high = None if grid.high >= reach else high
    return low, high
