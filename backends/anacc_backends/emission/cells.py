"""Streams of global digital units: the cells of recurrent layers, step by step."""

from __future__ import annotations

from anacc.ir import Op
from anacc.program.model import Slice
from anacc_backends.emission.stream import Emission, StreamWriter


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
