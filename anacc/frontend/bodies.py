"""What can be said of branches and bodies of loops before they are expanded."""

from __future__ import annotations

from collections.abc import Collection

from onnx import GraphProto, NodeProto

from anacc.errors import ModelError
from anacc.frontend.inference import RANDOM
from anacc.frontend.ordering import inner_graphs, reads
from anacc.frontend.products import matrices


def invariants(body: GraphProto, known: Collection[str]) -> tuple[set[int], bool]:
    """Nodes of a body that do not depend on the iteration; whether a product has constants.

    Nodes with inner graphs, and random ones, count as depending on it.

    Args:
        body: of a Loop or Scan.
        known: names of the constants outside.
    """
    varying = {entry.name for entry in body.input}
    constant = {tensor.name for tensor in body.initializer}
    once: set[int] = set()
    has_product = False
    for index, node in enumerate(body.node):
        names = reads(node)
        inner = inner_graphs(node)
        if inner or node.op_type in RANDOM or not varying.isdisjoint(names):
            varying.update(node.output)
        else:
            once.add(index)
            if all(name in constant or name in known for name in names):
                constant.update(node.output)
        if inner or matrices(node):
            has_product = has_product or _multiplies(node, constant | set(known))
    return once, has_product


def check_signature(node: NodeProto, graphs: list[GraphProto], lead: int, states: int) -> None:
    """Refuse inner graphs that do not take what the node gives them, or give what it gives.

    Args:
        node: the branch or loop.
        graphs: its inner graphs.
        lead: results that the node itself reads.
        states: inputs that the first results after them become in the next iteration.

    Raises:
        ModelError: naming the node.
    """
    inputs = {"If": 0, "Loop": 2 + states}.get(node.op_type, len(node.input))
    for graph in graphs:
        results = len(graph.output) - lead
        if len(graph.input) != inputs or results < max(len(node.output), states):
            raise ModelError(
                f"node `{node.name}` ({node.op_type}) does not fit its inner graph "
                f"`{graph.name}`, which has {len(graph.input)} inputs and {len(graph.output)} "
                "outputs"
            )


def hands_on(body: GraphProto) -> bool:
    """Whether the condition that a body of a Loop gives is the one that it got, or constant."""
    name = body.output[0].name
    sources = {node.output[0]: node for node in body.node if node.output}
    while name in sources and sources[name].op_type == "Identity" and sources[name].input:
        name = sources[name].input[0]
    if name in sources:
        return sources[name].op_type == "Constant"
    return len(body.input) > 1 and name == body.input[1].name


def _multiplies(node: NodeProto, constant: set[str]) -> bool:
    """Whether a node, or one in its inner graphs, is a product with a constant."""
    if any(name in constant for name in matrices(node)):
        return True
    for graph in inner_graphs(node):
        known = constant | {tensor.name for tensor in graph.initializer}
        for inner in graph.node:
            if all(name in known for name in reads(inner)):
                known.update(inner.output)
            if _multiplies(inner, known):
                return True
    return False


def attribute_graph(node: NodeProto, name: str) -> GraphProto:
    """An inner graph of a node, empty where it has none."""
    return next((a.g for a in node.attribute if a.name == name), GraphProto())


def attribute_int(node: NodeProto, name: str, default: int) -> int:
    """An attribute that is an integer."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def attribute_ints(node: NodeProto, name: str) -> list[int]:
    """An attribute that is a list of integers, empty where it is not given."""
    return next((list(a.ints) for a in node.attribute if a.name == name), [])
