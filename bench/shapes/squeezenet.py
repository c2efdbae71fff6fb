"""SqueezeNet 1.0 (Iandola et al., arXiv 1602.07360, table 1), 1.1 as its authors released it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.shapes.builder import Builder, Value
from bench.shapes.description import Network


@dataclass(frozen=True)
class _Version:
    """First convolution, and the numbers of the fire modules that a pooling comes before."""

    kernel: int
    channels: int
    pools: tuple[int, int]


VERSIONS = {"1.0": _Version(7, 96, (5, 9)), "1.1": _Version(3, 64, (4, 6))}
FIRES = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}
"""Channels of the squeeze layer of each fire module; each expand layer has four times as many."""


def squeezenet(version: str) -> Network:
    """SqueezeNet on 224x224 images."""
    build, shape = Builder(f"squeezenet-{version}"), VERSIONS[version]
    x = build.conv("conv1", build.image(224), shape.channels, shape.kernel, 2, pad=0)
    x = build.max_pool("pool1", build.relu(x), 3, 2, ceil=True)
    for number, squeeze in FIRES.items():
        if number in shape.pools:
            x = build.max_pool(f"pool{number - 1}", x, 3, 2, ceil=True)
        x = _fire(build, f"fire{number}", x, squeeze)
    x = build.relu(build.conv("conv10", x, 1000, 1))
    return build.network(build.mean(x), ["N", 1000])


def _fire(build: Builder, name: str, x: Value, squeeze: int) -> Value:
    x = build.relu(build.conv(f"{name}.squeeze", x, squeeze, 1))
    small = build.relu(build.conv(f"{name}.expand1x1", x, 4 * squeeze, 1))
    large = build.relu(build.conv(f"{name}.expand3x3", x, 4 * squeeze, 3))
    return build.concat(name, [small, large])
