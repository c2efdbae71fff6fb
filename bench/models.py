"""The networks as ONNX models with random weights, also quantised, and inputs for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from bench.networks import ConvolutionalNetwork, RecurrentNetwork

Floats = npt.NDArray[np.float32]
Feed = dict[str, Floats]

OPSET = 17
IR_VERSION = 8
# Unsigned activations with unsigned or with signed weights.
WEIGHT_TYPES = {"u8u8": QuantType.QUInt8, "u8s8": QuantType.QInt8}


class _Builder:
    """Nodes and initialisers of a graph under construction."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def normal(self, name: str, shape: tuple[int, ...], deviation: float) -> str:
        values = self._random.normal(scale=deviation, size=shape)
        return self.constant(name, values.astype(np.float32))

    def uniform(self, name: str, shape: tuple[int, ...], bound: float) -> str:
        values = self._random.uniform(-bound, bound, size=shape)
        return self.constant(name, values.astype(np.float32))

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        # The outputs of an LSTM beside the first are not wanted.
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def model(
        self, name: str, source: tuple[str, list[int | str]], result: tuple[str, list[int | str]]
    ) -> onnx.ModelProto:
        inputs, outputs = (
            [helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)]
            for tensor, shape in (source, result)
        )
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def convolutional_model(network: ConvolutionalNetwork, seed: int = 0) -> onnx.ModelProto:
    """The network on `image` (N, channels, size, size); the result is `logits` (N, classes)."""
    build = _Builder(seed)
    value = before = "image"
    for index, layer in enumerate(network.convolutions):
        name = f"conv{index}"
        deviation = float(np.sqrt(2 / (9 * layer.inputs)))
        kernel = build.normal(f"{name}.weight", (layer.outputs, layer.inputs, 3, 3), deviation)
        bias = build.normal(f"{name}.bias", (layer.outputs,), 0.1)
        skipped, before = before, value
        value = build.node(
            "Conv", [value, kernel, bias], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]
        )
        value = build.node("Relu", [value], f"{name}.relu")
        if layer.skip:
            value = build.node("Add", [value, skipped], f"{name}.add")
        if layer.pool > 1:
            window = [layer.pool, layer.pool]
            value = build.node(
                "MaxPool", [value], f"{name}.pool", kernel_shape=window, strides=window
            )
    value = build.node("Flatten", [value], "flat")
    weight = build.normal("dense.weight", (network.classes, network.features), 0.07)
    bias = build.constant("dense.bias", np.zeros(network.classes, np.float32))
    build.node("Gemm", [value, weight, bias], "logits", transB=1)
    first = network.convolutions[0]
    return build.model(
        "resnet",
        ("image", ["N", first.inputs, first.size, first.size]),
        ("logits", ["N", network.classes]),
    )


def recurrent_model(network: RecurrentNetwork, seed: int = 0) -> onnx.ModelProto:
    """The network on `x` (steps, N, inputs); the result is `y`, (steps, 1, N, hidden) without a
    dense layer, else (steps, N, outputs)."""
    build = _Builder(seed)
    hidden, gates = network.hidden, 4 * network.hidden
    bound = float(1 / np.sqrt(hidden))
    operands = [
        "x",
        build.uniform("W", (1, gates, network.inputs), bound),
        build.uniform("R", (1, gates, hidden), bound),
        build.uniform("B", (1, 2 * gates), bound),
    ]
    source: tuple[str, list[int | str]] = ("x", [network.steps, "N", network.inputs])
    if network.outputs == 0:
        build.node("LSTM", operands, "y", hidden_size=hidden)
        return build.model("lstm", source, ("y", [network.steps, 1, "N", hidden]))
    value = build.node("LSTM", operands, "states", hidden_size=hidden)
    direction = build.constant("direction", np.array([1]))
    value = build.node("Squeeze", [value, direction], "features")
    weight = build.uniform("dense.weight", (hidden, network.outputs), bound)
    build.node("MatMul", [value, weight], "y")
    return build.model("caption", source, ("y", [network.steps, "N", network.outputs]))


def convolutional_feed(network: ConvolutionalNetwork, batch: int, seed: int = 1) -> Feed:
    """Random images, between 0 and 1."""
    first = network.convolutions[0]
    shape = (batch, first.inputs, first.size, first.size)
    return {"image": np.random.default_rng(seed).random(shape, np.float32)}


def recurrent_feed(network: RecurrentNetwork, batch: int, seed: int = 1) -> Feed:
    """Random sequences, normally distributed."""
    shape = (network.steps, batch, network.inputs)
    return {"x": np.random.default_rng(seed).standard_normal(shape, np.float32)}


class _OneFeed(CalibrationDataReader):  # type: ignore[misc]
    """Gives the quantiser one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feeds: Iterator[Feed] = iter([feed])

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def quantise_statically(model: Path, feed: Feed, weights: str, target: Path) -> None:
    """Write the model with quantised convolutions and products: 8-bit activations with the scales
    that `feed` shows, 8-bit weights with a scale each channel, as QDQ.

    Args:
        model: an ONNX file.
        feed: the calibration data.
        weights: a key of WEIGHT_TYPES.
        target: where the result goes.
    """
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _OneFeed(feed),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=WEIGHT_TYPES[weights],
        per_channel=True,
    )
    prepared.unlink()


def quantise_dynamically(model: Path, weights: str, target: Path) -> None:
    """Write the model with 8-bit weights, its activations quantised as they come: how ONNX Runtime
    quantises an LSTM.

    Args:
        model: an ONNX file.
        weights: a key of WEIGHT_TYPES.
        target: where the result goes.
    """
    # It warns that the model was not prepared, which only matters where shapes are unknown.
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        quantize_dynamic(model, target, weight_type=WEIGHT_TYPES[weights])
    finally:
        logging.root.setLevel(level)
