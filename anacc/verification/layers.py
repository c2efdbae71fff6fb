"""What the model has around a product that one layer of the program does as a whole.

From the product on, nodes that the program names as parts of the same layer are followed, as long
as each is the only reader of the one before: batch norm, `Mul` and `Add` of constants, a residual
`Add`, activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from anacc.verification.graph import OnnxGraph
from anacc.verification.matrices import Matrix

Floats = npt.NDArray[np.float64]

_PLAIN = ("Relu", "Clip", "Identity", "Cast", "Dropout")


@dataclass
class Surroundings:
    """Of a product.

    Attributes:
        operand: the tensor that it multiplies.
        result: the last tensor of the layer.
        factor: what each column is multiplied by, shape (columns,).
        offset: what is then added, likewise.
        residual: the tensor that is added, or "".
    """

    operand: str
    result: str
    factor: Floats
    offset: Floats
    residual: str = ""


def readers_of(graph: OnnxGraph) -> dict[str, list[int]]:
    """The nodes that read each tensor, by position; -1 stands for an output of the model."""
    found: dict[str, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for name in node.input:
            found.setdefault(name, []).append(number)
    for port in graph.model.graph.output:
        found.setdefault(port.name, []).append(-1)
    return found


def surroundings(
    graph: OnnxGraph,
    readers: dict[str, list[int]],
    start: int,
    matrix: Matrix,
    fused: Sequence[str],
) -> Surroundings | None:
    """What surrounds a product, or None where a node of the layer is not understood.

    Args:
        graph: the model.
        readers: of its tensors.
        start: position of the node with the matrix.
        matrix: its weights.
        fused: names of the nodes that are parts of the layer.
    """
    node = graph.nodes[start]
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    found = Surroundings(
        node.input[0], node.output[0], np.ones(matrix.columns), np.zeros(matrix.columns)
    )
    attributes = graph.attributes(node)
    if node.op_type == "Gemm":
        found.factor *= attributes.get("alpha", 1.0)
    if len(node.input) > 2 and node.input[2]:
        bias: Any = graph.constants.get(node.input[2])
        if bias is None or bias.size not in (1, matrix.columns):
            return None
        if bias.size > 1 and bias.shape[-1] != matrix.columns:
            return None  # it varies along the rows of the result
        beta = attributes.get("beta", 1.0) if node.op_type == "Gemm" else 1.0
        found.offset = found.offset + beta * bias.reshape(-1).astype(np.float64)
    channel = 1 if matrix.kernel else -1
    while True:
        following = readers.get(found.result, [])
        if len(following) != 1 or following[0] < 0 or graph.names[following[0]] not in fused:
            return found
        node = graph.nodes[following[0]]
        if not _follow(graph, node, found, channel, matrix.columns):
            return None
        found.result = node.output[0]


def _follow(
    graph: OnnxGraph, node: onnx.NodeProto, found: Surroundings, channel: int, columns: int
) -> bool:
    """Add a node to what surrounds a product; whether it is understood."""
    if node.op_type in _PLAIN:
        return True
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = (
            graph.constants[each].astype(np.float64) for each in node.input[1:5]
        )
        factor = gamma / np.sqrt(variance + graph.attributes(node).get("epsilon", 1e-5))
        found.factor = found.factor * factor
        found.offset = (found.offset - mean) * factor + beta
        return True
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return False
    first = node.input[0] == found.result
    other = node.input[1 if first else 0]
    if other not in graph.constants:
        if node.op_type != "Add" or found.residual or other == found.result:
            return False
        found.residual = other
        return True
    constant = _along(graph.constants[other], channel, columns)
    if constant is None or (node.op_type in ("Sub", "Div") and not first):
        return False
    if node.op_type in ("Mul", "Div"):
        if found.residual:
            return False
        constant = constant if node.op_type == "Mul" else 1 / constant
        found.factor, found.offset = found.factor * constant, found.offset * constant
    else:
        found.offset = found.offset + (constant if node.op_type == "Add" else -constant)
    return True


def _along(array: Any, channel: int, columns: int) -> Floats | None:
    """A constant with a value for each column, or None if it varies otherwise.

    Args:
        array: the constant, which ONNX broadcasts to the layer's result from the right.
        channel: axis of the columns: 1 of a convolution with two spatial axes, or -1.
        columns: their number.
    """
    if array.size == 1:
        return np.full(columns, float(array.reshape(-1)[0]))
    axis = array.ndim - 3 if channel == 1 and array.ndim in (3, 4) else array.ndim - 1
    if array.size != columns or array.shape[axis] != columns or (channel == 1 and array.ndim < 3):
        return None
    return np.asarray(array.reshape(-1), np.float64)
