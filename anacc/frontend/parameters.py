"""The parameters of layers, by the names that a model gives its initialisers."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass

from onnx import GraphProto

from anacc.frontend.listing import operator_name
from anacc.frontend.products import matrices
from anacc.frontend.source import SourceModel

_BIAS = {"Conv": 2, "ConvTranspose": 2, "GRU": 3, "Gemm": 2, "LSTM": 3, "QLinearConv": 8, "RNN": 3}
"""Which input of an operator is its bias."""


@dataclass(frozen=True)
class Parameters:
    """What the product of a layer multiplies by.

    Attributes:
        operator: of the node, as `operator_name` gives it.
        weight, bias: names of initialisers, "" where there is none, or none is known.
        shape: of the weight as the node reads it, () where it is not known.
        group: number of groups of a convolution.
    """

    operator: str = ""
    weight: str = ""
    bias: str = ""
    shape: tuple[int, ...] = ()
    group: int = 1


def initialisers_behind(
    graph: GraphProto, initialisers: Container[str], constants: Collection[str]
) -> dict[str, str]:
    """For constants the initialiser that each is made of, where there is one.

    What computes a constant takes the parameter as its first input, and permutations, scales and
    zero points as others: Transpose, Reshape, Cast, DequantizeLinear.

    Args:
        graph: of the nodes, those included whose results are constants.
        initialisers: names of the original model's.
        constants: names.
    """
    first = {node.output[0]: node.input[0] for node in graph.node if node.input and node.output}
    ends: dict[str, str] = {}  # of all constants that have been passed
    for constant in constants:
        name, passed = constant, []
        while name not in initialisers and name not in ends and name in first:
            passed.append(name)
            name = first[name]
        ends.update(dict.fromkeys((constant, *passed), ends.get(name, name)))
    return {name: ends[name] for name in constants if ends[name] in initialisers}


def parameters_of(source: SourceModel, nodes: tuple[str, ...]) -> Parameters:
    """The parameters of a layer.

    Args:
        source: the model.
        nodes: names of the nodes that the layer came from, the one that multiplies first.
    """
    node = source.node(nodes[0]) if nodes else None
    if node is None:
        return Parameters()
    weight = next((name for name in matrices(node) if name in source.constants), "")
    position = _BIAS.get(node.op_type, len(node.input))
    bias = node.input[position] if position < len(node.input) else ""
    for name in nodes[1:]:
        added = source.node(name)
        if not bias and added is not None and operator_name(added) == "Add":
            bias = next((each for each in added.input if each in source.constants), "")
    group = next((each.i for each in node.attribute if each.name == "group"), 1)
    return Parameters(
        operator_name(node),
        source.initialisers.get(weight, ""),
        source.initialisers.get(bias, ""),
        tuple(int(size) for size in source.constants[weight].shape) if weight else (),
        int(group),
    )
