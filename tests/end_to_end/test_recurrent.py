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
from onnx.backend.test.loader import load_model_tests

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


def node_tests() -> list[TestCase]:
    """The tests of recurrent operators that onnx has."""
    with np.errstate(all="ignore"):
        cases = load_model_tests(kind="node")
    return [case for case in cases if case.model and case.model.graph.node[0].op_type in GATES]


def baked(case: TestCase) -> tuple[onnx.ModelProto, dict[str, Array], list[Array]]:
    """A model whose inputs are constants but for the sequence, its feed and its outputs."""
    assert case.model is not None and case.data_sets is not None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    arrays = dict(zip([entry.name for entry in model.graph.input], inputs, strict=True))
    first = model.graph.input[0]
    del model.graph.input[:]
    model.graph.input.append(first)
    feed = {first.name: np.asarray(arrays.pop(first.name))}
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model, feed, [np.asarray(output) for output in outputs]


@pytest.mark.parametrize("case", node_tests(), ids=lambda case: str(case.name))
def test_node_test_of_onnx(precise: Path, case: TestCase) -> None:
    model, feed, outputs = baked(case)
    image, _ = compile_image(model, target=precise, calibration=[feed])
    assert_native(image)
    found = assert_same_bits(image, feed)
    expected = dict(zip([entry.name for entry in model.graph.output], outputs, strict=True))
    assert_accurate(found, expected, noise=0.15)
