"""The layer that loses accuracy is named, with the core, the column and the clips behind it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import anacc
from anacc.errors import FeedError, ProgramError, UsageError
from tests.end_to_end.checks import precise_target

Array = npt.NDArray[Any]


def chain(*weights: Array) -> onnx.ModelProto:
    """Products `fc1`, `fc2`, ... of weights (in, out), with a Relu `r1`, ... between them."""
    nodes = []
    name = "x"
    for number in range(1, len(weights) + 1):
        result = f"y{number}"
        nodes.append(helper.make_node("MatMul", [name, f"w{number}"], [result], f"fc{number}"))
        name = result
        if number < len(weights):
            nodes.append(helper.make_node("Relu", [name], [f"h{number}"], f"r{number}"))
            name = f"h{number}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", len(weights[0])])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", weights[-1].shape[1]])],
        [
            numpy_helper.from_array(weight.astype(np.float32), f"w{number}")
            for number, weight in enumerate(weights, 1)
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def positive(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.uniform(0, 1, shape), np.float32)


@pytest.mark.parametrize("bad", [1, 2])
def test_the_layer_with_a_huge_dynamic_range_is_named(bad: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(bad)
    weights = [rng.uniform(-0.2, 1, (24, 24)) for _ in range(4)]
    # A result of this layer is far larger than the others, and the next one does not need it: the
    # next layer gets nearly no codes.
    weights[bad][:, 0] = 500.0
    weights[bad + 1][0, :] = 0.0
    model, feed = chain(*weights), {"x": positive(rng, 40, 24)}
    program = anacc.compile(
        model, target=precise_target(tmp_path), calibration=feed, calibration_method="minmax"
    )
    found = program.compare(model, feed)
    ratios = {loss.tensor: loss for loss in found.tensors}
    assert list(ratios) == ["x", "h1", "h2", "h3", "y4"]
    assert all(loss.snr_db > 25 for loss in found.tensors[: bad + 2])
    assert found.culprit is found.tensors[bad + 2]
    assert found.culprit.nodes[0] == f"fc{bad + 2}"
    # Later layers are as poor, and not to blame.
    for loss in found.tensors[bad + 3 :]:
        assert loss.alone_db > 25 and loss.snr_db < loss.alone_db
    assert f"node `{found.culprit.nodes[-1]}`" in found.sentence()


def test_conversions_that_clip_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [np.ones((200, 3)), rng.uniform(0.5, 1, (3, 3))]
    weights[0][:, :2] = 0.01 * np.eye(200, 2)
    model = chain(*weights)
    # Calibration sees one input at a time; a run with all of them exceeds the third column.
    program = anacc.compile(model, calibration={"x": np.eye(200, dtype=np.float32)})
    found = program.compare(model, {"x": np.ones((4, 200), np.float32)})
    culprit = found.culprit
    assert culprit is not None and culprit.tensor == "h1"
    assert (culprit.clip_rate, culprit.column, culprit.columns) == (1.0, 2, (0, 3))
    assert culprit.range_used is not None and culprit.range_used > 1
    assert culprit.core.startswith("core 0.")
    assert "clips in 100.0 % of its conversions" in found.sentence()


def test_a_good_program_has_no_culprit_and_plain_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = chain(rng.standard_normal((30, 20)), rng.standard_normal((20, 10)))
    feed = {"x": rng.standard_normal((50, 30)).astype(np.float32)}
    program = anacc.compile(model, target=precise_target(tmp_path), calibration=feed)
    found = program.compare(model, feed)
    data = found.data()
    assert found.culprit is None and data["culprit"] is None
    assert data["sentence"].startswith("no layer falls below 20 dB; most is lost at node `")
    assert [entry["tensor"] for entry in data["tensors"]] == ["x", "h1", "y2"]
    assert data["tensors"][0]["clip_rate"] is None and data["tensors"][0]["fall_db"] is None
    for loss in found.tensors:
        assert loss.snr_db > 25
    # What the outputs lose is what `run` shows.
    result = program.run(feed)["y2"]
    exact = np.maximum(feed["x"] @ _weight(model, 0), 0) @ _weight(model, 1)
    error = float(np.sum((result - exact) ** 2))
    assert found.tensors[-1].snr_db == pytest.approx(
        10 * np.log10(float(np.sum(exact**2)) / error), abs=0.01
    )


def _weight(model: onnx.ModelProto, number: int) -> Array:
    return numpy_helper.to_array(model.graph.initializer[number])


def test_another_model_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((5, 5)) for _ in range(3)]
    feed = {"x": positive(rng, 4, 5)}
    program = anacc.compile(chain(*weights), calibration=feed)
    with pytest.raises(anacc.UsageError, match="the model has no tensor `h2`"):
        program.compare(chain(*weights[:2]), feed)


def test_a_program_without_the_list_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model, feed = chain(rng.standard_normal((5, 5))), {"x": positive(rng, 4, 5)}
    program = anacc.compile(model, calibration=feed)
    program.image.origin["tensors"][0]["channels"] = {"i8": [10**6]}
    with pytest.raises(anacc.ProgramError, match="list of tensors is damaged"):
        program.compare(model, feed)
    del program.image.origin["tensors"]
    with pytest.raises(anacc.ProgramError, match="does not state which tensors it holds"):
        program.compare(model, feed)


def test_a_feed_without_samples_is_refused() -> None:
    model = chain(np.eye(4))
    program = anacc.compile(model, calibration={"x": np.ones((2, 4), np.float32)})
    with pytest.raises(FeedError, match="no samples"):
        program.compare(model, {"x": np.ones((0, 4), np.float32)})


def test_a_model_of_another_width_is_refused() -> None:
    program = anacc.compile(chain(np.eye(4)), calibration={"x": np.ones((2, 4), np.float32)})
    with pytest.raises(UsageError, match="tensor `y1` of the model has another shape, \\(2, 3\\)"):
        program.compare(chain(np.ones((4, 3))), {"x": np.ones((2, 4), np.float32)})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("tensors",), 7),
        (("tensors", 0), None),
        (("tensors", 0, "shape"), [None, 0]),
        (("tensors", 0, "shape"), [None, [4]]),
        (("tensors", 0, "batch_axis"), 9),
        (("tensors", 0, "permutation"), [1]),
        (("tensors", 0, "channels"), []),
        (("tensors", 0, "channels"), {"i8": [99]}),
        (("tensors", 0, "channels"), {"f16": [0]}),
        (("tensors", 0, "factors"), [1.0]),
        (("tensors", 0, "factors"), "a"),
        (("streams",), {}),
        (("streams", 0), [[]]),
        (("streams", 0), 1.0),
    ],
)
def test_damaged_notes_of_a_program_are_refused(place: tuple[Any, ...], value: Any) -> None:
    """Anyone can edit a program file."""
    model, feed = chain(np.eye(4)), {"x": np.ones((2, 4), np.float32)}
    program = anacc.compile(model, calibration=feed)
    origin = copy.deepcopy(program.image.origin)
    part: Any = origin
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ProgramError):
        anacc.Program(replace(program.image, origin=origin)).compare(model, feed)


def test_integers_of_a_quantised_model_are_compared_as_what_they_stand_for() -> None:
    """The chip holds an int8 input by its meaning: the codes of the model are no reference."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"], "enter"),
        helper.make_node("MatMul", ["x", "w"], ["y"], "fc"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("q", TensorProto.INT8, ["N", 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 6])],
        [
            numpy_helper.from_array(np.array(0.58, np.float32), "scale"),
            numpy_helper.from_array(np.array(83, np.int8), "zero"),
            numpy_helper.from_array(rng.standard_normal((20, 6)).astype(np.float32), "w"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feed = {"q": rng.integers(-128, 128, (50, 20), np.int8)}
    found = anacc.compile(model, calibration=feed).compare(model, feed)
    assert {"x", "y"} <= {loss.tensor for loss in found.tensors}
    assert found.culprit is None
    assert all(loss.snr_db > 20 for loss in found.tensors)


def test_a_layer_is_named_by_the_node_that_makes_its_tensor() -> None:
    """Nodes that only move data follow an LSTM in its layer; what is lost is lost in the LSTM."""
    rng = np.random.default_rng(0)
    shapes = {"w": (1, 16, 3), "r": (1, 16, 4)}
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["all"], "lstm", hidden_size=4),
        helper.make_node("Squeeze", ["all", "axis"], ["y"], "moved"),
    ]
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, "N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5, "N", 4])],
        [
            *(
                numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
                for name, shape in shapes.items()
            ),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feed = {"x": rng.standard_normal((5, 20, 3)).astype(np.float32)}
    found = anacc.compile(model, calibration=feed).compare(model, feed)
    makers = {loss.tensor: loss.node for loss in found.tensors}
    assert makers["all"] == "lstm"


def test_each_layer_of_integer_operators_is_listed() -> None:
    """Their results are codes of the model, and all that tells one layer from the next."""
    rng = np.random.default_rng(0)
    scales = {"s0": 1 / 127, "s1": 0.01, "s2": 0.05, "s3": 0.1}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s0", "zero"], ["q0"], "enter"),
        *(
            helper.make_node(
                "QLinearMatMul",
                [f"q{k}", "s0" if k == 0 else f"s{k + 1}", "zero", f"w{k}", "s1", "zero"]
                + [f"s{k + 2}", "zero"],
                [f"q{k + 1}"],
                f"fc{k}",
            )
            for k in range(2)
        ),
        helper.make_node("DequantizeLinear", ["q2", "s3", "zero"], ["y"], "leave"),
    ]
    graph = helper.make_graph(
        nodes,
        "integers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 20])],
        [
            *(numpy_helper.from_array(np.array(s, np.float32), k) for k, s in scales.items()),
            numpy_helper.from_array(np.array(0, np.int8), "zero"),
            *(
                numpy_helper.from_array(rng.integers(-127, 128, (20, 20), np.int8), f"w{k}")
                for k in range(2)
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feed = {"x": rng.uniform(-1, 1, (50, 20)).astype(np.float32)}
    found = anacc.compile(model, calibration=feed).compare(model, feed)
    ratios = {loss.tensor: loss.snr_db for loss in found.tensors}
    assert {"q1", "y"} <= ratios.keys()
    assert all(ratio > 20 for ratio in ratios.values())
