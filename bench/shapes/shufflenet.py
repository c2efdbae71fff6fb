"""ShuffleNet v1 as in the ONNX model zoo (Zhang et al., arXiv 1707.01083, figure 2).

The model of the zoo (`shufflenet`, from Caffe2) has 4 groups, stages of 136, 272 and 544 channels,
and units as wide inside as outside; the publication's `ShuffleNet 1x` is wider and has bottlenecks.
"""

from __future__ import annotations

import numpy as np

from bench.shapes.builder import BRANCH_SCALE, Builder, Value
from bench.shapes.description import Network

GROUPS = 4
STAGES = ((136, 4, 56), (272, 8, 28), (544, 4, 14))
"""Channels, units, and side of the image before the first unit, which halves it."""


def shufflenet() -> Network:
    """ShuffleNet on 224x224 images."""
    build = Builder("shufflenet")
    x = build.relu(_conv(build, "conv1", build.image(224), 24, 3, 2))
    x = build.max_pool("pool1", x, 3, 2, pad=1)
    for stage, (channels, count, size) in enumerate(STAGES, 2):
        for index in range(count):
            name = f"stage{stage}.{index}"
            x = _unit(build, name, x, channels, size if index == 0 else size // 2, first=index == 0)
    return build.network(build.linear("fc", build.mean(x), 1000), ["N", 1000])


def _unit(build: Builder, name: str, x: Value, channels: int, size: int, *, first: bool) -> Value:
    """Grouped 1x1 convolution, shuffle, depthwise 3x3 convolution, grouped 1x1 convolution.

    Added to `x`, or in the first unit of a stage, which has stride 2, set beside a pooled `x`."""
    inside = channels - x.channels if first else channels
    # Section 3.2: no groups where there are few channels.
    groups = GROUPS if x.channels >= inside else 1
    y = build.relu(_conv(build, f"{name}.gconv1", x, inside, 1, groups=groups))
    y = _shuffled(build, f"{name}.shuffle", y, size)
    y = _conv(build, f"{name}.depthwise", y, inside, 3, 2 if first else 1, groups=inside)
    y = build.conv(f"{name}.gconv2", y, inside, 1, groups=GROUPS, bias=False)
    y = build.batch_norm(y, scale=BRANCH_SCALE)
    if not first:
        return build.relu(build.add(name, x, y))
    x = build.average_pool(f"{name}.pool", x, 3, 2, pad=1)
    return build.relu(build.concat(name, [x, y]))


def _conv(
    build: Builder,
    name: str,
    x: Value,
    channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
) -> Value:
    return build.batch_norm(
        build.conv(name, x, channels, kernel, stride, groups=groups, bias=False)
    )


def _shuffled(build: Builder, name: str, x: Value, size: int) -> Value:
    """The channels of each group dealt out over all groups."""
    split = build.constant(f"{name}.split", np.array([0, GROUPS, x.channels // GROUPS, size, size]))
    joined = build.constant(f"{name}.joined", np.array([0, x.channels, size, size]))
    y = build.node("Reshape", f"{name}.grouped", [x, split], x.channels)
    y = build.node("Transpose", f"{name}.dealt", [y], x.channels, perm=[0, 2, 1, 3, 4])
    return build.node("Reshape", name, [y, joined], x.channels)
