"""What a model has behind a product: the factor of each column, by node.

A layer's LDPU also does what follows it: batch norm, `Mul` by constants, `Add` of constants.  From
the product on, nodes that the program names as parts of the same layer are followed as long as
each is the only reader of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from anacc.verification.graph import OnnxGraph
from anacc.verification.matrices import Matrix

Floats = npt.NDArray[np.float64]


def readers_of(graph: OnnxGraph) -> dict[str, list[int]]:
    """The nodes that read each tensor, by position."""
    found: dict[str, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for name in node.input:
            found.setdefault(name, []).append(number)
    for port in graph.model.graph.output:
        found.setdefault(port.name, []).append(-1)
    return found


def factor_behind(
    graph: OnnxGraph,
    readers: dict[str, list[int]],
    start: int,
    matrix: Matrix,
    fused: Sequence[str],
) -> tuple[Floats, str] | None:
    """The factor of each column, and the last tensor of the layer.

    Args:
        graph: the model.
        readers: of its tensors.
        start: position of the node with the matrix.
        matrix: its weights.
        fused: names of the nodes that are parts of the layer.

    Returns:
        None where something follows of which the factor is not known.
    """
    node = graph.nodes[start]
    factor = np.ones(matrix.columns)
    channel = 1 if matrix.kernel else -1
    while True:
        output = node.output[0]
        following = readers.get(output, [])
        if len(following) != 1 or following[0] < 0 or graph.names[following[0]] not in fused:
            return factor, output
        node = graph.nodes[following[0]]
        if node.op_type == "BatchNormalization":
            gamma, _, _, variance = (graph.constants[each] for each in node.input[1:5])
            epsilon = graph.attributes(node).get("epsilon", 1e-5)
            factor = factor * gamma / np.sqrt(variance.astype(np.float64) + epsilon)
        elif node.op_type in ("Mul", "Div"):
            found = _constant(graph, node, output, channel, matrix.columns)
            if found is None:
                return None
            factor = factor * found if node.op_type == "Mul" else factor / found
        elif node.op_type not in _PLAIN:
            return None


_PLAIN = ("Add", "Sub", "Relu", "Clip", "Identity", "Cast", "Dropout")


def _constant(
    graph: OnnxGraph, node: onnx.NodeProto, operand: str, channel: int, columns: int
) -> Floats | None:
    """The other operand of a node, with a value for each column; None if it is none."""
    if node.op_type == "Div" and node.input[0] != operand:
        return None
    other = node.input[1] if node.input[0] == operand else node.input[0]
    array: Any = graph.constants.get(other)
    if array is None:
        return None
    if array.size == 1:
        return np.full(columns, float(array.reshape(-1)[0]))
    position = array.ndim + channel if channel < 0 else channel - 4 + array.ndim
    if array.size != columns or not 0 <= position < array.ndim:
        return None
    return array.reshape(-1).astype(np.float64) if array.shape[position] == columns else None
