"""Recurrent layers of the graph vocabulary: their gates, and the functions that these apply.

In the notation of ONNX, with f, g and h in the order of the attribute `functions`::

    lstm  i, o, f = f(...);  c' = g(...);  c = f c + i c';  y = o h(c)
    gru   z, r = f(...);  n = g(...);  y = (1 - z) n + z y
    rnn   y = f(...)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from anacc.ir.module import AttributeValue, Op

DIRECTIONS = ("forward", "reverse", "bidirectional")


@dataclass(frozen=True)
class Function:
    """A function of single elements.

    Attributes:
        name: a key of `FUNCTIONS`.
        alpha, beta: parameters, if the function has any.
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def bound(self) -> float:
        """The largest magnitude of a result."""
        return abs(self.alpha) if self.name == "scaled_tanh" else FUNCTIONS[self.name]


FUNCTIONS: Mapping[str, float] = {
    "none": math.inf,  # x
    "sigmoid": 1.0,  # 1 / (1 + exp(-x))
    "tanh": 1.0,
    "scaled_tanh": math.inf,  # alpha * tanh(beta * x)
    "affine": math.inf,  # alpha * x + beta
    "relu": math.inf,  # max(x, 0)
    "hard_sigmoid": 1.0,  # min(max(alpha * x + beta, 0), 1)
}
"""The functions, with a bound of their results (of `scaled_tanh`, see `Function.bound`)."""


@dataclass(frozen=True)
class Cell:
    """What makes a kind of recurrent layer.

    Attributes:
        gates: in the order in which ONNX stacks their weights.
        functions: names of the functions if nothing else is said.
        results: `y` (T, D, N, H), then the last states (D, N, H).
        peepholes: gates that may look at the cell state, in ONNX's order.
    """

    gates: tuple[str, ...]
    functions: tuple[str, ...]
    results: tuple[str, ...] = ("y", "y_h")
    peepholes: tuple[str, ...] = ()


CELLS: Mapping[str, Cell] = {
    "lstm": Cell(
        ("input", "output", "forget", "candidate"),
        ("sigmoid", "tanh", "tanh"),
        ("y", "y_h", "y_c"),
        ("input", "output", "forget"),
    ),
    "gru": Cell(("update", "reset", "candidate"), ("sigmoid", "tanh")),
    "rnn": Cell(("candidate",), ("tanh",)),
}

# Operands of a recurrent layer by position; an LSTM alone has the last two.
INITIAL_H, INITIAL_C, PEEPHOLES = 4, 5, 6


def functions_of(op: Op, direction: int) -> tuple[Function, ...]:
    """The functions of one direction of a recurrent layer.

    Raises:
        ValueError: if the attribute `functions` is not what it should be.
    """
    cell = CELLS[op.kind]
    given = op.attributes.get("functions")
    if given is None:
        return tuple(Function(name) for name in cell.functions)
    ways = given if isinstance(given, tuple) else ()
    found = tuple(_function(entry) for entry in _entries(ways[direction : direction + 1]))
    if len(found) != len(cell.functions):
        raise ValueError(f"each direction has {len(cell.functions)} functions")
    return found


def _entries(way: tuple[AttributeValue, ...]) -> tuple[AttributeValue, ...]:
    return tuple(entry for part in way if isinstance(part, tuple) for entry in part)


def _function(entry: AttributeValue) -> Function:
    match entry:
        case (str(name), float(alpha), float(beta)) if name in FUNCTIONS:
            return Function(name, alpha, beta)
    raise ValueError(f"a function is a name of {', '.join(FUNCTIONS)} with two numbers")


def is_bounded(op: Op) -> bool:
    """Whether hidden states never leave [-1, 1] that start there."""
    return all(_is_bounded(op.kind, functions_of(op, way)) for way in range(directions_of(op)))


def _is_bounded(kind: str, functions: tuple[Function, ...]) -> bool:
    if kind == "lstm":
        return functions[0].bound * functions[2].bound <= 1
    if kind == "gru":
        # A mean of two numbers, where the update gate lies between 0 and 1.
        return functions[0].name in ("sigmoid", "hard_sigmoid") and functions[1].bound <= 1
    return functions[0].bound <= 1


def directions_of(op: Op) -> int:
    """How many directions a recurrent layer has."""
    return directions_named(op.text("direction"))


def directions_named(direction: str) -> int:
    """How many directions an attribute `direction` stands for."""
    return 2 if direction == "bidirectional" else 1
