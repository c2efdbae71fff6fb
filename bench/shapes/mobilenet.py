"""MobileNetV2 1.0 (Sandler et al., arXiv 1801.04381, table 2)."""

from __future__ import annotations

import numpy as np

from bench.shapes.builder import Builder, Value
from bench.shapes.description import Network

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, and stride of the first block."""


def mobilenet_v2() -> Network:
    """MobileNetV2 on 224x224 images."""
    build = Builder("mobilenet-v2")
    low, high = build.constant("zero", np.float32(0)), build.constant("six", np.float32(6))

    def conv(
        name: str, x: Value, channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> Value:
        return build.batch_norm(
            build.conv(name, x, channels, kernel, stride, groups=groups, bias=False)
        )

    def relu6(x: Value) -> Value:
        return build.node("Clip", f"{x.name}.relu6", [x, low, high], x.channels)

    def block(name: str, x: Value, channels: int, expansion: int, stride: int) -> Value:
        """An inverted residual: expansion, depthwise convolution, projection."""
        inside = expansion * x.channels
        y = x if expansion == 1 else relu6(conv(f"{name}.expand", x, inside, 1))
        y = relu6(conv(f"{name}.depthwise", y, inside, 3, stride, groups=inside))
        y = conv(f"{name}.project", y, channels, 1)
        return build.add(name, x, y) if stride == 1 and x.channels == channels else y

    x = relu6(conv("conv1", build.image(224), 32, 3, 2))
    for stage, (expansion, channels, count, stride) in enumerate(STAGES, 1):
        for index in range(count):
            x = block(f"stage{stage}.{index}", x, channels, expansion, 1 if index else stride)
    x = relu6(conv("conv2", x, 1280, 1))
    return build.network(build.linear("fc", build.mean(x), 1000), ["N", 1000])
