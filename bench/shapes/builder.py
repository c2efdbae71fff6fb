"""Nodes and weights of a network under construction.

Weights are normally distributed with He's deviation, sqrt(2 / inputs of a sum) [1]_, which keeps
the size of activations from layer to layer; only their shapes come from publications.

.. [1] He et al., Delving Deep into Rectifiers, ICCV 2015, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from bench.shapes.description import Network
from bench.shapes.parameters import Parameter

Size = int | tuple[int, int]
BIAS_DEVIATION = 0.1
BRANCH_SCALE = 0.25
"""Of the batch normalisation that ends a residual branch."""


@dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Attributes:
        name: of the tensor.
        channels: its size along the axis that weights sum over: axis 1 of images, else the last.
    """

    name: str
    channels: int


class Builder:
    """Collects a network layer by layer; each method adds one and returns its output.

    The output of a layer is called as the layer, and its weights `LAYER.weight` and so on.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._parameters: list[Parameter] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str], axis: int = 1) -> Value:
        """A float32 input, whose channels lie along `axis`."""
        self._inputs.append(_tensor(name, shape))
        channels = shape[axis]
        if not isinstance(channels, int):
            raise ValueError(f"the channels of `{name}` must be a number")
        return Value(name, channels)

    def image(self, size: int, channels: int = 3) -> Value:
        """The input `image`, (N, channels, size, size)."""
        return self.input("image", ["N", channels, size, size])

    def network(self, output: Value, shape: Sequence[int | str]) -> Network:
        """The finished network, whose one output has the given shape."""
        return Network(
            self._name,
            tuple(self._nodes),
            tuple(self._parameters),
            tuple(self._constants),
            tuple(self._inputs),
            (_tensor(output.name, shape),),
        )

    def node(
        self, op: str, name: str, inputs: Sequence[str | Value], channels: int, **attributes: Any
    ) -> Value:
        """A node of any operator, with one output."""
        operands = [each.name if isinstance(each, Value) else each for each in inputs]
        self._nodes.append(helper.make_node(op, operands, [name], name=name, **attributes))
        return Value(name, channels)

    def parameter(self, name: str, shape: tuple[int, ...], deviation: float, **rest: Any) -> str:
        """A random tensor; `rest` as in `Parameter`."""
        self._parameters.append(Parameter(name, shape, deviation, **rest))
        return name

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """A tensor that is not a weight."""
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def conv(
        self,
        name: str,
        x: Value,
        channels: int,
        kernel: Size,
        stride: int = 1,
        *,
        pad: Size | None = None,
        groups: int = 1,
        bias: bool = True,
    ) -> Value:
        """A convolution; without `pad`, one that keeps the size where the stride is 1."""
        height, width = _pair(kernel)
        top, left = (height // 2, width // 2) if pad is None else _pair(pad)
        inputs = x.channels // groups
        shape = (channels, inputs, height, width)
        deviation = math.sqrt(2 / (inputs * height * width))
        operands = [x.name, self.parameter(f"{name}.weight", shape, deviation)]
        if bias:
            operands.append(self.parameter(f"{name}.bias", (channels,), BIAS_DEVIATION))
        return self.node(
            "Conv",
            name,
            operands,
            channels,
            kernel_shape=[height, width],
            strides=[stride, stride],
            pads=[top, left, top, left],
            group=groups,
        )

    def batch_norm(self, x: Value, epsilon: float = 1e-5, scale: float = 1.0) -> Value:
        """A batch normalisation of the layer `x`, with statistics near 0 and 1.

        The last one of a residual branch wants a small `scale`, as in trained networks, or values
        grow with depth until binary16 cannot hold them.
        """
        name, shape = f"{x.name}.bn", (x.channels,)
        operands = [
            x.name,
            self.parameter(f"{name}.scale", shape, 0.1 * scale, mean=scale),
            self.parameter(f"{name}.bias", shape, 0.1),
            self.parameter(f"{name}.mean", shape, 0.1, trained=False),
            self.parameter(f"{name}.variance", shape, 0.1, mean=1.0, positive=True, trained=False),
        ]
        return self.node("BatchNormalization", name, operands, x.channels, epsilon=epsilon)

    def relu(self, x: Value) -> Value:
        """A rectifier behind `x`."""
        return self.node("Relu", f"{x.name}.relu", [x], x.channels)

    def linear(self, name: str, x: Value, features: int) -> Value:
        """A dense layer with bias, on (N, channels)."""
        weight = self.parameter(f"{name}.weight", (features, x.channels), math.sqrt(2 / x.channels))
        bias = self.parameter(f"{name}.bias", (features,), BIAS_DEVIATION)
        return self.node("Gemm", name, [x.name, weight, bias], features, transB=1)

    def max_pool(
        self, name: str, x: Value, kernel: int, stride: int, pad: int = 0, *, ceil: bool = False
    ) -> Value:
        """The maximum of square windows; `ceil`: windows may leave the image at its end."""
        attributes = _windows(kernel, stride, pad) | {"ceil_mode": int(ceil)}
        return self.node("MaxPool", name, [x], x.channels, **attributes)

    def average_pool(self, name: str, x: Value, kernel: int, stride: int, pad: int = 0) -> Value:
        """The mean of square windows, in which the padding counts."""
        attributes = _windows(kernel, stride, pad) | {"count_include_pad": 1}
        return self.node("AveragePool", name, [x], x.channels, **attributes)

    def mean(self, x: Value) -> Value:
        """The mean of each channel of an image, as (N, channels)."""
        return self.flatten(self.node("GlobalAveragePool", "mean", [x], x.channels), 1)

    def flatten(self, x: Value, positions: int) -> Value:
        """An image of so many positions as (N, channels * positions)."""
        return self.node("Flatten", "features", [x], x.channels * positions)

    def add(self, name: str, x: Value, y: Value) -> Value:
        """The sum of two tensors of one shape."""
        return self.node("Add", name, [x, y], x.channels)

    def concat(self, name: str, values: Sequence[Value], axis: int = 1) -> Value:
        """Tensors side by side."""
        return self.node("Concat", name, values, sum(each.channels for each in values), axis=axis)


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _windows(kernel: int, stride: int, pad: int) -> dict[str, Any]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}


def _tensor(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
