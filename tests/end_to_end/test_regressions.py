"""Small networks that once did not compile or gave wrong results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anacc.compiler import compile_image
from tests.end_to_end.checks import (
    Results,
    assert_accurate,
    assert_same_bits,
    onnx_results,
    precise_target,
)
from tests.end_to_end.network import Network


def check(net: Network, folder: Path, *outputs: str) -> Results:
    """Compile for a precise chip; all executors agree, and with ONNX Runtime."""
    net.outputs += outputs
    model, feed = net.model(), net.feed(4 if net.batch == "N" else int(net.batch), seed=1)
    image, _ = compile_image(model, target=precise_target(folder), calibration=[feed])
    found = assert_same_bits(image, feed)
    assert_accurate(found, onnx_results(model, feed), noise=0.1)
    return found


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_value_is_both_operands(tmp_path: Path, kind: str) -> None:
    net = Network(1)
    x = net.input("N", 300)
    y = net.node("MatMul", x, net.weight(300, 6, sums=300))
    check(net, tmp_path, net.node(kind, y, y))


@pytest.mark.parametrize("width", [6, 300])
def test_input_of_a_product_is_its_residual(tmp_path: Path, width: int) -> None:
    net = Network(1)
    x = net.input("N", width)
    y = net.node("MatMul", x, net.weight(width, width, sums=width))
    check(net, tmp_path, net.node("Add", y, x))


def test_input_of_a_convolution_of_one_position_is_its_residual(tmp_path: Path) -> None:
    net = Network(1)
    x = net.input("N", 8, 3, 3)
    y = net.node("Conv", x, net.weight(8, 8, 1, 1, sums=8))
    check(net, tmp_path, net.node("Relu", net.node("Add", x, y)))


def test_value_is_concatenated_with_itself_around_another(tmp_path: Path) -> None:
    net = Network(1)
    x = net.input("N", 4, 3, 3)
    y = net.node("Relu", net.node("Conv", x, net.weight(4, 4, 1, 1, sums=4)))
    z = net.node("MaxPool", net.node("Pad", x, net.integers(0, 0, 1, 1, 0, 0, 1, 1)),
                 kernel_shape=[3, 3])  # fmt: skip
    joined = net.node("Concat", y, z, y, x, z, axis=1)
    check(net, tmp_path, net.node("Conv", joined, net.weight(2, 20, 2, 2, sums=80)))


def test_one_value_is_both_initial_states(tmp_path: Path) -> None:
    net = Network(1)
    x, state = net.input(3, "N", 5), net.input(1, "N", 7, largest=1.0)
    weights = (net.weight(1, 28, 5, sums=2), net.weight(1, 28, 7, sums=2))
    y = net.nodes("LSTM", (x, *weights, "", "", state, state), 3, hidden_size=7)
    check(net, tmp_path, *y)


def test_convolution_of_a_product(tmp_path: Path) -> None:
    """A product's tokens are rows, a convolution's are positions."""
    net = Network(1)
    x = net.input("N", 4, 3, 2)
    y = net.node("MatMul", x, net.weight(2, 5, sums=2))
    z = net.node("Conv", y, net.weight(6, 4, 2, 2, sums=16))
    check(net, tmp_path, z, y)


def test_product_of_a_convolution_that_is_also_an_output(tmp_path: Path) -> None:
    net = Network(1)
    x = net.input("N", 2, 1, 3)
    y = net.node("Conv", x, net.weight(2, 1, 1, 1, sums=1), group=2)
    check(net, tmp_path, net.node("MatMul", y, net.weight(3, 10, sums=3)), y)


def test_strides_leave_rows_that_no_window_sees(tmp_path: Path) -> None:
    net = Network(1)
    x = net.input("N", 3, 8, 6)
    y = net.node("Conv", x, net.weight(5, 3, 1, 1, sums=3), strides=[3, 2])
    check(net, tmp_path, y)


@pytest.mark.parametrize("value", [-7.0, 0.3, 20.0])
def test_padding_is_larger_than_what_it_pads(tmp_path: Path, value: float) -> None:
    net = Network(1)
    x = net.input("N", 4, 3)
    y = net.node("MatMul", x, net.weight(3, 6, sums=3))
    amounts = net.integers(0, 1, 0, 0, 0, 1)
    padded = net.node("Pad", y, amounts, net.constant(np.array(value, np.float32)))
    found = check(net, tmp_path, padded, net.node("MatMul", padded, net.weight(7, 2, sums=7)))
    assert found[padded][0, 0, 0] == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("anchored", [False, True])
def test_batch_is_fixed_above_one(tmp_path: Path, anchored: bool) -> None:
    net = Network(1, batch=2)
    y = net.node("Abs", net.input(2, 4, 3))
    check(net, tmp_path, net.node("MatMul", y, net.weight(3, 6, sums=3)) if anchored else y)


@pytest.mark.parametrize("on_host", [False, True])
@pytest.mark.parametrize("samples", [0, 1, 3])
def test_any_number_of_samples(tmp_path: Path, on_host: bool, samples: int) -> None:
    net = Network(1)
    x = net.input("N", 4, 5, 5)
    y = net.node("Conv", x, net.weight(6, 4, 2, 2, sums=16))
    y = net.node("MaxPool", net.node("Abs", y) if on_host else y, kernel_shape=[2, 2])
    net.outputs.append(y)
    feed = net.feed(4, seed=1)
    image, _ = compile_image(net.model(), target=precise_target(tmp_path), calibration=[feed])
    found = assert_same_bits(image, {x: feed[x][:samples]})
    assert found[y].shape == (samples, 6, 3, 3)
    np.testing.assert_array_equal(found[y], assert_same_bits(image, feed)[y][:samples])
