"""GoogLeNet, Inception v1 (Szegedy et al., arXiv 1409.4842, table 1), no auxiliary classifiers."""

from __future__ import annotations

from bench.shapes.builder import Builder, Value
from bench.shapes.description import Network

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection."""
POOLED = {"3b", "4e"}
"""Modules that a pooling follows."""


def googlenet() -> Network:
    """GoogLeNet on 224x224 images."""
    build = Builder("googlenet")

    def conv(name: str, x: Value, channels: int, kernel: int, stride: int = 1) -> Value:
        return build.relu(build.conv(name, x, channels, kernel, stride))

    def normalised(name: str, x: Value) -> Value:
        # The sizes are those of AlexNet, which the publication refers to.
        return build.node("LRN", name, [x], x.channels, size=5, alpha=1e-4, beta=0.75, bias=1.0)

    def module(name: str, x: Value, sizes: tuple[int, ...]) -> Value:
        direct, reduce3, conv3, reduce5, conv5, projection = sizes
        branches = [
            conv(f"{name}.1x1", x, direct, 1),
            conv(f"{name}.3x3", conv(f"{name}.3x3_reduce", x, reduce3, 1), conv3, 3),
            conv(f"{name}.5x5", conv(f"{name}.5x5_reduce", x, reduce5, 1), conv5, 5),
            conv(f"{name}.projection", build.max_pool(f"{name}.pool", x, 3, 1, 1), projection, 1),
        ]
        return build.concat(name, branches)

    x = conv("conv1", build.image(224), 64, 7, 2)
    x = normalised("norm1", build.max_pool("pool1", x, 3, 2, ceil=True))
    x = conv("conv2", conv("conv2_reduce", x, 64, 1), 192, 3)
    x = build.max_pool("pool2", normalised("norm2", x), 3, 2, ceil=True)
    for name, sizes in MODULES.items():
        x = module(f"inception{name}", x, sizes)
        if name in POOLED:
            x = build.max_pool(f"pool{name[0]}", x, 3, 2, ceil=True)
    return build.network(build.linear("fc", build.mean(x), 1000), ["N", 1000])
