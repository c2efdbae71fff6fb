"""Channels of very different range, read by depthwise convolutions: each keeps its accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from anacc import Program
from anacc.compiler import compile_image
from tests.end_to_end.checks import (
    Array,
    assert_accurate,
    assert_same_bits,
    onnx_results,
    precise_target,
)
from tests.end_to_end.network import Network

CHANNELS = 12
SPREAD = 2.0 ** -np.arange(CHANNELS)  # ranges of the channels: from 1 to 1/2048


def separable(activation: str) -> tuple[Network, onnx.ModelProto]:
    """A pointwise convolution whose channels have the ranges SPREAD, and a depthwise one."""
    net = Network(seed=1)
    x = net.input("N", 6, 8, 8)
    weight = net.rng.standard_normal((CHANNELS, 6, 1, 1)) * SPREAD.reshape(-1, 1, 1, 1)
    y = net.node("Conv", x, net.constant(weight.astype(np.float32)))
    if activation == "Clip":
        bounds = (net.constant(np.array(bound, np.float32)) for bound in (0, 1.5))
        y = net.node("Clip", y, *bounds)
    elif activation:
        y = net.node(activation, y)
    z = net.node("Conv", y, net.weight(CHANNELS, 1, 3, 3, sums=9), group=CHANNELS)
    net.outputs.append(z)
    return net, net.model()


def ratios(found: Array, exact: Array) -> Array:
    """The signal-to-noise ratio of each channel, dB."""
    error = np.sum((found - exact.astype(np.float64)) ** 2, axis=(0, 2, 3))
    signal = np.sum(exact.astype(np.float64) ** 2, axis=(0, 2, 3))
    return np.asarray(10 * np.log10(signal / error))


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
def test_every_channel_is_accurate(tmp_path: Path, activation: str) -> None:
    """Without a factor of its own, a channel of 1/128 of the largest range has a single code.

    With it, an element errs by some 1.7 % (see `assert_accurate`), 35 dB; 25 dB leaves a factor of
    three.  Channels beyond the least factor, 2^-8, lose 6 dB for each halving.
    """
    net, model = separable(activation)
    feed = net.feed(8, seed=2)
    image, _ = compile_image(model, target=precise_target(tmp_path), calibration=[feed])
    assert_same_bits(image, feed)
    (name,) = (port.name for port in image.manifest.outputs)
    found = ratios(Program(image).run(feed)[name], onnx_results(model, feed)[name])
    assert np.all(found[:9] >= 25), found
    assert np.all(found[9:] >= 25 - 6.1 * np.arange(1, CHANNELS - 8)), found


@pytest.mark.parametrize("width", [7, CHANNELS])
def test_columns_of_a_product_are_no_channels(tmp_path: Path, width: int) -> None:
    """A product makes the last axis; a depthwise convolution behind it has channels on another,
    maybe of the same size, and in ranges that differ."""
    net = Network(seed=1)
    x = net.input("N", CHANNELS, 20)
    y = net.node("MatMul", x, net.weight(20, width, sums=20), shape=("N", CHANNELS, width))
    net.outputs.append(
        net.node("Conv", y, net.weight(CHANNELS, 1, 3, sums=3), group=CHANNELS, pads=[1, 1])
    )
    model, feed = net.model(), net.feed(8, seed=2)
    feed["input0"] *= SPREAD.reshape(1, -1, 1).astype(np.float32)
    image, _ = compile_image(model, target=precise_target(tmp_path), calibration=[feed])
    assert_accurate(assert_same_bits(image, feed), onnx_results(model, feed), 0.05)
