"""How many multiply-adds ONNX nodes take: what a report weighs the chip and the host by."""

from __future__ import annotations

import math
from collections.abc import Iterable

from onnx import NodeProto

from anacc.frontend.source import SourceModel


def multiply_adds(source: SourceModel, nodes: Iterable[str]) -> int:
    """Multiply-adds of one sample in convolutions, products and recurrent cells.

    Args:
        source: the model.
        nodes: names of nodes; all other operators count nothing, and neither does a node whose
            shapes are unknown.
    """
    wanted = set(nodes)
    return sum(_of(source, node) for node in source.model.graph.node if node.name in wanted)


def _of(source: SourceModel, node: NodeProto) -> int:
    shapes = [_dims(source, name) for name in node.input]
    result = _dims(source, node.output[0])
    if any(shape is None for shape in (*shapes[:2], result)):
        return 0
    first, second = (shape or () for shape in (*shapes[:2], (), ())[:2])
    match node.op_type:
        case "Conv" | "ConvInteger":
            return math.prod(result or ()) * math.prod(second[1:])
        case "ConvTranspose":
            return math.prod(first) * math.prod(second[1:])
        case "Gemm":
            inner = second[1] if _flag(node, "transB") else second[0]
            return math.prod(result or ()) * inner
        case "MatMul" | "MatMulInteger":
            return math.prod(result or ()) * (first[-1] if first else 1)
        case "QLinearConv":
            return math.prod(result or ()) * math.prod((shapes[3] or ())[1:])
        case "QLinearMatMul" | "QGemm":
            return math.prod(result or ()) * (first[-1] if first else 1)
        case "LSTM" | "GRU" | "RNN":
            recurrence = shapes[2] or ()
            return first[0] * (math.prod(second) + math.prod(recurrence))
    return 0


def _dims(source: SourceModel, name: str) -> tuple[int, ...] | None:
    """Shape of one sample of a tensor (the batch counts as 1), None if it is unknown."""
    if name in source.constants:
        return tuple(int(size) for size in source.constants[name].shape)
    kind = source.types.get(name)
    if kind is None or kind.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else 1 for dim in kind.shape)


def _flag(node: NodeProto, name: str) -> bool:
    return any(attribute.name == name and attribute.i != 0 for attribute in node.attribute)
