"""Products of the model on fingerprints: C[m] * sum of K[r] * x[r], with the rows in the order of
`matrices`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anacc.verification.algebra import Prints, column_factors, product, row_factors, total
from anacc.verification.matrices import RECURRENT, Matrix
from anacc.verification.windows import window_of

_CONVOLUTIONS = ("Conv", "QLinearConv", "ConvInteger")
LAYERS = (*_CONVOLUTIONS, "MatMul", "QLinearMatMul", "MatMulInteger", "Gemm", *RECURRENT)


def layer(
    kind: str,
    attributes: dict[str, Any],
    matrix: Matrix,
    x: Prints,
    states: Sequence[Prints | None],
) -> tuple[list[Prints | None], int]:
    """What a layer makes.

    Args:
        kind: ONNX operator.
        attributes: of the node.
        matrix: its weights.
        x: its input.
        states: initial hidden and cell state of a recurrent layer, None where constant.

    Returns:
        Its outputs, and how often its matrix is applied, the batch included.
    """
    rows = row_factors(matrix.node, np.arange(matrix.rows))
    columns = column_factors(matrix.node, np.arange(matrix.columns))
    if kind in RECURRENT:
        return _recurrent(kind, attributes, matrix, x, states, rows, columns)
    if kind in _CONVOLUTIONS:
        found = _convolution(attributes, matrix, x, rows, columns)
        return [found], found.size // matrix.columns
    if kind == "Gemm" and attributes.get("transA", 0):
        x = x.T
    found = (x * rows).sum(axis=-1, dtype=np.uint64)[..., np.newaxis] * columns
    return [found], found.size // matrix.columns


def _convolution(
    attributes: dict[str, Any], matrix: Matrix, x: Prints, rows: Prints, columns: Prints
) -> Prints:
    groups, height, width = matrix.weight.shape
    channels = x.shape[1] // groups
    window = window_of(attributes, matrix.kernel, x.shape[2:])
    outputs = window.outputs(x.shape[2:])
    factors = rows.reshape(groups, -1, channels)  # (group, kernel position, channel)
    sums = np.zeros((x.shape[0], groups, *outputs), np.uint64)
    one = (1,) * len(outputs)
    for position, tap in enumerate(window.taps(x)):
        grouped = tap.reshape(x.shape[0], groups, channels, *outputs)
        weighted = grouped * factors[:, position].reshape(groups, channels, *one)
        sums += weighted.sum(axis=2, dtype=np.uint64)
    found = sums[:, :, np.newaxis] * columns.reshape(groups, width, *one)
    return found.reshape(x.shape[0], -1, *outputs)


def _recurrent(
    kind: str,
    attributes: dict[str, Any],
    matrix: Matrix,
    x: Prints,
    states: Sequence[Prints | None],
    rows: Prints,
    columns: Prints,
) -> tuple[list[Prints | None], int]:
    """Steps of a recurrent layer; gates without their functions, which change no fingerprint.

    LSTM: c = f c + i a, h = o c.  GRU: h = (1 - z) n + z h with n of x and r h, where r
    multiplies h itself or its products.  RNN: h of x and h.
    """
    directions, height, width = matrix.weight.shape
    hidden, inputs = height - matrix.inputs, matrix.inputs
    if attributes.get("layout", 0):
        x = x.swapaxes(0, 1)
    steps, batch = x.shape[:2]
    y = np.zeros((steps, directions, batch, hidden), np.uint64)
    last = np.zeros((directions, batch, hidden), np.uint64)
    last_c = np.zeros_like(last)
    way = attributes.get("direction", "forward")
    for d in range(directions):
        k = rows[d * height : (d + 1) * height]
        c_ = columns[d * width : (d + 1) * width]
        initial = [state[d] if state is not None else np.zeros_like(last[d]) for state in states]
        h, c = [*initial, *[np.zeros_like(last[d])] * 2][:2]
        backward = way == "reverse" or d == 1
        for t in reversed(range(steps)) if backward else range(steps):
            given = (x[t] * k[:inputs]).sum(axis=-1, dtype=np.uint64)[:, np.newaxis] * c_
            h, c = _step(kind, attributes, given, h, c, k[inputs:], c_)
            y[t, d] = h
        last[d], last_c[d] = h, c
    if attributes.get("layout", 0):
        y, last, last_c = y.transpose(2, 0, 1, 3), last.swapaxes(0, 1), last_c.swapaxes(0, 1)
    results: list[Prints | None] = [y, last, last_c]
    return results[: 3 if kind == "LSTM" else 2], int(steps * batch)


def _step(
    kind: str,
    attributes: dict[str, Any],
    given: Prints,
    h: Prints,
    c: Prints,
    k: Prints,
    columns: Prints,
) -> tuple[Prints, Prints]:
    """One step: the hidden and the cell state, (batch, hidden)."""
    hidden = h.shape[-1]
    fed = (h * k).sum(axis=-1, dtype=np.uint64)[:, np.newaxis] * columns
    if kind == "RNN":
        return given + fed, c
    if kind == "LSTM":
        i, o, f, a = ((given + fed)[:, g * hidden : (g + 1) * hidden] for g in range(4))
        peephole = attributes.get("peepholes", 0)  # set by the caller: not of ONNX
        if peephole:
            i, f = total(i, c), total(f, c)
        if attributes.get("input_forget", 0):
            f = i
        c = total(product(f, c), product(i, a))
        return product(total(o, c) if peephole else o, c), c
    z, r = ((given + fed)[:, g * hidden : (g + 1) * hidden] for g in range(2))
    third = slice(2 * hidden, 3 * hidden)
    if attributes.get("linear_before_reset", 0):
        n = total(given[:, third], product(r, fed[:, third]))
    else:
        reset = (product(r, h) * k).sum(axis=-1, dtype=np.uint64)[:, np.newaxis]
        n = given[:, third] + reset * columns[third]
    return total(product(z, n), product(z, h)), c
