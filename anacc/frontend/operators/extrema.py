"""Sums, means and extrema of any number of operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.elementwise import expanded, factor, import_add
from anacc.frontend.registry import imports

_LARGEST = float(np.finfo(np.float32).max)


def constants_of(node: Node) -> list[int]:
    """Positions of the operands that are the same for every sample."""
    return [i for i in range(len(node.proto.input)) if node.sample(i) is not None]


def has_at_most_one_constant(node: Node) -> bool:
    """at most one of its operands is a constant"""
    return len(constants_of(node)) <= 1


@imports("Sum", requires=(has_at_most_one_constant,))
def import_sum(node: Node) -> None:
    """A sum becomes a chain of `add`, a constant an `affine`."""
    if len(node.proto.input) == 2:
        import_add(node)
        return
    _emit_sum(node, 1.0)


@imports("Mean", requires=(has_at_most_one_constant,))
def import_mean(node: Node) -> None:
    """A mean becomes a sum and an `affine`."""
    _emit_sum(node, 1 / len(node.proto.input))


def _emit_sum(node: Node, scale: float) -> None:
    """Emit (sum of the operands) * scale."""
    total = _folded(node, lambda left, right, label: node.step("add", (left, right), label))
    fixed = constants_of(node)
    if scale == 1 and not fixed:
        node.emit("identity", (total,))
        return
    offset = np.asarray(factor(node, fixed[0]), np.float64) * scale if fixed else 0.0
    node.emit("affine", (total, *node.constants(scale, offset, "total")))


@imports("Max", requires=(has_at_most_one_constant,))
def import_max(node: Node) -> None:
    """A maximum becomes left + relu(right - left), with a single number a `clamp`."""
    _emit_extremum(node, low=0.0, high=_LARGEST)


@imports("Min", requires=(has_at_most_one_constant,))
def import_min(node: Node) -> None:
    """A minimum becomes left - relu(left - right), with a single number a `clamp`."""
    _emit_extremum(node, low=-_LARGEST, high=0.0)


def _emit_extremum(node: Node, low: float, high: float) -> None:
    """Emit left + clamp(right - left, low, high) over all operands."""

    def bounded(difference: str, label: str) -> str:
        return node.step("clamp", (difference,), f"{label}.above", low=low, high=high)

    def chosen(left: str, right: str, label: str) -> str:
        scale_and_offset = node.constants(-1.0, 0.0, f"{label}.minus")
        minus = node.step("affine", (left, *scale_and_offset), f"{label}.minus")
        difference = node.step("add", (right, minus), f"{label}.difference")
        return node.step("add", (left, bounded(difference, label)), label)

    found = _folded(node, chosen)
    fixed = constants_of(node)
    if not fixed:
        node.emit("identity", (found,))
        return
    bound = factor(node, fixed[0])
    if bound.size == 1:
        value = float(bound.item())
        low, high = (value, _LARGEST) if high > 0 else (-_LARGEST, value)
        node.emit("clamp", (found,), low=low, high=high)
        return
    difference = node.affine(found, -1.0, bound, "difference")
    node.emit("add", (found, bounded(difference, "bound")))


def _folded(node: Node, combine: Callable[[str, str, str], str]) -> str:
    """All operands that are not constant, combined from left to right."""
    fixed = constants_of(node)
    taken = [i for i in range(len(node.proto.input)) if i not in fixed]
    if not taken:
        raise Unsupported("it computes activations, but all its operands are constants")
    found = expanded(node, taken[0])
    for position in taken[1:]:
        found = combine(found, expanded(node, position), f"upto{position}")
    return found
