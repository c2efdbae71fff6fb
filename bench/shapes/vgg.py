"""VGG-16 (Simonyan and Zisserman, arXiv 1409.1556, table 1, column D)."""

from __future__ import annotations

from bench.shapes.builder import Builder
from bench.shapes.description import Network

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and 3x3 convolutions of each stage, which a pooling by 2 ends."""


def vgg16() -> Network:
    """VGG-16 on 224x224 images."""
    build = Builder("vgg-16")
    x = build.image(224)
    for stage, (channels, count) in enumerate(STAGES, 1):
        for index in range(1, count + 1):
            x = build.relu(build.conv(f"conv{stage}_{index}", x, channels, 3))
        x = build.max_pool(f"pool{stage}", x, 2, 2)
    x = build.flatten(x, 7 * 7)
    x = build.relu(build.linear("fc6", x, 4096))
    x = build.relu(build.linear("fc7", x, 4096))
    return build.network(build.linear("fc8", x, 1000), ["N", 1000])
