"""What the recurrent layers of the graph vocabulary compute, in binary64, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Op
from anacc.ir.cells import CELLS, Function, directions_of, functions_of

Array = npt.NDArray[Any]


def apply(function: Function, x: Array) -> Array:
    """The function of a gate."""
    a, b = function.alpha, function.beta
    match function.name:
        case "sigmoid":
            y = 1 / (1 + np.exp(-x))
        case "tanh":
            y = np.tanh(x)
        case "scaled_tanh":
            y = a * np.tanh(b * x)
        case "affine":
            y = a * x + b
        case "relu":
            y = np.maximum(x, 0)
        case "hard_sigmoid":
            y = np.clip(a * x + b, 0, 1)
        case _:
            raise ValueError(function.name)
    return np.asarray(y)


def layer(
    op: Op,
    x: Array,
    weight: Array,
    recurrence: Array,
    bias: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    peepholes: Array | None = None,
) -> tuple[Array, ...]:
    """All results of a recurrent layer on x (T, N, F); operands as those of the op, absent ones
    are None."""
    ways, hidden = directions_of(op), op.integer("hidden")
    steps, batch = x.shape[:2]
    zeros = np.zeros((ways, batch, hidden))
    h = zeros + (0 if initial_h is None else initial_h)
    c = zeros + (0 if initial_c is None else initial_c)
    y = np.zeros((steps, ways, batch, hidden))
    gates = len(CELLS[op.kind].gates)
    for way in range(ways):
        w, r = (array[way].astype(np.float64) for array in (weight, recurrence))
        b = np.zeros((2, gates, hidden)) if bias is None else bias[way].reshape(2, gates, hidden)
        p = np.zeros((3, hidden)) if peepholes is None else peepholes[way].reshape(3, hidden)
        backwards = op.attributes["direction"] == "reverse" or way == 1
        for step in range(steps)[:: -1 if backwards else 1]:
            sums = _split(x[step] @ w.T, gates) + b[0][:, np.newaxis]
            h[way], c[way] = _step(op, way, sums, r, b[1], p, h[way].copy(), c[way].copy())
            y[step, way] = h[way]
    return (y, h, c)[: len(CELLS[op.kind].results)]


def _split(sums: Array, gates: int) -> Array:
    """Shape (N, gates * hidden) to (gates, N, hidden)."""
    return np.stack(np.split(sums, gates, axis=1))


def _step(
    op: Op, way: int, sums: Array, r: Array, b: Array, p: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    """The next states; `sums` (gates, N, hidden) are those of the input."""
    functions = functions_of(op, way)
    limit = op.number("clip") or np.inf
    by_gate = np.split(r, len(sums))

    def hidden(gate: int, state: Array = h) -> Array:
        return np.asarray(state @ by_gate[gate].T + b[gate])

    def f(number: int, x: Array) -> Array:
        return apply(functions[number], np.clip(x, -limit, limit))

    if op.kind == "rnn":
        return f(0, sums[0] + hidden(0)), c
    if op.kind == "gru":
        z, reset = (f(0, sums[k] + hidden(k)) for k in (0, 1))
        if op.attributes["linear_before_reset"]:
            n = f(1, sums[2] + reset * hidden(2))
        else:
            n = f(1, sums[2] + hidden(2, reset * h))
        return (1 - z) * n + z * h, c
    i, o, forget, a = (sums[k] + hidden(k) for k in range(4))
    i = f(0, i + p[0] * c)
    forget = 1 - i if op.attributes.get("input_forget") else f(0, forget + p[2] * c)
    c = forget * c + i * f(1, a)
    return f(0, o + p[1] * c) * apply(functions[2], c), c
