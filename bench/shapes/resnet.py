"""ResNet-18, 34 and 50 (He et al., arXiv 1512.03385, table 1).

The bottlenecks of ResNet-50 have their stride in the 3x3 convolution, as those trained since do.
"""

from __future__ import annotations

from bench.shapes.builder import BRANCH_SCALE, Builder, Value
from bench.shapes.description import Network

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Residual blocks of each of the four stages."""
BOTTLENECK = 4
"""A bottleneck ends with so many times the channels that it has inside."""


def resnet(depth: int) -> Network:
    """A ResNet on 224x224 images."""
    build = Builder(f"resnet-{depth}")
    x = build.relu(_conv(build, "conv1", build.image(224), 64, 7, 2))
    x = build.max_pool("pool1", x, 3, 2, pad=1)
    block = _bottleneck if depth >= 50 else _basic
    for stage, count in enumerate(BLOCKS[depth]):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(build, f"stage{stage + 1}.{index}", x, 64 << stage, stride)
    return build.network(build.linear("fc", build.mean(x), 1000), ["N", 1000])


def _conv(
    build: Builder, name: str, x: Value, channels: int, kernel: int, stride: int = 1
) -> Value:
    return build.batch_norm(build.conv(name, x, channels, kernel, stride, bias=False))


def _basic(build: Builder, name: str, x: Value, channels: int, stride: int) -> Value:
    """Two 3x3 convolutions."""
    y = build.relu(_conv(build, f"{name}.conv1", x, channels, 3, stride))
    y = build.conv(f"{name}.conv2", y, channels, 3, bias=False)
    return _joined(build, name, x, y, stride)


def _bottleneck(build: Builder, name: str, x: Value, channels: int, stride: int) -> Value:
    """A 3x3 convolution between two 1x1 convolutions."""
    y = build.relu(_conv(build, f"{name}.conv1", x, channels, 1))
    y = build.relu(_conv(build, f"{name}.conv2", y, channels, 3, stride))
    y = build.conv(f"{name}.conv3", y, BOTTLENECK * channels, 1, bias=False)
    return _joined(build, name, x, y, stride)


def _joined(build: Builder, name: str, x: Value, y: Value, stride: int) -> Value:
    """The normalised `y` plus the shortcut, which is a 1x1 convolution where shapes differ."""
    y = build.batch_norm(y, scale=BRANCH_SCALE)
    if stride != 1 or x.channels != y.channels:
        x = _conv(build, f"{name}.shortcut", x, y.channels, 1, stride)
    return build.relu(build.add(name, y, x))
