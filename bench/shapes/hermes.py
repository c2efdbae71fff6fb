"""The networks of the HERMES chip (Le Gallo et al., Nature Electronics 6, 680-693, 2023)."""

from __future__ import annotations

import math

from bench.networks import CAPTION, RESNET9, RecurrentNetwork
from bench.shapes.builder import Builder
from bench.shapes.description import Network

PTB = RecurrentNetwork(inputs=128, hidden=504, steps=100, outputs=50)
"""Fig. 4a; that of `bench.networks` has no output layer.  The number of steps is not published."""


def resnet9() -> Network:
    """ResNet-9 on 32x32 images, Fig. 3a: 3x3 convolutions with batch normalisation and ReLU."""
    build = Builder("resnet-9")
    value = before = build.image(RESNET9.convolutions[0].size)
    for index, layer in enumerate(RESNET9.convolutions):
        skipped, before = before, value
        value = build.conv(f"conv{index}", value, layer.outputs, 3, bias=False)
        value = build.relu(build.batch_norm(value))
        if layer.skip:
            value = build.add(f"conv{index}.sum", value, skipped)
        if layer.pool > 1:
            value = build.max_pool(f"conv{index}.pool", value, layer.pool, layer.pool)
    value = build.linear("dense", build.flatten(value, 1), RESNET9.classes)
    return build.network(value, ["N", RESNET9.classes])


def ptb_lstm() -> Network:
    """Prediction of characters, Fig. 4a."""
    return _recurrent("ptb-lstm", PTB)


def caption_lstm() -> Network:
    """Captions of images, Fig. 5a, from the features of the image on."""
    return _recurrent("caption-lstm", CAPTION)


def _recurrent(name: str, sizes: RecurrentNetwork) -> Network:
    """An LSTM on `x` (steps, N, inputs), and a dense layer behind every step."""
    build, gates = Builder(name), 4 * sizes.hidden
    x = build.input("x", [sizes.steps, "N", sizes.inputs], axis=2)
    deviation = math.sqrt(1 / sizes.hidden)
    operands = [
        x.name,
        build.parameter("lstm.input", (1, gates, sizes.inputs), deviation),
        build.parameter("lstm.hidden", (1, gates, sizes.hidden), deviation),
        build.parameter("lstm.bias", (1, 2 * gates), 0.1),
    ]
    y = build.node("LSTM", "lstm", operands, sizes.hidden, hidden_size=sizes.hidden)
    y = build.node("Squeeze", "states", [y, build.constant("direction", [1])], sizes.hidden)
    weight = build.parameter("dense.weight", (sizes.hidden, sizes.outputs), deviation)
    y = build.node("MatMul", "dense.product", [y, weight], sizes.outputs)
    bias = build.parameter("dense.bias", (sizes.outputs,), 0.1)
    y = build.node("Add", "dense", [y, bias], sizes.outputs)
    return build.network(y, [sizes.steps, "N", sizes.outputs])
