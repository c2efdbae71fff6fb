"""Hypothesis strategies for small networks of all operators that the chip supports."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.end_to_end.network import Network

Draw = st.DrawFn
Step = Callable[[Draw, Network, str], str | None]
"""Adds nodes behind a value and returns their result, or None where they do not fit it."""

BATCHES: st.SearchStrategy[int | str] = st.sampled_from(["N", "N", "N", 1, 2])
LARGEST = 6000  # elements of one sample of an activation
LARGEST_MATRIX = 400_000


def _sizes(draw: Draw, count: int, low: int, high: int) -> list[int]:
    return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))


def spatial(net: Network, x: str) -> tuple[int, ...]:
    """The spatial axes of (N, C, *S), or () for other values."""
    shape = net.shapes[x]
    is_image = len(shape) in (3, 4) and shape[0] == net.batch and shape.count(net.batch) == 1
    return tuple(dim for dim in shape[2:] if isinstance(dim, int)) if is_image else ()


def channels(net: Network, x: str) -> int:
    """Axis 1 of (N, C, *S)."""
    return int(net.shapes[x][1])


def padding(draw: Draw, size: tuple[int, ...], reach: list[int], most: list[int]) -> dict[str, Any]:
    """`auto_pad` or `pads` that leave room for a window at least, each at most `most`."""
    count = len(size)
    fits = all(n >= r for n, r in zip(size, reach, strict=True))
    kinds = ["pads", "SAME_UPPER", "SAME_LOWER", *(["VALID"] if fits else [])]
    kind = draw(st.sampled_from(kinds))
    if kind != "pads":
        return {"auto_pad": kind}
    begins = [draw(st.integers(0, limit)) for limit in most]
    ends = [draw(st.integers(0, limit)) for limit in most]
    for axis in range(count):
        missing = reach[axis] - size[axis] - begins[axis] - ends[axis]
        if missing > 0:
            ends[axis] += missing
    return {"pads": [*begins, *ends]}


def conv(draw: Draw, net: Network, x: str) -> str | None:
    size = spatial(net, x)
    if not size:
        return None
    count, c = len(size), channels(net, x)
    kernel = _sizes(draw, count, 1, 4)
    strides = _sizes(draw, count, 1, 3)
    dilations = draw(st.one_of(st.just([1] * count), st.builds(list, st.just([2] * count))))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    group = draw(st.sampled_from([1, 1, c, *(g for g in (2, 3, 4) if c % g == 0)]))
    per_group = draw(st.sampled_from([1, 1, 2, 3, 7] if group > 1 else [1, 2, 5, 12, 40, 270]))
    m = group * per_group
    rows = c // group * math.prod(kernel)
    # A symmetric window of dilation 2 and auto_pad is defined differently by each runtime.
    pads = padding(draw, size, reach, [r for r in reach])
    if "auto_pad" in pads:
        dilations = [1] * count
        reach = kernel
        if pads["auto_pad"] == "VALID" and any(n < r for n, r in zip(size, reach, strict=True)):
            return None
    if rows * m > LARGEST_MATRIX:
        return None
    operands = [x, net.weight(m, c // group, *kernel, sums=rows)]
    if draw(st.booleans()):
        operands.append(net.normal(m, scale=0.5))
    if math.prod(size) * m > LARGEST and all(s == 1 for s in strides):
        return None
    return net.node(
        "Conv",
        *operands,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=group,
        **pads,
    )


def batch_norm(draw: Draw, net: Network, x: str) -> str | None:
    if not spatial(net, x) and len(net.shapes[x]) != 2 or net.shapes[x][0] != net.batch:
        return None
    c = channels(net, x)
    variance = net.constant(net.rng.uniform(0.5, 2.0, c).astype(np.float32))
    return net.node(
        "BatchNormalization",
        x,
        net.normal(c, scale=0.2, mean=1.0),
        net.normal(c, scale=0.2),
        net.normal(c, scale=0.2),
        variance,
    )


def pool(draw: Draw, net: Network, x: str) -> str | None:
    size = spatial(net, x)
    if not size:
        return None
    count = len(size)
    kind = draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool"]))
    if kind == "GlobalAveragePool":
        return net.node(kind, x)
    kernel = [draw(st.integers(1, min(4, n + 1))) for n in size]
    pads = padding(draw, size, kernel, [(k - 1) // 2 for k in kernel])
    strides = _sizes(draw, count, 1, 3)
    if "auto_pad" in pads:  # ONNX Runtime refuses to leave gaps between padded windows
        strides = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    if any(p >= kernel[i % count] for i, p in enumerate(pads.get("pads", ()))):
        return None
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(draw(st.booleans()))
    if "pads" in pads:
        attributes["ceil_mode"] = int(draw(st.booleans()))
    return net.node(kind, x, **attributes, **pads)


def activation(draw: Draw, net: Network, x: str) -> str:
    kinds = ["Relu", "Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Abs"]
    kind = draw(st.sampled_from(kinds))
    if kind != "Clip":
        return net.node(kind, x)
    low, high = draw(st.sampled_from([(-0.7, 0.9), (0.0, 6.0), (0.0, 0.8), (-1.5, -0.1)]))
    bounds = [net.constant(np.array(bound, np.float32)) for bound in (low, high)]
    return net.node("Clip", x, *bounds)


def affine(draw: Draw, net: Network, x: str) -> str:
    """A product or sum with a constant of any shape that is broadcast to the value."""
    kind = draw(st.sampled_from(["Mul", "Add", "Sub", "Div"]))
    shape = [1 if dim == net.batch else int(dim) for dim in net.shapes[x]]
    kept = [draw(st.booleans()) for _ in shape]
    shape = [dim if keep else 1 for dim, keep in zip(shape, kept, strict=True)]
    while shape and shape[0] == 1 and draw(st.booleans()):
        shape.pop(0)
    values = net.rng.uniform(0.5, 1.5, shape) * net.rng.choice([-1.0, 1.0], shape)
    constant = net.constant(np.asarray(values, np.float32))
    pair = (x, constant) if kind == "Div" or draw(st.booleans()) else (constant, x)
    return net.node(kind, *pair)


def combine(draw: Draw, net: Network, x: str) -> str:
    """A sum or product with an earlier value of the same shape (or of one that is broadcast)."""
    kind = draw(st.sampled_from(["Add", "Add", "Mul"]))
    shape = net.shapes[x]

    def fits(other: tuple[int | str, ...]) -> bool:
        return len(other) == len(shape) and all(
            a == b or a == 1 for a, b in zip(other, shape, strict=True)
        )

    others = [name for name, other in net.shapes.items() if fits(other)]
    other = draw(st.sampled_from(others))
    pair = (x, other) if draw(st.booleans()) else (other, x)
    return net.node(kind, *pair, shape=shape)


def residual_block(draw: Draw, net: Network, x: str) -> str | None:
    """A convolution or product that keeps the shape, plus its input, activated."""
    if spatial(net, x):
        count, c = len(spatial(net, x)), channels(net, x)
        y = net.node(
            "Conv", x, net.weight(c, c, *[3] * count, sums=c * 3**count), pads=[1] * count * 2
        )
    else:
        width = net.shapes[x][-1]
        if not isinstance(width, int) or net.shapes[x][-1] == net.batch:
            return None
        y = net.node("MatMul", x, net.weight(width, width, sums=width), shape=net.shapes[x])
    pair = (x, y) if draw(st.booleans()) else (y, x)
    total = net.node("Add", *pair, shape=net.shapes[x])
    return net.node("Relu", total) if draw(st.booleans()) else total


def matmul(draw: Draw, net: Network, x: str) -> str | None:
    width = net.shapes[x][-1]
    if len(net.shapes[x]) < 2 or not isinstance(width, int) or width == net.batch:
        return None
    out = draw(st.sampled_from([1, 3, 10, 64, 300]))
    if net.size(x) // width * out > LARGEST or width * out > LARGEST_MATRIX:
        return None
    if len(net.shapes[x]) == 2 and draw(st.booleans()):
        bias = [net.normal(out, scale=0.5)] if draw(st.booleans()) else []
        if draw(st.booleans()):
            return net.node("Gemm", x, net.weight(out, width, sums=width), *bias, transB=1)
        return net.node("Gemm", x, net.weight(width, out, sums=width), *bias, alpha=0.5, beta=2.0)
    shape = (*net.shapes[x][:-1], out)
    return net.node("MatMul", x, net.weight(width, out, sums=width), shape=shape)


def flatten(draw: Draw, net: Network, x: str) -> str | None:
    if net.shapes[x][0] != net.batch or len(net.shapes[x]) < 2:
        return None
    return net.node("Flatten", x, shape=(net.batch, net.size(x)))


def reshape(draw: Draw, net: Network, x: str) -> str | None:
    """The sample's elements in another shape, the batch first."""
    if net.shapes[x][0] != net.batch or net.batch == 1 and len(net.shapes[x]) < 2:
        return None
    left = net.size(x)
    dims = []
    for _ in range(draw(st.integers(0, 2))):
        divisors = [n for n in range(1, min(left, 40) + 1) if left % n == 0]
        dims.append(draw(st.sampled_from(divisors)))
        left //= dims[-1]
    dims.append(left)
    wanted = net.integers(0, *dims)
    return net.node("Reshape", x, wanted, shape=(net.batch, *dims))


def transpose(draw: Draw, net: Network, x: str) -> str:
    shape = net.shapes[x]
    order = draw(st.permutations(range(len(shape))))
    if draw(st.booleans()):  # the batch stays where it is
        axis = net.batch_axis(x)
        order = [old for old in order if old != axis]
        order.insert(axis, axis)
    return net.node("Transpose", x, perm=order, shape=tuple(shape[axis] for axis in order))


def cut(draw: Draw, net: Network, x: str) -> str | None:
    """A Slice of one axis, maybe with a step, maybe backwards."""
    axes = [i for i, dim in enumerate(net.shapes[x]) if dim != net.batch]
    if not axes:
        return None
    axis = draw(st.sampled_from(axes))
    size = int(net.shapes[x][axis])
    start = draw(st.integers(0, size - 1))
    step = draw(st.sampled_from([1, 1, 2, -1]))
    end = size if step > 0 else -size - 1
    bounds = [net.integers(n) for n in (start, end, axis, step)]
    return net.node("Slice", x, *bounds)


def pad(draw: Draw, net: Network, x: str) -> str:
    shape = net.shapes[x]
    amounts = [0 if dim == net.batch else draw(st.integers(0, 2)) for dim in (*shape, *shape)]
    operands = [x, net.integers(*amounts)]
    if draw(st.booleans()):
        operands.append(net.constant(np.array(0.5, np.float32)))
    return net.node("Pad", *operands)


def concat(draw: Draw, net: Network, x: str) -> str | None:
    """Side by side with another value, or with itself."""
    shape = net.shapes[x]
    found = []
    for name, other in net.shapes.items():
        if len(other) != len(shape):
            continue
        differ = [i for i in range(len(shape)) if shape[i] != other[i]]
        axes = differ if len(differ) == 1 else [] if differ else list(range(len(shape)))
        found += [(name, axis) for axis in axes if shape[axis] != net.batch != other[axis]]
    if not found:
        return None
    other_name, axis = draw(st.sampled_from(found))
    if net.size(x) + net.size(other_name) > LARGEST:
        return None
    pair = (x, other_name) if draw(st.booleans()) else (other_name, x)
    return net.node("Concat", *pair, axis=axis)


def squeeze(draw: Draw, net: Network, x: str) -> str | None:
    shape = net.shapes[x]
    if draw(st.booleans()) and len(shape) < 4:
        axis = draw(st.integers(1, len(shape)))
        return net.node("Unsqueeze", x, net.integers(axis))
    ones = [i for i, dim in enumerate(shape) if dim == 1 and dim != net.batch]
    if not ones or len(shape) < 3:
        return None
    return net.node("Squeeze", x, net.integers(draw(st.sampled_from(ones))))


def on_host(draw: Draw, net: Network, x: str) -> str:
    """Something that the chip cannot do, and that ONNX Runtime computes exactly: the bits of others
    may depend on the size of the batch."""
    return net.node("PRelu", x, x)  # the square of what is negative


STEPS: tuple[Step, ...] = (
    conv,
    conv,
    batch_norm,
    pool,
    activation,
    affine,
    combine,
    residual_block,
    matmul,
    flatten,
    reshape,
    transpose,
    cut,
    pad,
    concat,
    squeeze,
    on_host,
)


@st.composite
def networks(draw: Draw, steps: tuple[Step, ...] = STEPS, least: int = 1, most: int = 6) -> Network:
    """A chain of steps from one or two inputs, with cross-connections and several outputs."""
    batch = draw(BATCHES)
    net = Network(draw(st.integers(0, 2**16)), batch)
    rank = draw(st.sampled_from([2, 3, 4, 4]))
    c = draw(st.sampled_from([1, 2, 3, 4, 6, 16, 70, 300]))
    side = st.integers(1, 3 if c > 20 else 9)
    x = net.input(batch, c, *(draw(side) for _ in range(rank - 2)))
    if draw(st.integers(0, 4)) == 0:
        net.input(*net.shapes[x])
    done = 0
    for number in range(draw(st.integers(least, most))):
        chosen = (conv, matmul) if number == 0 and draw(st.booleans()) else steps
        step = draw(st.sampled_from(chosen))
        result = step(draw, net, x)
        if result is not None and 0 < net.size(result) <= 4 * LARGEST:
            x, done = result, done + 1
    if not done or draw(st.booleans()):
        x = matmul(draw, net, x) or conv(draw, net, x) or net.node("Identity", x)
    net.outputs.append(x)
    made = [name for name in net.shapes if name.startswith("value") and name != x]
    if made and draw(st.integers(0, 3)) == 0:
        net.outputs.append(draw(st.sampled_from(made)))
    return net


convolutional = networks(
    steps=(conv, conv, pool, activation, residual_block, concat, batch_norm), least=1, most=5
)
moving = networks(
    steps=(transpose, reshape, cut, pad, concat, squeeze, matmul, conv, combine), least=3, most=8
)


@st.composite
def pooled_layers(draw: Draw) -> Network:
    """A convolution of one position, and pooling."""
    net = Network(draw(st.integers(0, 2**16)))
    c, size = draw(st.integers(1, 6)), draw(st.lists(st.integers(2, 9), min_size=1, max_size=2))
    x = net.input("N", c, *size)
    x = net.node("Conv", x, net.weight(c, c, *[1] * len(size), sums=c))
    net.outputs.append(pool(draw, net, x) or x)
    return net


@st.composite
def single_layers(draw: Draw) -> Network:
    """One convolution or product, with whatever its LDPU does behind it."""
    net = draw(networks(steps=(conv, matmul), least=1, most=1))
    x = net.outputs[0]
    for step in (batch_norm, activation):
        x = (step(draw, net, x) if draw(st.booleans()) else None) or x
    net.outputs[0] = x
    return net
