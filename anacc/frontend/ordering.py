"""The order and the names of nodes."""

from __future__ import annotations

import heapq

from onnx import GraphProto, NodeProto

from anacc.errors import ModelError


def reads(node: NodeProto) -> list[str]:
    """The tensors that a node reads, those that its inner graphs take from outside included."""
    names = [name for name in node.input if name]
    for inner in inner_graphs(node):
        names += _captured(inner)
    return list(dict.fromkeys(names))


def inner_graphs(node: NodeProto) -> list[GraphProto]:
    """The graphs in the attributes of a node: branches, bodies."""
    found: list[GraphProto] = []
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found.append(attribute.g)
        found += attribute.graphs
    return found


def _captured(graph: GraphProto) -> list[str]:
    own = {entry.name for entry in graph.input} | {entry.name for entry in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    names = [name for node in graph.node for name in reads(node)]
    names += [entry.name for entry in graph.output]
    return [name for name in names if name and name not in own]


def sort_nodes(graph: GraphProto, constants: set[str], *, inner: bool = False) -> None:
    """Put the nodes into topological order, keeping the given one where it is free.

    Args:
        graph: the graph; the graphs in it are sorted, too.
        constants: names of its initialisers.
        inner: whether it is one in another graph: what it does not define is then defined outside.

    Raises:
        ModelError: if a tensor has no source or two, or the nodes form a cycle.
    """
    nodes = list(graph.node)
    source: dict[str, int] = {}
    given = constants | {entry.name for entry in graph.input}
    for index, node in enumerate(nodes):
        for name in node.output:
            if name in source or name in given:
                raise ModelError(f"tensor `{name}` is defined twice")
            if name:
                source[name] = index
    followers: list[list[int]] = [[] for _ in nodes]
    waiting = [0] * len(nodes)
    for index, node in enumerate(nodes):
        for name in reads(node):
            if name in given:
                continue
            if name not in source and inner:
                continue
            if name not in source:
                raise ModelError(
                    f"node `{node.name or node.op_type}` reads `{name}`, which nothing defines"
                )
            followers[source[name]].append(index)
            waiting[index] += 1
    for entry in () if inner else graph.output:
        if entry.name not in source and entry.name not in given:
            raise ModelError(f"output `{entry.name}` is defined by nothing")
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for follower in followers[index]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, follower)
    if len(order) < len(nodes):
        stuck = next(node for node, count in zip(nodes, waiting, strict=True) if count)
        raise ModelError(f"node `{stuck.name or stuck.op_type}` depends on itself")
    del graph.node[:]
    graph.node.extend(nodes[index] for index in order)
    for node in graph.node:
        for each in inner_graphs(node):
            sort_nodes(each, {tensor.name for tensor in each.initializer}, inner=True)


def name_nodes(graph: GraphProto) -> None:
    """Give every node a name of its own.

    A node without one is called `OpType:first_output`; a name that is taken gets `#2`, `#3`, ...
    """
    taken: dict[str, int] = {}
    for node in graph.node:
        first = next((name for name in node.output if name), "")
        name = wanted = node.name or f"{node.op_type}:{first}"
        while name in taken:
            taken[wanted] += 1
            name = f"{wanted}#{taken[wanted]}"
        taken[name] = 1
        node.name = name
