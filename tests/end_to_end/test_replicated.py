"""Networks that hypothesis makes: copies of layers change no bit, on any executor, and
nothing waits for ever where channels hold no more than they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anacc.compiler import compile_image
from anacc.program.image import Image
from anacc_runtime.reference import Executor
from tests.end_to_end.checks import assert_equal, assert_same_bits
from tests.end_to_end.finite import stalled
from tests.end_to_end.network import Array, Network
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import convolutional, moving, networks

OBJECTIVES = st.sampled_from(["throughput", "latency"])
SAMPLES = 3


def compiled(
    net: Network, feed: dict[str, Array], objective: str | None, read_mode: str = "4-phase"
) -> Image:
    image, _ = compile_image(
        net.model(), calibration=[feed], optimize=objective, read_mode=read_mode
    )
    return image


def replicas(image: Image) -> int:
    """The copies of the layer that has most."""
    return 1 + max((tile["replica"] for tile in image.mapping["tiles"]), default=0)


def check(net: Network, objective: str) -> Image:
    """The program with copies, which gives the bits of that without."""
    samples = SAMPLES if isinstance(net.batch, str) else net.batch
    feed = net.feed(samples, seed=net.seed)
    expected = Executor(compiled(net, feed, None)).run(feed)
    image = compiled(net, feed, objective)
    assert_equal(assert_same_bits(image, feed), expected, "copies")
    assert not stalled(image)
    return image


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(convolutional, OBJECTIVES)
def test_convolutions(net: Network, objective: str) -> None:
    check(net, objective)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(networks(), moving), OBJECTIVES)
def test_other_layers(net: Network, objective: str) -> None:
    check(net, objective)


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(recurrent_networks())
def test_beside_recurrent_layers(net: Network) -> None:
    check(net, "throughput")


def convolution(net: Network, x: str, m: int, kernel: int, **attributes: Any) -> str:
    c, group = int(net.shapes[x][1]), attributes.get("group", 1)
    weight = net.weight(m, c // group, kernel, kernel, sums=c // group * kernel**2)
    return net.node("Conv", x, weight, kernel_shape=[kernel] * 2, **attributes)


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_layers_of_all_kinds_have_copies(objective: str) -> None:
    """Windows with strides, padding, dilations and groups, tokens as they are, residual operands,
    several row and column tiles, and a sequence: all have copies, in numbers that leave rests."""
    net = Network(3)
    x = net.input("N", 3, 13, 11)
    x = convolution(net, x, 24, 3, strides=[1, 2], pads=[1, 1, 1, 1])
    skip = convolution(net, x, 300, 1)
    y = convolution(net, x, 24, 3, pads=[2, 2, 2, 2], dilations=[2, 2], group=24)
    y = net.node("Relu", convolution(net, y, 300, 1))
    x = net.node("Add", convolution(net, y, 300, 1), skip)
    x = convolution(net, x, 5, 2, strides=[3, 1])
    net.outputs.append(x)
    image = check(net, objective)
    layers = [each for each in image.mapping["layers"] if each["kind"] == "crossbar"]
    assert len(layers) == 6
    assert all(layer["replicas"] > 1 for layer in layers), layers


def test_products_of_a_sequence_have_copies() -> None:
    net = Network(5)
    x = net.input("N", 19, 40)
    for width in (70, 40):
        c = int(net.shapes[x][2])
        x = net.node("MatMul", x, net.weight(c, width, sums=c), shape=("N", 19, width))
    net.outputs.append(x)
    assert replicas(check(net, "throughput")) > 1
