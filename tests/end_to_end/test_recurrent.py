"""Recurrent layers of all kinds: on crossbars, native, over long sequences, as onnx tests them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase

from anacc.compiler import compile_image
from anacc.program.image import Image
from anacc_runtime.native.lower import lower
from anacc_runtime.network import network
from tests.end_to_end.checks import (
    Array,
    assert_accurate,
    assert_same_bits,
    onnx_results,
    precise_target,
)
from tests.end_to_end.network import Network
from tests.end_to_end.recurrent import GATES
from tests.frontend.check import feed_of, floats, model
from tests.onnx_backend.cases import cases_of

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("LSTM", {"activations": ["HardSigmoid", "Relu", "Tanh"]}),
    ("GRU", {"linear_before_reset": 0}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 1, "activations": ["HardSigmoid", "Tanh"]}),
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
]


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


def recurrent(operator: str, hidden: int, steps: int, **attributes: Any) -> Network:
    """A network of one recurrent layer, all of whose results are outputs."""
    net = Network(3)
    count = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[operator] * hidden
    x = net.input(steps, "N", 20)
    weight = net.normal(count, rows, 20, scale=0.4)
    recurrence = net.normal(count, rows, hidden, scale=0.5 / math.sqrt(hidden))
    bias = net.normal(count, 2 * rows, scale=0.5)
    operands = (x, weight, recurrence, bias)
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * count
    results = 3 if operator == "LSTM" else 2
    net.outputs += net.nodes(operator, operands, results, hidden_size=hidden, **attributes)
    return net


def assert_native(image: Image) -> None:
    """No part of a program runs on the host, or for want of operations in the reference."""
    assert not image.segments
    streams = network(image)
    for phase in streams.phases:
        if not phase.host:
            lower(image, streams, phase)  # raises `Unsupported`


@pytest.mark.parametrize(("operator", "attributes"), KINDS, ids=str)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_runs_natively(
    precise: Path, operator: str, attributes: dict[str, Any], direction: str
) -> None:
    """Three chunks of hidden units, which pass codes to each other."""
    net = recurrent(operator, 130, 4, direction=direction, **attributes)
    image, _ = compile_image(net.model(), target=precise, calibration=[net.feed(3, 1)])
    assert_native(image)
    assert_same_bits(image, net.feed(3, 2))


@pytest.mark.parametrize(("operator", "attributes"), KINDS, ids=str)
def test_long_sequences(precise: Path, operator: str, attributes: dict[str, Any]) -> None:
    """Errors of codes do not grow: the states that go on are not rounded to 8 bits."""
    net = recurrent(operator, 20, 200, **attributes)
    feed = net.feed(2, 1)
    image, _ = compile_image(net.model(), target=precise, calibration=[feed])
    found = assert_same_bits(image, feed)
    assert_accurate(found, onnx_results(net.model(), feed), noise=0.1)


@pytest.mark.parametrize("operator", GATES)
def test_lengths_of_sequences(precise: Path, operator: str) -> None:
    """Each sample has a length of its own, read backwards too: the host makes masks of them."""
    rows = 5 * GATES[operator]
    net = model(
        "g (float[7,N,3] x, int32[N] l) => (float[7,2,N,5] y, float[2,N,5] k) "
        f'{{ y, k = {operator} <hidden_size=5, direction="bidirectional"> (x, w, r, b, l) }}',
        w=floats(2, rows, 3),
        r=floats(2, rows, 5) / 2,
        b=floats(2, 2 * rows),
    )
    feed = feed_of(net, {"N": 4}) | {"l": np.array([7, 0, 1, 4], np.int32)}
    image, _ = compile_image(net, target=precise, calibration=[feed])
    assert image.mapping["macs"]["host"] == 0
    found = assert_same_bits(image, feed)
    assert_accurate(found, onnx_results(net, feed), noise=0.1)
    assert not found["y"][4:, :, 3].any() and not found["k"][:, 1].any()


def node_tests() -> list[TestCase]:
    """The tests of recurrent operators that onnx has."""
    return [case for module in ("gru", "lstm", "rnn") for case in cases_of(module)]


def baked(case: TestCase) -> tuple[onnx.ModelProto, dict[str, Array], list[Array]]:
    """A model whose inputs are constants but for the sequence, its feed and its outputs."""
    assert case.model is not None and case.data_sets is not None
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    arrays = dict(zip([entry.name for entry in proto.graph.input], inputs, strict=True))
    first = proto.graph.input[0]
    del proto.graph.input[:]
    proto.graph.input.append(first)
    feed = {first.name: np.asarray(arrays.pop(first.name))}
    for name, array in arrays.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto, feed, [np.asarray(output) for output in outputs]


@pytest.mark.parametrize("case", node_tests(), ids=lambda case: str(case.name))
def test_node_test_of_onnx(precise: Path, case: TestCase) -> None:
    proto, feed, outputs = baked(case)
    image, _ = compile_image(proto, target=precise, calibration=[feed])
    assert_native(image)
    found = assert_same_bits(image, feed)
    expected = dict(zip([entry.name for entry in proto.graph.output], outputs, strict=True))
    assert_accurate(found, expected, noise=0.15)
