"""Copies of inner graphs: their nodes among those of the graph around them, under new names.

An inner graph sees the names around it, and its own hide those.  A copy gives new names to all
that the inner graph defines, so that copies of one graph, and of several graphs that use the same
names, do not meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from onnx import GraphProto, NodeProto

from anacc.frontend.ordering import inner_graphs


class Names:
    """Gives names that are not taken.

    A name that only one inner graph defines is free for its first copy.

    Args:
        graph: whose names are taken, and those that several graphs in it define.
    """

    def __init__(self, graph: GraphProto) -> None:
        inner = Counter(_inner_names(graph))
        several = [name for name, count in inner.items() if count > 1]
        self._tensors: dict[str, int] = dict.fromkeys([*_own_names(graph), *several], 1)
        self._nodes: dict[str, int] = {node.name: 1 for node in graph.node}

    def take(self, names: Mapping[str, object]) -> None:
        """Take names of tensors."""
        self._tensors.update(dict.fromkeys(names, 1))

    def tensor(self, wanted: str) -> str:
        """A name for a tensor."""
        return _next(wanted, self._tensors)

    def node(self, wanted: str) -> str:
        """A name for a node."""
        return _next(wanted, self._nodes)


def _next(wanted: str, taken: dict[str, int]) -> str:
    """The name wanted, or with a number that was not given yet."""
    name = wanted
    while name in taken:
        taken[wanted] = taken.get(wanted, 1) + 1
        name = f"{wanted}#{taken[wanted]}"
    taken[name] = 1
    return name


def _own_names(graph: GraphProto) -> list[str]:
    names = [entry.name for entry in (*graph.input, *graph.output)]
    names += [tensor.name for tensor in graph.initializer]
    return names + [name for node in graph.node for name in node.output]


def _inner_names(graph: GraphProto) -> list[str]:
    names: list[str] = []
    for node in graph.node:
        for inner in inner_graphs(node):
            names += {*_own_names(inner)}
            names += _inner_names(inner)
    return names


def copied(node: NodeProto, seen: dict[str, str], names: Names, mark: str = "") -> NodeProto:
    """A copy of a node of an inner graph.

    Args:
        node: of the inner graph.
        seen: what names of the inner graph are called outside; results that are not in it get new
            names, which are entered.
        names: gives the new names.
        mark: put behind the name of the node.
    """
    copy = NodeProto()
    copy.CopyFrom(node)
    first = next((name for name in node.output if name), "")
    copy.name = names.node((node.name or f"{node.op_type}:{first}") + mark)
    for name in node.output:
        if name and name not in seen:
            seen[name] = names.tensor(name)
    copy.input[:] = [seen.get(name, name) for name in node.input]
    copy.output[:] = [seen[name] if name else "" for name in node.output]
    for inner in inner_graphs(copy):
        _rename(inner, seen)
    return copy


def _rename(graph: GraphProto, seen: Mapping[str, str]) -> None:
    """Rename what an inner graph reads from outside, in place."""
    own = {entry.name for entry in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    outside = {name: new for name, new in seen.items() if name not in own}
    for node in graph.node:
        node.input[:] = [outside.get(name, name) for name in node.input]
        for inner in inner_graphs(node):
            _rename(inner, outside)
    for entry in graph.output:
        entry.name = outside.get(entry.name, entry.name)
