"""Code is loops over positions: its size does not grow with the feature maps."""

from __future__ import annotations

import warnings

from anacc.compiler import compile_image
from anacc.program.encode import encode
from anacc.program.model import Code, Loop, Node
from tests.end_to_end.network import Network


def network(size: int) -> Network:
    """What convolutional networks are made of, on images of this size: strides, residual blocks,
    poolings that overlap, grouped convolutions with a shuffle, and branches side by side."""
    net = Network(5)
    x = net.node("Relu", conv(net, net.input("N", 3, size, size), 16, 7, stride=2))
    x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    for _ in range(3):
        y = conv(net, net.node("Relu", conv(net, x, 16, 3)), 16, 3)
        x = net.node("Relu", net.node("Add", x, y))
    side = net.sample(x)[1]
    y = conv(net, x, 16, 1, groups=4)
    y = net.node("Reshape", y, net.integers(0, 4, 4, side, side), shape=("N", 4, 4, side, side))
    y = net.node("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = net.node("Reshape", y, net.integers(0, 16, side, side), shape=("N", 16, side, side))
    y = conv(net, y, 16, 3, groups=16)
    z = net.node("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    x = net.node("Concat", y, conv(net, z, 16, 1), axis=1)
    x = net.node("Relu", conv(net, x, 300, 3, stride=2))
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    net.outputs.append(net.node("MatMul", x, net.weight(300, 10, sums=300)))
    return net


def conv(net: Network, x: str, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> str:
    """A convolution that keeps the size, or divides it by the stride."""
    inputs = net.sample(x)[0] // groups
    weight = net.weight(channels, inputs, kernel, kernel, sums=inputs * kernel**2)
    pads, strides = [kernel // 2] * 4, [stride] * 2
    return net.node("Conv", x, weight, pads=pads, strides=strides, group=groups)


def test_code_does_not_grow_with_feature_maps() -> None:
    """Sixteen times the positions; the border of an image may take an instruction more or less, and
    counts and addresses, which are larger numbers, a byte or two more."""
    small, large = compiled(network(32)), compiled(network(128))
    assert len(small.streams) == len(large.streams)
    assert abs(instructions(large) - instructions(small)) <= 4
    assert len(encode(large)) < 1.05 * len(encode(small)) < 8000


def compiled(net: Network) -> Code:
    """The code of a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how accurate random weights are
        image, _ = compile_image(net.model(), calibration=[net.feed(1, seed=2)])
    return image.code


def instructions(code: Code) -> int:
    """Instructions and loops of all streams."""
    return sum(count(stream.body) for stream in code.streams)


def count(body: tuple[Node, ...]) -> int:
    """Instructions and loops of a body, and of the loops in it."""
    return sum(1 + (count(node.body) if isinstance(node, Loop) else 0) for node in body)
