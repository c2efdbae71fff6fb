"""How many multiply-adds ONNX nodes take: what a report weighs the chip and the host by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from onnx import GraphProto, NodeProto

from anacc.frontend.einsum import parse
from anacc.frontend.listing import operator_name
from anacc.frontend.node import Unsupported
from anacc.frontend.ordering import inner_graphs
from anacc.frontend.source import SourceModel

_MATRICES: Mapping[str, tuple[int, ...]] = {
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
    "com.microsoft.QGemm": (0, 3),
}
"""Operators that multiply by a matrix, and which operands may be it."""


def is_product(operator: str) -> bool:
    """Whether an operator, by its name as `operator_name` gives it, multiplies by a matrix."""
    return operator in _MATRICES


def matrices(node: NodeProto) -> list[str]:
    """The operands of a node that may be the matrix by which it multiplies."""
    positions = _MATRICES.get(operator_name(node), ())
    return [node.input[position] for position in positions if position < len(node.input)]


def multiply_adds(source: SourceModel, nodes: Iterable[str]) -> int:
    """Multiply-adds of one sample in convolutions, products and recurrent cells.

    Args:
        source: the model.
        nodes: names of nodes; all other operators count nothing, and neither does a product of two
            activations whose shapes are unknown.  Where only the number of times that a constant
            matrix is used is unknown (how many rows there are, whether a branch is taken, how
            often a loop runs), it counts once: at least so many are needed.
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
        if any(name in source.constants for name in matrices(node)) or inner_graphs(node)
    }
    return multiply_adds(source, set(nodes) - weighted)


def _of(source: SourceModel, node: NodeProto) -> int:
    if not matrices(node):
        constants = {name: array.shape for name, array in source.constants.items()}
        return max((_once(graph, constants) for graph in inner_graphs(node)), default=0)
    shapes = [_dims(source, name) for name in node.input]
    result = _dims(source, node.output[0])
    matrix = max(_MATRICES[operator_name(node)])
    operands = (shapes[0], shapes[matrix] if len(shapes) > matrix else ())
    if any(shape is None for shape in (*operands, result)):
        return _elements(node, {n: array.shape for n, array in source.constants.items()})
    first, second = (shape or () for shape in operands)
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv":
            return math.prod(result or ()) * math.prod(second[1:])
        case "ConvTranspose":
            return math.prod(first) * math.prod(second[1:])
        case "Gemm" | "QGemm":
            inner = second[1] if _flag(node, "transB") else second[0]
            return math.prod(result or ()) * inner
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            return math.prod(result or ()) * (first[-1] if first else 1)
        case "Einsum" if len(shapes) == 2:
            return _of_equation(node, (first, second))
        case "LSTM" | "GRU" | "RNN":
            recurrence = shapes[2] or ()
            return first[0] * (math.prod(second) + math.prod(recurrence))
    return 0


def _once(graph: GraphProto, outer: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-adds of an inner graph in which each constant matrix is used once.

    Args:
        graph: the inner graph.
        outer: shapes of the constants around it.
    """
    constants = {**outer, **{each.name: tuple(each.dims) for each in graph.initializer}}
    total = 0
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
        if node.op_type == "Constant" and value is not None:
            constants[node.output[0]] = tuple(value.dims)
        total += _elements(node, constants)
        total += max((_once(inner, constants) for inner in inner_graphs(node)), default=0)
    return total


def _elements(node: NodeProto, constants: Mapping[str, tuple[int, ...]]) -> int:
    """Elements of the constant matrices of a product."""
    names = matrices(node)
    if node.op_type in ("GRU", "LSTM", "RNN") and node.domain == "":
        names = [*names, node.input[2]]
    return sum(math.prod(constants[name]) for name in names if name in constants)


def _of_equation(node: NodeProto, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Each element of the space that all labels of an Einsum span is a product that is added."""
    equation = next(
        (a.s.decode(errors="replace") for a in node.attribute if a.name == "equation"), ""
    )
    try:
        labels, _ = parse(equation, [len(shape) for shape in shapes])
    except Unsupported:
        return 0
    sizes: dict[str, int] = {}
    for each, shape in zip(labels, shapes, strict=True):
        for label, size in zip(each, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
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
