"""How far recurrent layers may be from float32: the error of their products, step by step.

The recurrence is computed in binary64 with an error beside each value.  A product errs by what
`tests.onnx_backend.tolerance` derives, plus what the error of the state before contributes.  Sums
add errors, a product a b errs by |a| db + |b| da + da db, and a monotonic function by how much it
changes over the interval: so a saturated gate forgives what a gate in its middle does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from anacc.program.image import Image
from tests.onnx_backend.tolerance import (
    CODE,
    ROUNDING,
    Array,
    attribute,
    full_scale,
    lsb_of_charge,
)

TABLE = 2.0**-10
"""Error of a function table with binary16 entries, about 1 ulp below 1; hermes has 4.6e-4."""


@dataclass(frozen=True)
class Near:
    """Numbers, and how far from each the chip may be; both of one shape."""

    value: Array
    error: Array

    def __add__(self, other: Near) -> Near:
        value = self.value + other.value
        return Near(value, self.error + other.error + ROUNDING * np.abs(value))

    def __mul__(self, other: Near) -> Near:
        mine, theirs = np.abs(self.value), np.abs(other.value)
        error = mine * other.error + theirs * self.error + self.error * other.error
        return Near(self.value * other.value, error + ROUNDING * mine * theirs)

    def through(self, function: Callable[[Array], Array]) -> Near:
        """A function that never falls, from a table."""
        value = function(self.value)
        low, high = function(self.value - self.error), function(self.value + self.error)
        return Near(value, np.maximum(high - value, value - low) + TABLE)


def exactly(value: Any) -> Near:
    """Numbers without error."""
    return Near(np.asarray(value, np.float64), np.zeros(np.shape(value)))


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@dataclass(frozen=True)
class Cell:
    """A recurrent layer in one direction: what its products lose.

    Attributes:
        w, r: weights of the input (G, I) and of the state (G, H), G being gates times H.
        lsb, limit: step and largest charge of the converters, in products of codes.
    """

    w: Array
    r: Array
    lsb: float
    limit: float

    def product(self, x: Near, weight: Array, largest: float) -> Near:
        """x (N, R) times a weight (G, R), where codes of x go up to `largest`."""
        columns = np.maximum(np.abs(self.w).max(axis=1), np.abs(self.r).max(axis=1))
        half_x, half_w = largest / (2 * CODE), columns / (2 * CODE)
        size, rows = np.abs(x.value), x.value.shape[1]
        magnitude, value = size @ np.abs(weight).T, x.value @ weight.T
        codes = half_x * np.abs(weight).sum(axis=1) + size.sum(axis=1, keepdims=True) * half_w
        unit = largest * columns / CODE**2
        charges = [(magnitude + sign * value) / 2 for sign in (1, -1)]
        excess = sum(np.maximum(0, charge - self.limit * unit) for charge in charges)
        error = codes + rows * half_x * half_w + self.lsb * unit + excess
        error = error + x.error @ np.abs(weight).T + 2 * ROUNDING * magnitude
        return Near(value, error)


def recurrent_bounds(
    node: NodeProto, image: Image, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The largest error of each element of the outputs of an LSTM, GRU or RNN, by their names.

    Args:
        node: with the usual activations and full sequences, its input (time, batch, features).
        image: the program of the baked node.
        inputs: of the node by name.
    """
    given = {k: inputs[name] for k, name in enumerate(node.input) if name}
    if attribute(node, "layout", 0) or attribute(node, "activations", None):
        raise ValueError("the bound is for layout 0 and the usual activations")
    if 4 in given and not np.all(given[4] == len(given[0])):
        raise ValueError("the bound is for full sequences")
    backwards = {b"reverse": [True], b"bidirectional": [False, True]}
    directions = backwards.get(attribute(node, "direction", b"forward"), [False])
    results = [_direction(node, image, given, d, back) for d, back in enumerate(directions)]
    y = np.stack([states for states, _, _ in results], axis=1)
    last = np.stack([h for _, h, _ in results])
    cell = np.stack([c for _, _, c in results])
    return dict(zip(node.output, (y, last, cell), strict=False))


def _direction(
    node: NodeProto, image: Image, given: Mapping[int, Array], d: int, back: bool
) -> tuple[Array, Array, Array]:
    """The errors of all states, of the last one, and of the last cell state."""
    x = given[0].astype(np.float64)
    hidden = given[2].shape[-1]
    cell = Cell(
        given[1][d].astype(np.float64),
        given[2][d].astype(np.float64),
        lsb_of_charge(image),
        full_scale(image),
    )
    gates = cell.w.shape[0] // hidden
    zeros = np.zeros((2, gates * hidden))
    biases = given[3][d].reshape(2, -1).astype(np.float64) if 3 in given else zeros
    state = np.zeros((x.shape[1], hidden))
    h, c = (exactly(given[k][d] if k in given else state) for k in (5, 6))
    peepholes = given[7][d].reshape(3, hidden) if 7 in given else np.zeros((3, hidden))
    largest = float(np.max(np.abs(x)))
    errors = []
    for step in x[::-1] if back else x:
        drive = cell.product(exactly(step), cell.w, largest) + _row(biases[0], step)
        h, c = _step(node, cell, drive, h, c, biases[1], peepholes)
        errors.append(h.error)
    errors = errors[::-1] if back else errors
    return np.stack(errors), h.error, c.error


def _step(
    node: NodeProto, cell: Cell, drive: Near, h: Near, c: Near, bias: Array, peepholes: Array
) -> tuple[Near, Near]:
    """State and cell state after a step; states lie within 1, which bounds their codes."""
    hidden = h.value.shape[1]

    def part(gate: Near, k: int) -> Near:
        cut = slice(k * hidden, (k + 1) * hidden)
        return Near(gate.value[:, cut], gate.error[:, cut])

    def fed_back(state: Near, rows: slice = slice(None)) -> Near:
        half = Cell(cell.w[rows], cell.r[rows], cell.lsb, cell.limit)
        return half.product(state, half.r, 1.0) + _row(bias[rows], state.value)

    one, minus = exactly(np.ones_like(h.value)), exactly(-np.ones_like(h.value))
    if node.op_type == "RNN":
        return (drive + fed_back(h)).through(np.tanh), c
    if node.op_type == "GRU":
        both = drive + fed_back(h)
        z, r = (part(both, k).through(sigmoid) for k in (0, 1))
        last = slice(2 * hidden, None)
        late = attribute(node, "linear_before_reset", 0)
        back = r * fed_back(h, last) if late else fed_back(r * h, last)
        candidate = (part(drive, 2) + back).through(np.tanh)
        return (one + minus * z) * candidate + z * h, c
    total = drive + fed_back(h)
    i, o, f, g = (part(total, k) for k in range(4))
    of_input, of_output, of_forget = (_row(row, h.value) for row in peepholes)
    kept = (f + of_forget * c).through(sigmoid) * c
    c = kept + (i + of_input * c).through(sigmoid) * g.through(np.tanh)
    return (o + of_output * c).through(sigmoid) * c.through(np.tanh), c


def _row(row: Array, like: Array) -> Near:
    """A row of constants for each sample."""
    return exactly(np.broadcast_to(row, (len(like), len(row))))
