"""Extrema of any number of operands."""

from __future__ import annotations

import numpy as np

from anacc.frontend.node import Node
from anacc.frontend.operators.elementwise import expanded, factor, parted
from anacc.frontend.registry import imports
from anacc.frontend.steps import affine

_LARGEST = float(np.finfo(np.float32).max)


def has_at_most_one_constant(node: Node) -> bool:
    """at most one of its operands is a constant

    fold its constants into one
    """
    return sum(node.sample(i) is not None for i in range(len(node.proto.input))) <= 1


@imports("Max", requires=(has_at_most_one_constant,))
def import_max(node: Node) -> None:
    """A maximum becomes left + relu(right - left), with a single number a `clamp`."""
    _emit_extremum(node, low=0.0, high=_LARGEST)


@imports("Min", requires=(has_at_most_one_constant,))
def import_min(node: Node) -> None:
    """A minimum becomes left - relu(left - right), with a single number a `clamp`."""
    _emit_extremum(node, low=-_LARGEST, high=0.0)


def _emit_extremum(node: Node, low: float, high: float) -> None:
    """Emit left + clamp(right - left, low, high) over all operands, the constant one last."""
    fixed, taken = parted(node)
    found = expanded(node, taken[0])
    for position in taken[1:]:
        minus = affine(node, found, -1.0, 0.0, "minus")
        difference = node.step("add", (expanded(node, position), minus), "difference")
        more = node.step("clamp", (difference,), "more", low=low, high=high)
        if position == taken[-1] and not fixed:
            node.emit("add", (found, more))
            return
        found = node.step("add", (found, more), f"upto{position}")
    if not fixed:
        node.emit("identity", (found,))
        return
    bound = factor(node, fixed[0])
    if bound.size == 1:
        value = float(bound.item())
        low, high = (value, _LARGEST) if high > 0 else (-_LARGEST, value)
        node.emit("clamp", (found,), low=low, high=high)
    else:
        difference = affine(node, found, -1.0, bound, "difference")
        more = node.step("clamp", (difference,), "more", low=low, high=high)
        node.emit("add", (found, more))
