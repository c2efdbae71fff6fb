"""Streams of global digital units: elementwise functions and LSTM cells."""

from __future__ import annotations

import numpy as np

from anacc.ir import Op
from anacc.program.model import Const, Slice
from anacc_backends.emission.core import immediate
from anacc_backends.emission.stream import Emission, StreamWriter


def emit_pointwise(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """A function of each element, token by token."""
    scale_name, offset_name, left, right = op.operands[:4]
    kind = emission.channel(left)
    size, tokens = kind.token_size, kind.tokens
    function, out = op.text("function"), op.number("out_scale")
    looped = tokens > 1
    with stream.loops([tokens] if looped else []):
        x = stream.receive(left)
        y = stream.register("f16", size)
        scale = _by_token(emission, scale_name, looped)
        if function in ("none", "table"):
            stream.op("affine", y, x, scale, _by_token(emission, offset_name, looped))
        elif function == "sigmoid":
            # sigmoid(v) = tanh(v / 2) / 2 + 1/2, as in the chip's GDPU
            array = emission.module.constants[scale_name]
            stream.op("scale", y, x, emission.vector(array.reshape(-1) * np.float16(0.5)))
            stream.op("lookup", y, y, emission.tanh())
            half = emission.scalar(0.5)
            stream.op("affine", y, y, half, half)
        else:
            stream.op("scale", y, x, scale)
        if function == "relu":
            stream.op("relu", y, y)
        elif function == "clamp":
            stream.op("clamp", y, y, immediate(op.number("low")), immediate(op.number("high")))
        elif function == "tanh":
            stream.op("lookup", y, y, emission.tanh())
        elif function == "table":
            stream.op("lookup", y, y, emission.table(op))
        elif function in ("add", "multiply"):
            other = stream.register("f16", size)
            stream.scale(other, stream.receive(right), op.number("right_scale"))
            stream.op(function, y, y, other)
        stream.multiply_by(y, out)
        codes, values = op.results
        stream.deliver(codes, values, y)


def _by_token(emission: Emission, name: str, looped: bool) -> Const:
    """Constants of shape (tokens or 1, size or 1) as the loop over tokens meets them."""
    array = emission.module.constants[name]
    rows, width = array.shape
    base = emission.constants16.add(array)
    return Const(base, ((int(width) if rows > 1 else 0),) if looped else (), int(width))


def _initial(emission: Emission, stream: StreamWriter, name: str, units: int) -> Slice:
    """An initial state: the token of a channel, or a constant (0 * zero + constant)."""
    if not name.startswith("@"):
        return stream.receive(name)
    zero, value = stream.register("f16", units, state=True), stream.register("f16", units)
    constant = emission.vector(emission.module.constants[name])
    stream.op("affine", value, zero, emission.scalar(0.0), constant)
    return value


def emit_lstm_cell(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """The cells of one chunk of hidden units, step by step.

    c = h(h(f c) + h(i a)); h = o tanh(c), in docs/numerics.md.
    """
    gates, initial_h, initial_c = op.operands
    feedback, y_codes, y_values, last_codes, last_values, last_c = op.results
    units, steps = op.integer("units"), op.integer("steps")
    cell = stream.register("f16", units, state=True)
    if initial_c:
        scaled = stream.register("f16", units)
        stream.scale(scaled, _initial(emission, stream, initial_c, units), op.number("c_scale"))
        stream.op("copy", cell, scaled)
    if initial_h:
        first, start = stream.register("f16", units), stream.register("i8", units)
        stream.scale(first, _initial(emission, stream, initial_h, units), op.number("h_scale"))
        stream.op("quantise", start, first)
        stream.send(feedback, start)
    else:
        stream.send(feedback, stream.register("i8", units, state=True))
    taken = stream.register("f16", 4 * units)
    unscaled, hidden = stream.register("f16", units), stream.register("f16", units)
    codes = stream.register("i8", units)
    table = emission.tanh()
    half = emission.scalar(0.5)
    with stream.loop(steps, sequential=True):
        stream.receive(gates, taken)
        i, a, f, o = (Slice(taken.register, k * units, units) for k in range(4))
        for gate in (i, f, o):
            stream.op("scale", gate, gate, half)
            stream.op("lookup", gate, gate, table)
            stream.op("affine", gate, gate, half, half)
        stream.op("lookup", a, a, table)
        stream.op("multiply", cell, f, cell)
        stream.op("multiply", a, i, a)
        stream.op("add", cell, cell, a)
        stream.op("lookup", unscaled, cell, table)
        stream.op("multiply", unscaled, o, unscaled)
        stream.scale(hidden, unscaled, op.number("h_unit"))
        stream.op("quantise", codes, hidden)
        stream.send(feedback, codes)
        if y_codes:
            stream.send(y_codes, codes)
        if y_values:
            stream.send(y_values, hidden)
    if last_codes:
        stream.send(last_codes, codes)
    if last_values:
        stream.send(last_values, hidden)
    if last_c:
        out = stream.register("f16", units)
        stream.scale(out, cell, op.number("last_c_scale"))
        stream.send(last_c, out)
