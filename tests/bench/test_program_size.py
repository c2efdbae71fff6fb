"""Code is loops over positions: its size does not grow with the feature maps."""

from __future__ import annotations

from bench import shapes
from bench.program_size import program_size
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
    small, large = (program_size(network(size).model()) for size in (32, 128))
    assert small.streams == large.streams and small.constants == large.constants
    assert abs(large.instructions - small.instructions) <= 4
    assert large.code < 1.05 * small.code < 8000


def test_code_of_resnet9() -> None:
    """The 218 million multiply-accumulates of an image are some hundreds of instructions."""
    size = program_size(shapes.build("resnet-9"))
    assert size.instructions < 800 and size.code < 10_000
