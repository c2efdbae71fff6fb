"""How large a value can be, from how large its operands are: for what calibration cannot see."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anacc.ir import Module, Op
from anacc.ir.functions import evaluate
from anacc_passes.ranges import LARGEST_CODE

_POINTS = 257  # at which a function of one element is looked at


def reach(module: Module, op: Op, scales: Mapping[str, float]) -> float:
    """The largest scale that the result of an op can need, given those of its operands.

    Args:
        module: holds the constants of the op.
        op: elementwise, or one that only moves its first operand.
        scales: of the operands, real value of one code; one that is missing counts as 0.
    """
    sizes = [scales.get(name, 0.0) * LARGEST_CODE for name in op.operands if name[:1] == "%"]
    first = sizes[0]
    if op.kind == "affine":
        scale, offset = (np.abs(module.constants[name]).max() for name in op.operands[1:3])
        first = first * float(scale) + float(offset)
    elif op.kind == "add":
        first = sum(sizes)
    elif op.kind == "multiply":
        first = sizes[0] * sizes[1]
    elif op.kind == "clamp":
        low, high = op.number("low"), op.number("high")
        first = max(abs(min(max(value, low), high)) for value in (-first, first))
    elif op.kind in ("sigmoid", "tanh"):
        first = 1.0
    elif op.kind == "function":
        values = np.abs(evaluate(op.nested("steps"), np.linspace(-first, first, _POINTS)))
        first = float(values[np.isfinite(values)].max(initial=0.0))
    return first / LARGEST_CODE
