"""How many multiply-adds ONNX nodes take: what a report weighs the chip and the host by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

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


def activation_products(source: SourceModel, nodes: Iterable[str]) -> int:
    """Those of the multiply-adds that have no constant operand, as in attention.

    Args:
        source: the model.
        nodes: names of nodes.
    """
    weighted = {
        node.name
        for node in source.model.graph.node
        if any(node.input[i] in source.constants for i in _weights(node))
    }
    return multiply_adds(source, set(nodes) - weighted)


# Which operands may be the matrix: the last one is, where no other says more.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1,),
    "ConvInteger": (1,),
    "ConvTranspose": (1,),
    "Einsum": (0, 1),
    "GRU": (1,),
    "Gemm": (0, 1),
    "LSTM": (1,),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (3,),
    "QLinearMatMul": (0, 3),
    "RNN": (1,),
}


def is_product(operator: str) -> bool:
    """Whether an ONNX operator multiplies by a matrix, which a crossbar can hold."""
    return operator in _WEIGHTS


def _weights(node: NodeProto) -> list[int]:
    operands = _WEIGHTS.get(node.op_type, ()) if node.domain == "" else ()
    return [position for position in operands if position < len(node.input)]


def _of(source: SourceModel, node: NodeProto) -> int:
    if not _weights(node):
        return 0
    shapes = [_dims(source, name) for name in node.input]
    result = _dims(source, node.output[0])
    matrix = 3 if node.op_type.startswith("QLinear") else 1
    operands = (shapes[0], shapes[matrix] if len(shapes) > matrix else ())
    if any(shape is None for shape in (*operands, result)):
        return 0
    first, second = (shape or () for shape in operands)
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv":
            return math.prod(result or ()) * math.prod(second[1:])
        case "ConvTranspose":
            return math.prod(first) * math.prod(second[1:])
        case "Gemm":
            inner = second[1] if _flag(node, "transB") else second[0]
            return math.prod(result or ()) * inner
        case "Einsum":
            return _einsum(node, [shape for shape in shapes if shape is not None])
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            return math.prod(result or ()) * (first[-1] if first else 1)
        case "LSTM" | "GRU" | "RNN":
            recurrence = shapes[2] or ()
            return first[0] * (math.prod(second) + math.prod(recurrence))
    return 0


def _einsum(node: NodeProto, shapes: list[tuple[int, ...]]) -> int:
    """The product of the sizes of all indices; an ellipsis stands for the leading ones."""
    equation = next((a.s.decode() for a in node.attribute if a.name == "equation"), "")
    sizes: dict[str | int, int] = {}
    for term, shape in zip(
        equation.split("->")[0].replace(" ", "").split(","), shapes, strict=False
    ):
        before, dots, after = term.partition("...")
        hidden = range(len(shape) - len(before) - len(after), 0, -1) if dots else ()
        for index, size in zip((*before, *hidden, *after), shape, strict=False):
            sizes[index] = max(size, sizes.get(index, 1))
    return math.prod(sizes.values())


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
