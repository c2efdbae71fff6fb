"""Values far from the range of their neighbours, where binary16 or int8 would lose them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from anacc.compiler import compile_image
from anacc_runtime import LoadedProgram
from tests.end_to_end.checks import assert_accurate, assert_same_bits, onnx_results, precise_target

Array = npt.NDArray[Any]


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int | str, ...]],
    outputs: list[str],
    constants: dict[str, Array],
) -> onnx.ModelProto:
    """A model of the nodes, all values float32."""
    graph = helper.make_graph(
        nodes,
        "ranges",
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check(proto: onnx.ModelProto, feed: dict[str, Array], folder: Path) -> dict[str, Array]:
    """Compile for a precise chip: executors agree, and with ONNX Runtime."""
    image, _ = compile_image(proto, target=precise_target(folder), calibration=[feed])
    found = assert_same_bits(image, feed)
    assert_accurate(found, onnx_results(proto, feed), noise=0.1)
    return found


def gemm(x: str, weight: str, result: str, *bias: str) -> onnx.NodeProto:
    return helper.make_node("Gemm", [x, weight, *bias], [result])


def uniform(*shape: int, scale: float = 1.0) -> Array:
    values = np.random.default_rng(sum(shape)).uniform(-scale, scale, shape)
    return values.astype(np.float32)


def test_steep_ramp_into_a_narrow_clip(tmp_path: Path) -> None:
    """The offset is 127,000 LSB of the result, beyond binary16."""
    proto = model(
        [gemm("x", "w", "a", "b"), helper.make_node("Clip", ["a", "low", "high"], ["y"])],
        {"x": ("N", 1)},
        ["y"],
        {
            "w": np.array([[2000]], np.float32),
            "b": np.array([-1000], np.float32),
            "low": np.array(0, np.float32),
            "high": np.array(1, np.float32),
        },
    )
    x = np.linspace(0, 1, 128, dtype=np.float32)[:, None]
    image, _ = compile_image(proto, target=precise_target(tmp_path), calibration=[{"x": x}])
    y = assert_same_bits(image, {"x": x})["y"]
    assert (y[x[:, 0] < 0.49] == 0).all() and (y[x[:, 0] > 0.51] == 1).all()


def test_value_that_is_zero_on_calibration_data(tmp_path: Path) -> None:
    proto = model(
        [gemm("x", "w", "a", "b"), helper.make_node("Relu", ["a"], ["y"])],
        {"x": ("N", 1)},
        ["y"],
        {"w": np.array([[2e6]], np.float32), "b": np.array([-1e6], np.float32)},
    )
    x = np.linspace(0, 0.49, 64, dtype=np.float32)[:, None]
    image, _ = compile_image(proto, target=precise_target(tmp_path), calibration=[{"x": x}])
    found = assert_same_bits(image, {"x": x})
    assert np.abs(found["y"][x[:, 0] < 0.45]).max() == 0


@pytest.mark.parametrize("value", [-3.4e38, -1e9])
def test_padding_that_only_maximum_pooling_sees(tmp_path: Path, value: float) -> None:
    proto = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Pad", ["c", "pads", "value"], ["p"]),
            helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[3]),
        ],
        {"x": ("N", 3, 8)},
        ["y"],
        {
            "w": uniform(4, 3, 1),
            "pads": np.array([0, 0, 1, 0, 0, 1], np.int64),
            "value": np.array(value, np.float32),
        },
    )
    check(proto, {"x": uniform(6, 3, 8)}, tmp_path)


def test_clip_beyond_binary16(tmp_path: Path) -> None:
    proto = model(
        [gemm("x", "w", "a"), helper.make_node("Clip", ["a", "low", "high"], ["y"])],
        {"x": ("N", 4)},
        ["y"],
        {
            "w": uniform(4, 5, scale=1e6),
            "low": np.array(-1e5, np.float32),
            "high": np.array(1e5, np.float32),
        },
    )
    check(proto, {"x": uniform(16, 4)}, tmp_path)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("swap", [False, True])
def test_product_of_values_of_unlike_size(tmp_path: Path, scale: float, swap: bool) -> None:
    proto = model(
        [
            gemm("x", "w", "a"),
            gemm("x", "v", "b"),
            helper.make_node("Mul", ["b", "a"] if swap else ["a", "b"], ["y"]),
        ],
        {"x": ("N", 4)},
        ["y"],
        {"w": uniform(4, 3, scale=scale), "v": uniform(4, 3)},
    )
    check(proto, {"x": uniform(16, 4)}, tmp_path)


def test_small_hyperbolic_tangent(tmp_path: Path) -> None:
    """1 / (scale of the result) is beyond binary16."""
    proto = model(
        [gemm("x", "w", "a"), helper.make_node("Tanh", ["a"], ["y"])],
        {"x": ("N", 4)},
        ["y"],
        {"w": uniform(4, 3, scale=2e-4)},
    )
    check(proto, {"x": uniform(16, 4)}, tmp_path)


@pytest.mark.parametrize("constant", [False, True])
def test_initial_state_beyond_one(tmp_path: Path, constant: bool) -> None:
    state = uniform(1, 1, 5, scale=4.0)
    proto = model(
        [helper.make_node("LSTM", ["x", "w", "r", "", "", "h"], ["y", "last"], hidden_size=5)],
        {"x": (3, 1, 4), **({} if constant else {"h": (1, 1, 5)})},
        ["y", "last"],
        {"w": uniform(1, 20, 4), "r": uniform(1, 20, 5), **({"h": state} if constant else {})},
    )
    feed = {"x": uniform(3, 1, 4), **({} if constant else {"h": state})}
    check(proto, feed, tmp_path)


def test_infinity_that_only_the_host_sees(tmp_path: Path) -> None:
    proto = model(
        [
            gemm("x", "w", "a"),
            helper.make_node("Relu", ["a"], ["y"]),
            helper.make_node("Log", ["y"], ["z"]),
        ],
        {"x": ("N", 4)},
        ["y", "z"],
        {"w": uniform(4, 3)},
    )
    feed = {"x": uniform(16, 4)}
    image, _ = compile_image(proto, target=precise_target(tmp_path), calibration=[feed])
    # ONNX Runtime's logarithm differs in the last bit with the batch: only its infinities count.
    assert np.isneginf(LoadedProgram(image).run(feed)["z"]).any()


@pytest.mark.parametrize("low", [None, -3.4028235e38, -1e30])
@pytest.mark.parametrize("residual", [False, True])
def test_clip_without_a_lower_bound(tmp_path: Path, low: float | None, residual: bool) -> None:
    added = [helper.make_node("Add", ["a", "x"], ["s"])] if residual else []
    bounds = ["" if low is None else "low", "high"]
    proto = model(
        [
            gemm("x", "w", "a"),
            *added,
            helper.make_node("Clip", ["s" if residual else "a", *bounds], ["y"]),
        ],
        {"x": ("N", 4)},
        ["y"],
        {
            "w": uniform(4, 4),
            "high": np.array(0.5, np.float32),
            **({} if low is None else {"low": np.array(low, np.float32)}),
        },
    )
    check(proto, {"x": uniform(16, 4)}, tmp_path)


@pytest.mark.parametrize("largest", [3e3, 1e5])
def test_recurrence_with_one_huge_weight(tmp_path: Path, largest: float) -> None:
    """The recurrence counts in a larger unit, and so does what the input adds to it.

    The unit that the huge weight drives is never above zero, so that the others can be compared.
    """
    hidden = 5
    recurrence = uniform(1, 4 * hidden, hidden, scale=0.1)
    recurrence[0, 0, 0] = largest
    weight = uniform(1, 4 * hidden, 4)
    bias = np.zeros((1, 8 * hidden), np.float32)
    bias[0, 3 * hidden] = -50.0  # the candidate of unit 0 is -1: its input gate closes
    proto = model(
        [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=hidden)],
        {"x": (3, 1, 4)},
        ["y"],
        {"w": weight, "r": recurrence, "b": bias},
    )
    check(proto, {"x": uniform(3, 1, 4)}, tmp_path)


def test_small_cell_state(tmp_path: Path) -> None:
    """The factor that it leaves the GDPU with is beyond binary16."""
    proto = model(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", "c"], hidden_size=5)],
        {"x": (3, 1, 4)},
        ["c"],
        {"w": uniform(1, 20, 4), "r": uniform(1, 20, 5)},
    )
    feed = {"x": uniform(3, 1, 4, scale=1e-3)}
    image, _ = compile_image(proto, target=precise_target(tmp_path), calibration=[feed])
    found = assert_same_bits(image, feed)["c"]
    expected = onnx_results(proto, feed)["c"]
    assert np.abs(found - expected).max() < 0.25 * np.abs(expected).max()


@pytest.mark.parametrize("pooled", [False, True])
def test_padding_that_the_model_returns(tmp_path: Path, pooled: bool) -> None:
    pool = [helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[3])] if pooled else []
    proto = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Pad", ["c", "pads", "value"], ["p"]),
            *pool,
        ],
        {"x": ("N", 3, 8)},
        ["p"],
        {
            "w": uniform(4, 3, 1),
            "pads": np.array([0, 0, 1, 0, 0, 1], np.int64),
            "value": np.array(-1e4, np.float32),
        },
    )
    check(proto, {"x": uniform(6, 3, 8)}, tmp_path)


def test_hyperbolic_tangent_of_huge_values(tmp_path: Path) -> None:
    proto = model(
        [gemm("x", "w", "a"), helper.make_node("Tanh", ["a"], ["y"])],
        {"x": ("N", 4)},
        ["y"],
        {"w": uniform(4, 3)},
    )
    check(proto, {"x": uniform(16, 4, scale=1e7)}, tmp_path)


def test_concatenation_of_values_of_unlike_size(tmp_path: Path) -> None:
    """Hidden states have a fixed scale, however small they are."""
    proto = model(
        [
            helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=4),
            helper.make_node("Squeeze", ["y", "one"], ["s"]),
            helper.make_node("Concat", ["s", "x"], ["j"], axis=2),
            helper.make_node("MatMul", ["j", "v"], ["z"]),
        ],
        {"x": (3, 1, 4)},
        ["z"],
        {
            "w": uniform(1, 16, 4),
            "r": uniform(1, 16, 4),
            "one": np.array([1], np.int64),
            "v": uniform(8, 3),
        },
    )
    feed = {"x": uniform(3, 1, 4, scale=1e-8)}
    image, _ = compile_image(proto, target=precise_target(tmp_path), calibration=[feed])
    assert_same_bits(image, feed)
