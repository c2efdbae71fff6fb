"""The weight matrix of an ONNX node, from ONNX's definition of its operator.

A convolution is a matrix with a row for each (group, kernel position, channel of the group) and a
column for each output channel; column m of group g has weights in the rows of group g only.
A product x W has the rows and columns of W; a recurrent layer has, for each direction, the rows of
its input, then those of its hidden state, and a column for each unit of each gate in ONNX's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from anacc.verification.graph import Array, OnnxGraph

RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Matrix:
    """A weight matrix in real numbers, or in codes where the model is quantised.

    Attributes:
        node: name of the ONNX node.
        weight: shape (groups, rows of a group, columns of a group).
        inputs: rows of a recurrent layer's input, 0 for other layers.
        kernel: sizes of a convolution's kernel.
        unused: columns that are not needed: of gates that are coupled to others.
    """

    node: str
    weight: Array
    inputs: int = 0
    kernel: tuple[int, ...] = ()
    unused: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.weight.shape[0] * self.weight.shape[1])

    @property
    def columns(self) -> int:
        """All columns."""
        return int(self.weight.shape[0] * self.weight.shape[2])

    @property
    def cells(self) -> int:
        """Weights that take part."""
        return int(self.weight.size) - self.unused * int(self.weight.shape[1])

    def groups(
        self, rows: tuple[int, int], columns: tuple[int, int]
    ) -> list[tuple[int, int, int, int, int]]:
        """The parts of a region that hold weights: (group, rows, columns within the region)."""
        count, height, width = self.weight.shape
        found = []
        for group in range(rows[0] // height, min(count, -(-rows[1] // height))):
            top, bottom = max(rows[0], group * height), min(rows[1], (group + 1) * height)
            left, right = max(columns[0], group * width), min(columns[1], (group + 1) * width)
            if top < bottom and left < right:
                found.append(
                    (group, top - rows[0], bottom - rows[0], left - columns[0], right - columns[0])
                )
        return found

    def region(self, rows: tuple[int, int], columns: tuple[int, int]) -> npt.NDArray[np.float64]:
        """A region of the matrix, zeros where it holds no weights; (rows, columns)."""
        _, height, width = self.weight.shape
        found = np.zeros((rows[1] - rows[0], columns[1] - columns[0]))
        for group, top, bottom, left, right in self.groups(rows, columns):
            r, c = rows[0] - group * height, columns[0] - group * width
            found[top:bottom, left:right] = self.weight[
                group, r + top : r + bottom, c + left : c + right
            ]
        return found


def matrix_of(graph: OnnxGraph, node: onnx.NodeProto, name: str) -> Matrix | None:
    """The matrix of a node, or None if it has none or its weights are not constant."""
    attributes = graph.attributes(node)
    position = {"QLinearConv": 3, "QLinearMatMul": 3}.get(node.op_type, 1)
    if node.op_type in RECURRENT:
        w, r = (graph.constants.get(each) for each in node.input[1:3])
        if w is None or r is None:
            return None
        both = np.concatenate([w, r], axis=2)  # (directions, gates * hidden, inputs + hidden)
        coupled = node.op_type == "LSTM" and attributes.get("input_forget", 0)
        unused = w.shape[0] * r.shape[2] if coupled else 0
        return Matrix(name, both.transpose(0, 2, 1), int(w.shape[2]), unused=int(unused))
    if len(node.input) <= position or node.input[position] not in graph.constants:
        return None
    weight = graph.constants[node.input[position]]
    if node.op_type in ("Conv", "QLinearConv", "ConvInteger"):
        weight = _centred(graph, node, weight, {"QLinearConv": 5, "ConvInteger": 3}, 0)
        turned = _convolution(weight, int(attributes.get("group", 1)))
        return Matrix(name, turned, kernel=weight.shape[2:])
    if node.op_type in ("MatMul", "QLinearMatMul", "MatMulInteger") and weight.ndim == 2:
        weight = _centred(graph, node, weight, {"QLinearMatMul": 5, "MatMulInteger": 3}, 1)
        return Matrix(name, weight[np.newaxis])
    if node.op_type == "Gemm":
        turned = weight.T if attributes.get("transB", 0) else weight
        return Matrix(name, turned[np.newaxis])
    return None


def _centred(
    graph: OnnxGraph, node: onnx.NodeProto, weight: Array, zeros: dict[str, int], axis: int
) -> Array:
    """Weights of a quantised operator less their zero point, which has a value for each column."""
    position = zeros.get(node.op_type, len(node.input))
    if position >= len(node.input) or not node.input[position]:
        return weight
    zero: Any = graph.constants.get(node.input[position])
    if zero is None or not zero.any():
        return weight
    shape = [1] * weight.ndim
    shape[axis] = -1
    return np.asarray(weight.astype(np.int64) - zero.astype(np.int64).reshape(shape))


def _convolution(weight: Array, group: int) -> Array:
    """(M, C / group, *kernel) to (group, kernel * C / group, M / group)."""
    outputs = weight.shape[0]
    rows = np.moveaxis(weight, 1, -1).reshape(group, outputs // group, -1)
    return rows.transpose(0, 2, 1)
