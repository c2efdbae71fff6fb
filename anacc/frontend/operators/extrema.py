"""Sums, means and extrema of any number of operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.elementwise import expanded, factor, import_add
from anacc.frontend.registry import imports

Emit = Callable[[str, tuple[str, ...]], str]
"""Emits an op of some kind and operands; the name of its result."""

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
    fixed = constants_of(node)
    if scale == 1 and not fixed:
        _folded(node, lambda left, right, end: end("add", (left, right)), _end(node))
        return
    total = _folded(node, lambda left, right, end: end("add", (left, right)))
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

    def chosen(left: str, right: str, end: Emit) -> str:
        difference = node.step("add", (right, node.affine(left, -1.0, 0.0, "minus")), "difference")
        return end("add", (left, bounded(difference)))

    def bounded(difference: str) -> str:
        return node.step("clamp", (difference,), "above", low=low, high=high)

    fixed = constants_of(node)
    if not fixed:
        _folded(node, chosen, _end(node))
        return
    found = _folded(node, chosen)
    bound = factor(node, fixed[0])
    if bound.size == 1:
        value = float(bound.item())
        low, high = (value, _LARGEST) if high > 0 else (-_LARGEST, value)
        node.emit("clamp", (found,), low=low, high=high)
    else:
        node.emit("add", (found, bounded(node.affine(found, -1.0, bound, "difference"))))


def _end(node: Node) -> Emit:
    """What emits the op that gives the output."""

    def emit(kind: str, operands: tuple[str, ...]) -> str:
        node.emit(kind, operands)
        return node.output()

    return emit


def _folded(node: Node, combine: Callable[[str, str, Emit], str], end: Emit | None = None) -> str:
    """All operands that are not constant, combined from left to right.

    Args:
        node: whose operands.
        combine: combines two values, and emits the last of its ops by its third argument.
        end: what emits the very last op; None: it is a step, too.
    """
    fixed = constants_of(node)
    taken = [i for i in range(len(node.proto.input)) if i not in fixed]
    if not taken:
        raise Unsupported("it computes activations, but all its operands are constants")
    found = expanded(node, taken[0])
    if end is not None and len(taken) == 1:
        return end("identity", (found,))
    for position in taken[1:]:
        emit = end if end and position == taken[-1] else _step(node, position)
        found = combine(found, expanded(node, position), emit)
    return found


def _step(node: Node, position: int) -> Emit:
    """What emits the op that takes an operand to those before it."""
    return lambda kind, operands: node.step(kind, operands, f"upto{position}")
