"""Hypothesis strategies for operators that become several ops, over their attributes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.end_to_end.network import Network
from tests.end_to_end.strategies import BATCHES, Draw, Step, activation, batch_norm

SPATIAL = 400  # elements of one channel, at most


def per_axis(draw: Draw, count: int, low: int, high: int) -> list[int]:
    """An integer for each axis."""
    return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))


def image(draw: Draw, net: Network, axes: int, channels: int) -> str:
    """An input (N, C, *S)."""
    most = {1: 12, 2: 7, 3: 4}[axes]
    return net.input(net.batch, channels, *per_axis(draw, axes, 2, most))


def spatial(net: Network, x: str) -> tuple[int, ...]:
    """The axes behind batch and channels."""
    return tuple(int(dim) for dim in net.shapes[x][2:])


@st.composite
def transposed_convolutions(draw: Draw) -> Network:
    """A ConvTranspose, and what may follow it."""
    net = Network(draw(st.integers(0, 2**16)), draw(BATCHES))
    axes = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    x = image(draw, net, axes, group * inputs)
    kernel = per_axis(draw, axes, 1, 4)
    strides, dilations = (per_axis(draw, axes, 1, 3) for _ in range(2))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    full = [
        s * (n - 1) + d * (k - 1) + 1
        for s, n, d, k in zip(strides, spatial(net, x), dilations, kernel, strict=True)
    ]
    kind = draw(st.sampled_from(["pads", "output_padding", "output_shape", "SAME_UPPER"]))
    if kind == "SAME_UPPER":
        attributes["auto_pad"] = kind
        full = [s * n for s, n in zip(strides, spatial(net, x), strict=True)]
    elif kind == "output_shape":
        full = [max(size, n - 1) for size, n in zip(spatial(net, x), full, strict=True)]
        attributes["output_shape"] = full
    else:
        most = [min((n - 1) // 2, 2) for n in full]
        pads = [draw(st.integers(0, limit)) for limit in (*most, *most)]
        attributes["pads"] = pads
        if kind == "output_padding":
            attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
    sums = inputs * math.prod(kernel)
    operands = [x, net.weight(group * inputs, outputs, *kernel, sums=sums)]
    if draw(st.booleans()):
        operands.append(net.normal(group * outputs, scale=0.5))
    x = net.node("ConvTranspose", *operands, kernel_shape=kernel, **attributes)
    for step in (batch_norm, activation):
        x = (step(draw, net, x) if draw(st.booleans()) else None) or x
    net.outputs.append(x)
    return net


@st.composite
def deep_convolutions(draw: Draw) -> Network:
    """A convolution over three axes, and pooling over three."""
    net = Network(draw(st.integers(0, 2**16)))
    group = draw(st.sampled_from([1, 1, 2]))
    inputs, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    x = net.input("N", group * inputs, *per_axis(draw, 3, 3, 6))
    kernel = per_axis(draw, 3, 1, 3)
    auto = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    attributes: dict[str, Any] = {"strides": per_axis(draw, 3, 1, 2), "auto_pad": auto}
    if auto == "NOTSET":
        attributes["pads"] = per_axis(draw, 6, 0, 2)
        attributes["dilations"] = [1 + (k == 2) * draw(st.integers(0, 1)) for k in kernel]
    weight = net.weight(group * outputs, inputs, *kernel, sums=inputs * math.prod(kernel))
    x = net.node("Conv", x, weight, kernel_shape=kernel, group=group, **attributes)
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
        window = [draw(st.integers(1, min(2, n))) for n in spatial(net, x)]
        x = net.node(kind, x, kernel_shape=window, strides=per_axis(draw, 3, 1, 2))
    net.outputs.append(x)
    return net


@st.composite
def products(draw: Draw) -> Network:
    """A MatMul or Gemm with a constant on either side, with leading axes of its own."""
    net = Network(draw(st.integers(0, 2**16)), draw(BATCHES))
    leading = draw(st.lists(st.integers(1, 4), max_size=2))
    rows, inner, columns = (draw(st.sampled_from([1, 3, 8, 40])) for _ in range(3))
    left = draw(st.booleans())
    own = [draw(st.sampled_from([1, n])) for n in leading]
    own = own[draw(st.integers(0, len(own))) :]
    mine = [draw(st.sampled_from([1, n])) for n in leading]
    x = net.input(net.batch, *mine, *((inner, columns) if left else (rows, inner)))
    weight = net.weight(*own, *((rows, inner) if left else (inner, columns)), sums=inner)
    pair = (weight, x) if left else (x, weight)
    x = net.node("MatMul", *pair)
    if draw(st.booleans()):
        x = activation(draw, net, x)
    net.outputs.append(x)
    return net


@st.composite
def sums_of_products(draw: Draw) -> Network:
    """A Gemm of any transposition that adds a constant of any shape, without a batch."""
    net = Network(draw(st.integers(0, 2**16)), draw(BATCHES))
    rows, inner, columns = (draw(st.sampled_from([2, 3, 8, 40])) for _ in range(3))
    if net.batch != 1:
        x = net.input(net.batch, inner)
        weight = net.weight(columns, inner, sums=inner)
        net.outputs.append(net.node("Gemm", weight, x, transB=1))
        return net
    first, second = (draw(st.integers(0, 1)) for _ in range(2))
    left = draw(st.booleans())
    shapes = [(inner, rows) if first else (rows, inner),
              (columns, inner) if second else (inner, columns)]  # fmt: skip
    x = net.input(*shapes[left])
    weight = net.weight(*shapes[not left], sums=inner)
    operands = (weight, x) if left else (x, weight)
    added = draw(st.sampled_from([(), (columns,), (rows, 1), (1, columns), (rows, columns)]))
    constant = net.constant(np.asarray(net.rng.standard_normal(added), np.float32))
    factors: dict[str, Any] = {"alpha": 0.5, "beta": 2.0}
    y = net.node("Gemm", *operands, constant, transA=first, transB=second, **factors)
    net.outputs.append(y)
    return net


def resize(draw: Draw, net: Network, x: str) -> str:
    """Upsampling by integers, or to other sizes where that takes few runs."""
    empty = net.constant(np.zeros(0, np.float32))
    factors = [draw(st.sampled_from([1.0, 2.0, 3.0, 0.5])) for _ in spatial(net, x)]
    factors = [1.0 if n == 1 else f for n, f in zip(spatial(net, x), factors, strict=True)]
    scales = net.constant(np.array([1, 1, *factors], np.float32))
    mode, nearest = draw(
        st.sampled_from([("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")])
    )
    modes: dict[str, Any] = {"coordinate_transformation_mode": mode, "nearest_mode": nearest}
    return net.node("Resize", x, empty, scales, **modes)


def tile(draw: Draw, net: Network, x: str) -> str:
    repeats = [draw(st.integers(1, 2)) for _ in net.shapes[x][1:]]
    shape = [int(n) * times for n, times in zip(net.shapes[x][1:], repeats, strict=True)]
    return net.node("Tile", x, net.integers(1, *repeats), shape=(net.batch, *shape))


def blocks(draw: Draw, net: Network, x: str) -> str | None:
    mode = draw(st.sampled_from(["DCR", "CRD"]))
    if len(net.shapes[x]) != 4:
        return None
    if int(net.shapes[x][1]) % 4 == 0:
        return net.node("DepthToSpace", x, blocksize=2, mode=mode)
    if any(n % 2 for n in spatial(net, x)):
        return None
    return net.node("SpaceToDepth", x, blocksize=2)


def pad_with_elements(draw: Draw, net: Network, x: str) -> str:
    mode = draw(st.sampled_from(["edge", "reflect"]))
    most = [min(2, n - 1) for n in spatial(net, x)]
    amounts = [[0, 0, *(draw(st.integers(0, n)) for n in most)] for _ in range(2)]
    return net.node("Pad", x, net.integers(*amounts[0], *amounts[1]), mode=mode)


def gather(draw: Draw, net: Network, x: str) -> str:
    axis = draw(st.integers(1, len(net.shapes[x]) - 1))
    size = int(net.shapes[x][axis])
    places = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=6))
    return net.node("Gather", x, net.integers(*places), axis=axis)


def reduction(draw: Draw, net: Network, x: str) -> str:
    kind = draw(st.sampled_from(["ReduceMean", "ReduceMax", "ReduceSum"]))
    rank = len(net.shapes[x])
    axes = draw(st.lists(st.integers(1, rank - 1), min_size=1, max_size=2, unique=True))
    if kind == "ReduceSum":
        return net.node(kind, x, net.integers(*axes), keepdims=1)
    return net.node(kind, x, axes=axes, keepdims=1)


def sums(draw: Draw, net: Network, x: str) -> str:
    kind = draw(st.sampled_from(["Sum", "Mean"]))
    others = [name for name in net.shapes if net.shapes[name] == net.shapes[x]]
    row = net.normal(int(net.shapes[x][-1]))
    more = draw(st.lists(st.sampled_from([*others, row]), min_size=1, max_size=3))
    return net.node(kind, x, *more, shape=net.shapes[x])


MOVES: tuple[Step, ...] = (
    resize,
    tile,
    blocks,
    pad_with_elements,
    gather,
    reduction,
    reduction,
    sums,
)


@st.composite
def moved(draw: Draw) -> Network:
    """A convolution, one to three of the steps above, and another convolution."""
    net = Network(draw(st.integers(0, 2**16)), draw(BATCHES))
    axes = draw(st.integers(1, 2))
    c = draw(st.sampled_from([1, 3, 4, 8]))
    x = image(draw, net, axes, c)
    x = net.node("Conv", x, net.weight(c, c, *[1] * axes, sums=c))
    for _ in range(draw(st.integers(1, 3))):
        result = draw(st.sampled_from(MOVES))(draw, net, x)
        if result is not None and net.size(result) <= SPATIAL * 8:
            x = result
    c = int(net.shapes[x][1])
    if draw(st.booleans()):
        x = net.node("Conv", x, net.weight(3, c, *[1] * axes, sums=c))
    net.outputs.append(x)
    return net
