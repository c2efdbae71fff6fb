"""Networks that grow in one respect only, by which compile time and memory are measured."""

from __future__ import annotations

import math

from bench.shapes.builder import Builder, Value
from bench.shapes.description import Network

WIDTH = 32
"""Channels of each layer where the number of ops grows."""
BRANCHES = 8
"""Layers that are concatenated where ops lie side by side."""
LAYERS = 16
"""Layers where the number of weights grows."""


def chain(ops: int) -> Network:
    """So many ops one behind the other: dense layers of 32 x 32 and rectifiers in turns."""
    build = Builder(f"chain-{ops}")
    x = build.input("x", ["N", WIDTH])
    for index in range(ops // 2):
        x = _layer(build, f"layer{index}", x, WIDTH)
    return build.network(x, ["N", WIDTH])


def wide(ops: int) -> Network:
    """So many ops side by side: dense layers of 32 x 32 with rectifiers, each 8 of
    which are concatenated and brought back to 32 channels; all of these are added up."""
    build = Builder(f"wide-{ops}")
    x = build.input("x", ["N", WIDTH])
    total: Value | None = None
    for index in range(max(1, ops // (2 * BRANCHES + 3))):
        name = f"block{index}"
        branches = [_layer(build, f"{name}.{branch}", x, WIDTH) for branch in range(BRANCHES)]
        y = build.linear(f"{name}.joined", build.concat(name, branches), WIDTH)
        total = y if total is None else build.add(f"{name}.sum", total, y)
    if total is None:
        raise ValueError("a network has ops")
    return build.network(total, ["N", WIDTH])


def weighty(weights: int) -> Network:
    """About so many weights in 16 dense layers of equal shape with rectifiers."""
    width = max(1, round(math.sqrt(weights / LAYERS)))
    build = Builder(f"weights-{weights}")
    x = build.input("x", ["N", width])
    for index in range(LAYERS):
        x = _layer(build, f"layer{index}", x, width)
    return build.network(x, ["N", width])


def _layer(build: Builder, name: str, x: Value, width: int) -> Value:
    return build.relu(build.linear(name, x, width))
