"""Random small networks, quantised by ONNX Runtime's own quantiser."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """How a network is quantised.

    Attributes:
        qdq: by pairs of nodes, else by operators on integers.
        per_channel: weights have a scale for each output channel.
        unsigned: activations are uint8, else int8.
        symmetric: zero points are in the middle of the range.
        signed_weights: weights are int8, else uint8 (with zero points of their own).
    """

    qdq: bool
    per_channel: bool
    unsigned: bool
    symmetric: bool
    signed_weights: bool = True


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: list[dict[str, Array]]) -> None:
        self._feeds: Iterator[dict[str, Array]] = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._feeds, None)


def float_model(seed: int, convolutional: bool) -> onnx.ModelProto:
    """A network of a few layers with random weights: CNN with a residual branch, or MLP."""
    rng = np.random.default_rng(seed)
    weights: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def weight(shape: tuple[int, ...], size: float) -> str:
        name = f"w{len(weights)}"
        array = rng.normal(0, size, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(array, name))
        return name

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], name=f"n{name}", **attributes))
        return name

    def conv(x: str, inputs: int, outputs: int, group: int = 1, **attributes: Any) -> str:
        fan_in = 9 * inputs // group
        taken = (weight((outputs, inputs // group, 3, 3), fan_in**-0.5), weight((outputs,), 0.1))
        return add("Conv", x, *taken, kernel_shape=[3, 3], group=group, **attributes)

    shape: list[int | str]
    if convolutional:
        channels, width = int(rng.integers(2, 5)), int(rng.integers(4, 9))
        x = conv("x", channels, width, pads=[1, 1, 1, 1])
        if rng.random() < 0.8:
            x = add("Relu", x)
        y = conv(x, width, width, group=int(rng.choice([1, width])), pads=[1, 1, 1, 1])
        if rng.random() < 0.5:
            y = add("Add", x, y)
        y = add("Relu", y)
        kind = str(rng.choice(["MaxPool", "AveragePool"]))
        y = add(kind, y, kernel_shape=[2, 2], strides=[2, 2])
        y = conv(y, width, 6, strides=[2, 2])
        y = add("Clip", y, weight_of(weights, -0.4), weight_of(weights, 1.0))
        y = add("Flatten", y)
        features, shape = 6, ["N", channels, 8, 8]
    else:
        features = int(rng.integers(3, 40))
        y, shape = "x", ["N", features]
    for _ in range(int(rng.integers(1, 3))):
        outputs = int(rng.integers(5, 30))
        matrix = weight((features, outputs), features**-0.5)
        if rng.random() < 0.5:
            y = add("Add", add("MatMul", y, matrix), weight((outputs,), 0.1))
        else:
            y = add("Gemm", y, matrix, weight((outputs,), 0.1))
        y, features = add("Relu", y), outputs
    matrix = weight((4, features), features**-0.5)
    nodes.append(helper.make_node("Gemm", [y, matrix], ["y"], name="last", transB=1))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def weight_of(weights: list[onnx.TensorProto], number: float) -> str:
    """A new scalar constant."""
    name = f"w{len(weights)}"
    weights.append(numpy_helper.from_array(np.array(number, np.float32), name))
    return name


def feeds_of(model: onnx.ModelProto, seed: int, count: int = 4) -> list[dict[str, Array]]:
    """Random feeds of four samples."""
    rng = np.random.default_rng(seed)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return [{"x": rng.normal(0, 1, (4, *shape)).astype(np.float32)} for _ in range(count)]


def quantised(
    model: onnx.ModelProto, recipe: Recipe, feeds: list[dict[str, Array]], folder: Path
) -> onnx.ModelProto:
    """The network, quantised on some feeds."""
    target = folder / "quantised.onnx"
    quantize_static(
        copy.deepcopy(model),  # it is changed
        str(target),
        _Reader(feeds),
        quant_format=QuantFormat.QDQ if recipe.qdq else QuantFormat.QOperator,
        per_channel=recipe.per_channel,
        activation_type=QuantType.QUInt8 if recipe.unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8 if recipe.signed_weights else QuantType.QUInt8,
        extra_options={"ActivationSymmetric": recipe.symmetric, "WeightSymmetric": True},
    )
    return onnx.load(str(target))


def plain_results(model: onnx.ModelProto, feed: dict[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes node by node, without optimisation: pairs of nodes in float32."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))
