"""Streams of global digital units: elementwise functions."""

from __future__ import annotations

import numpy as np

from anacc.ir import Op
from anacc.program.model import Const
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
