"""Streams of cores: a crossbar region and what the LDPU does behind it."""

from __future__ import annotations

import numpy as np

from anacc.ir import Op
from anacc.ir.chip_rules import block, copies
from anacc.program.model import Adc, Format
from anacc_backends.emission.stream import Emission, StreamWriter
from anacc_passes.binary16 import LARGEST


def immediate(value: float) -> float:
    """The nearest binary16 number, saturating: a bound beyond the range bounds nothing."""
    return float(np.float16(np.clip(value, -LARGEST, LARGEST)))


def emit_tile(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Install the weights, then one matrix-vector product for each token."""
    codes, scale, offset, partial, residual = op.operands[:5]
    inputs = op.operands[5:]
    array = emission.module.constants[codes]
    columns = int(array.shape[1])
    result = next(name for name in op.results if name)
    tokens = emission.channel(result).tokens
    row, column = op.integer("row"), op.integer("column")
    stream.op("program", emission.weight(array, block(op)), row, column)
    adc = emission.adc(
        Adc(*(op.integer(name) for name in ("phases", "multiplier", "shift", "maximum")))
    )
    recurrent = bool(op.attributes["recurrent"])
    x = stream.register("i8", int(array.shape[0]))
    counts = stream.register(Format.INT16, columns)
    y = stream.register("f16", columns)
    with stream.loop(tokens, sequential=recurrent):
        stream.receive_parts(inputs * copies(op), x)
        stream.op("mvm", counts, x, row, column, adc)
        factors = emission.vector(emission.module.constants[scale])
        if offset:
            stream.op(
                "affine", y, counts, factors, emission.vector(emission.module.constants[offset])
            )
        else:
            stream.op("scale", y, counts, factors)
        if partial:
            stream.op("add", y, y, stream.receive(partial))
        if residual:
            taken = stream.receive(residual)
            scaled = stream.register("f16", columns)
            stream.op("scale", scaled, taken, emission.scalar(op.number("residual_scale")))
            stream.op("add", y, y, scaled)
        if op.attributes["activation"] == "relu":
            stream.op("relu", y, y)
        elif op.attributes["activation"] == "clamp":
            stream.op("clamp", y, y, immediate(op.number("low")), immediate(op.number("high")))
        stream.multiply_by(y, op.number("gain"))
        codes_out, values_out = op.results
        stream.deliver(codes_out, values_out, y)
    if recurrent and emission.channel(inputs[0]).tokens > tokens:
        # The last hidden state is sent back like the others, but no step follows that uses it.
        stream.receive_parts(inputs, x)
