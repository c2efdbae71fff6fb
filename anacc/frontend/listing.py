"""What became of every node of a model: a report accounts for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from onnx import GraphProto, NodeProto

from anacc.frontend.ordering import reads

LEFT, FOLDED, UNUSED = "", "folded", "unused"


@dataclass(frozen=True)
class Listed:
    """A node of the model.

    Attributes:
        name: unique.
        operator: with its domain where it is not ONNX's own.
        fate: `folded` if nothing is left of it, for its results are constants or shapes that are
            known; `unused` if no output depends on it; else "".
    """

    name: str
    operator: str
    fate: str = LEFT


def operator_name(node: NodeProto) -> str:
    """The operator of a node, with its domain where it is not ONNX's own."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def list_nodes(
    graph: GraphProto, nodes: Iterable[NodeProto], left: Collection[str]
) -> tuple[Listed, ...]:
    """Every node of a graph, and those that the import added.

    Args:
        graph: the model's, in topological order.
        nodes: those that were imported.
        left: names of the nodes that ops came from.
    """
    needed = {entry.name for entry in graph.output}
    used = set()
    for node in reversed(graph.node):
        if needed.intersection(name for name in node.output if name):
            needed.update(reads(node))
            used.add(node.name)
    known = {node.name for node in graph.node}
    added = [node for node in nodes if node.name not in known]
    return tuple(
        Listed(
            node.name,
            operator_name(node),
            LEFT if node.name in left else FOLDED if node.name in used else UNUSED,
        )
        for node in (*graph.node, *added)
    )
