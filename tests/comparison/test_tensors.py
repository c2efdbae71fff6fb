"""Tensors of a program: every layout, format and cut is read back as ONNX has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anacc
from anacc.comparison.tensors import HeldTensor
from tests.end_to_end.checks import precise_target
from tests.end_to_end.network import Array, Network


@given(
    st.permutations(range(3)),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(-9, 9),
    st.integers(0, 99),
)
@settings(max_examples=50)
def test_encoding_and_decoding_are_inverse(
    permutation: list[int], batch_axis: int | None, factors: bool, zero: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dims = [2, 3, 6]
    batch = 1 if batch_axis is None else 4
    size = dims[permutation[-1]]
    shape: list[int | None] = [*dims]
    if batch_axis is not None:
        shape.insert(batch_axis, None)
    held = HeldTensor(
        "t",
        tuple(shape),
        batch_axis,
        tuple(permutation),
        {"i8": (0, 1), "f16": (2,)},
        0.5,
        zero,
        tuple(rng.uniform(0.5, 1, size)) if factors else (),
    )
    count = 36 // size
    tokens: dict[int, Array] = {
        2: rng.integers(-90, 90, (batch, count, size)).astype(np.float16),
        0: np.zeros((batch, count, 1), np.int8),
        1: np.zeros((batch, count, size - 1), np.int8),
    }
    tensor = held.decode(tokens)
    assert tensor.shape == tuple(batch if n is None else n for n in shape)
    again = held.encode(tensor, tokens)
    np.testing.assert_array_equal(again[2], tokens[2])
    np.testing.assert_array_equal(np.concatenate([again[0], again[1]], axis=2), tokens[2])
    # One element, found by its index along each axis.
    index = [int(rng.integers(n)) for n in dims]
    place = int(
        np.ravel_multi_index([index[a] for a in permutation], [dims[a] for a in permutation])
    )
    at: list[int] = [*index]
    if batch_axis is not None:
        at.insert(batch_axis, batch - 1)
    factor = held.factors[place % size] if factors else 1.0
    value = float(tokens[2].reshape(batch, -1)[-1, place])
    assert tensor[tuple(at)] == pytest.approx((value - zero) * 0.5 * factor)


def test_all_tensors_of_a_network_are_what_they_should_be(tmp_path: Path) -> None:
    """Convolutions, depthwise ones with equalised channels, pooling, transposes, a product."""
    net = Network(3)
    x = net.input("N", 4, 9, 8)
    first = net.constant(
        (net.rng.uniform(0, 1, (6, 4, 3, 3)) * np.geomspace(0.02, 1, 6).reshape(6, 1, 1, 1)).astype(
            np.float32
        )
    )
    value = net.node("Relu", net.node("Conv", x, first, pads=[1, 1, 1, 1]))
    depthwise = net.constant(net.rng.uniform(0.5, 1, (6, 1, 3, 3)).astype(np.float32))
    value = net.node("Relu", net.node("Conv", value, depthwise, group=6))
    value = net.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = net.node("Transpose", value, perm=[0, 2, 3, 1])
    value = net.node("MatMul", value, net.weight(6, 5, sums=6))
    value = net.node("Tanh", net.node("Flatten", value))
    net.outputs = [value]
    model, feed = net.model(), net.feed(6, seed=1)
    program = anacc.compile(model, target=precise_target(tmp_path), calibration=feed)
    assert any(held["factors"] for held in program.image.origin["tensors"])
    found = program.compare(model, feed)
    assert len(found.tensors) >= 6
    for loss in found.tensors:
        # A tensor in the wrong order would have no more than 0 dB.
        assert loss.snr_db > 25 and loss.alone_db > 25, loss


def test_all_tensors_of_a_recurrent_network(tmp_path: Path) -> None:
    net = Network(4)
    steps, features, hidden = 5, 7, 6
    x = net.input(steps, "N", features)
    weights = [
        net.weight(2, 4 * hidden, features, sums=features),
        net.weight(2, 4 * hidden, hidden, sums=hidden),
        net.normal(2, 8 * hidden, scale=0.1),
    ]
    y, y_h, y_c = net.nodes("LSTM", (x, *weights), 3, hidden_size=hidden, direction="bidirectional")
    net.outputs = [y, y_h, y_c]
    model, feed = net.model(), net.feed(6, seed=1)
    program = anacc.compile(model, target=precise_target(tmp_path), calibration=feed)
    found = program.compare(model, feed)
    assert {loss.tensor for loss in found.tensors} == {x, y, y_h, y_c}
    for loss in found.tensors:
        assert loss.snr_db > 25, loss
        assert (loss.core == "") == (loss.tensor == x)


def test_tensors_that_an_activation_was_brought_past_are_not_held(tmp_path: Path) -> None:
    """Pixels are shuffled, then rectified: on the chip the other way round."""
    net = Network(6)
    value = net.node("Conv", net.input("N", 4, 5, 6), net.weight(8, 4, 1, 1, sums=4))
    value = net.node("Reshape", value, net.integers(0, 2, 2, 2, 5, 6))
    shuffled = net.node("Transpose", value, perm=[0, 1, 4, 2, 5, 3])
    value = net.node("Relu", net.node("Reshape", shuffled, net.integers(0, 2, 10, 12)))
    net.outputs = [net.node("Conv", value, net.weight(3, 2, 3, 3, sums=18))]
    model, feed = net.model(), net.feed(6, seed=1)
    program = anacc.compile(model, target=precise_target(tmp_path), calibration=feed)
    found = program.compare(model, feed)
    assert value in [loss.tensor for loss in found.tensors]
    for loss in found.tensors:
        assert loss.snr_db > 25 and loss.alone_db > 25, loss


def test_a_chip_that_holds_nothing_is_no_error() -> None:
    net = Network(7)
    net.outputs = [net.node("Sin", net.input("N", 4))]
    model, feed = net.model(), net.feed(2, seed=1)
    found = anacc.compile(model, calibration=feed).compare(model, feed)
    assert found.tensors == () and found.sentence() == "the chip holds no tensor of the model"
