"""The streams of a chip-level module as a graph that is cut over chips and rounds.

1. A node is an op, or ops that stay together: a column of row tiles that pass a partial sum on, if
   one chip has a core for each; and what `anacc_passes.wiring` ties to one grid column.
2. Gathers that run wherever they are read (`anacc_passes.chips.windows`) are in no node: who reads
   them reads what they take.
3. A net is a channel: it has the nodes that write and read it.  What the host writes or reads
   crosses no chip, so nets leave the host out; dependencies do not.
4. Nodes stand in an order in which each comes behind those that it depends on, and nodes that
   depend on each other (a recurrence) side by side; of all such orders it is the one next to that
   of the module, which goes layer by layer.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import networkx as nx

from anacc.ir import Module, Op
from anacc.ir.chip_rules import values_of
from anacc.targets import Target
from anacc_passes.chips.windows import widening
from anacc_passes.wiring import tied_groups

HOST = ("input", "output", "host")
"""Kinds of ops that no chip runs."""

_Rank = tuple[int, int, int]


@dataclass(frozen=True)
class Net:
    """A channel between nodes of chips.

    Attributes:
        values: per sample.
        nodes: that write or read it, each once; two at least.
    """

    values: int
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class StreamGraph:
    """The graph.

    Attributes:
        nodes: the ops of each, by position in the module; nodes are numbered in their order.
        nets: see `Net`.
        before: for each node, those that it depends on directly.
        groups: nodes [first, last) of each group that depends on itself; most are of one node.
    """

    nodes: tuple[tuple[int, ...], ...]
    nets: tuple[Net, ...]
    before: tuple[tuple[int, ...], ...]
    groups: tuple[tuple[int, int], ...]


def crossings(nets: Iterable[Net], count: int) -> list[int]:
    """Values per sample that cross a boundary before each of `count` nodes, and behind the last."""
    steps = [0] * (count + 1)
    for net in nets:
        steps[min(net.nodes) + 1] += net.values
        steps[max(net.nodes) + 1] -= net.values
    return list(accumulate(steps))


def stream_graph(
    module: Module, target: Target, whole: bool = True, by_rows: bool = False
) -> StreamGraph:
    """The graph of a chip-level module, in time near linear in its ops and channels.

    Args:
        module: chip level.
        target: each of the chips.
        whole: whether columns of row tiles stay together.
        by_rows: whether tiles that are nodes of their own stand next to those of the same rows of
            their layer, not of the same columns.
    """
    together = _together(module, target, whole)
    copied = widening(module, together)
    inner = _without(module, copied)
    members = [group for group in together if group[0] not in copied]
    node_of = {op: node for node, ops in enumerate(members) for op in ops}
    makers = {name: i for i, op in enumerate(module.ops) for name in op.results if name}
    edges: set[tuple[int, int]] = set()
    for position, op in enumerate(inner.ops):
        if position in copied:
            continue
        for name in op.operands:
            if name in makers and node_of[makers[name]] != node_of[position]:
                edges.add((node_of[makers[name]], node_of[position]))
    order = _order(_ranks(inner.ops, members, by_rows), edges)
    place = {node: rank for rank, node in enumerate(node for group in order for node in group)}
    before: list[list[int]] = [[] for _ in members]
    for source, sink in sorted(edges):
        before[place[sink]].append(place[source])
    nodes = tuple(tuple(members[node]) for group in order for node in group)
    groups, first = [], 0
    for group in order:
        groups.append((first, first + len(group)))
        first += len(group)
    ranks = {op: rank for rank, ops in enumerate(nodes) for op in ops}
    return StreamGraph(nodes, tuple(_nets(inner, ranks)), tuple(map(tuple, before)), tuple(groups))


def _without(module: Module, copied: Collection[int]) -> Module:
    """The module in which those who read a gather at one of the positions read its operands."""
    operands: dict[str, tuple[str, ...]] = {}  # in the place of a value
    ops = []
    for position, op in enumerate(module.ops):
        wider = [operands.get(name, (name,)) for name in op.operands]
        if position in copied:
            taken = tuple(dict.fromkeys(name for names in wider for name in names if name))
            operands.update(dict.fromkeys(op.results, taken))
        elif any(name in operands for name in op.operands):
            # Behind its own operands, whose places say what they are.
            own = tuple("" if name in operands else name for name in op.operands)
            more = (name for names in wider if len(names) != 1 or names[0] not in own
                    for name in names)  # fmt: skip
            op = replace(op, operands=(*own, *dict.fromkeys(more)))
        ops.append(op)
    return replace(module, ops=tuple(ops))


def _together(module: Module, target: Target, whole: bool) -> list[list[int]]:
    """The ops of each node, nodes in the order of their first ops."""
    ops = module.ops
    chains = _chains(ops) if whole else []
    ties = tied_groups(ops, target)
    found = _components(len(ops), [*ties, *chains])
    # Ties of many columns can join more than a chip holds; then partial sums may cross chips.
    for links in (ties, []):
        large = {op for group in found if _tiles(ops, group) > target.cores for op in group}
        kept = [group for group in found if group[0] not in large]
        inner = [link for link in links if link[0] in large]
        apart = _components(len(ops), inner)
        found = sorted([*kept, *(group for group in apart if group[0] in large)])
    return found


def _ranks(ops: Sequence[Op], members: Sequence[Sequence[int]], by_rows: bool) -> list[_Rank]:
    """Where each node would stand if nothing had to come before it."""
    if not by_rows:
        return [(group[0], 0, 0) for group in members]
    start, layer = [0] * len(ops), None  # of the run of tiles of one layer that an op is in
    for position, op in enumerate(ops):
        own = op.text("layer") if op.kind == "tile" else None
        start[position] = start[position - 1] if own is not None and own == layer else position
        layer = own
    ranks = []
    for group in members:
        first = ops[group[0]]
        if first.kind == "tile" and len(group) == 1:
            row, column = first.integers("weight_rows")[0], first.integers("weight_columns")[0]
            ranks.append((start[group[0]], row, column))
        else:
            ranks.append((group[0], 0, 0))
    return ranks


def _chains(ops: Sequence[Op]) -> list[list[int]]:
    """Tiles that a partial sum goes through, each chain in its order."""
    makers = {name: i for i, op in enumerate(ops) for name in op.results if name}
    chain_of: dict[int, list[int]] = {}
    for position, op in enumerate(ops):
        if op.kind == "tile":
            chain = chain_of.get(makers.get(op.operands[3], -1), [])
            chain.append(position)
            chain_of[position] = chain
    return list({id(chain): chain for chain in chain_of.values()}.values())


def _tiles(ops: Sequence[Op], group: Iterable[int]) -> int:
    return sum(ops[position].kind == "tile" for position in group)


def _components(count: int, links: Iterable[Sequence[int]]) -> list[list[int]]:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(count))
    for link in links:
        nx.add_path(graph, link)
    return sorted(sorted(group) for group in nx.connected_components(graph))


def _order(ranks: Sequence[_Rank], edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of nodes that depend on each other, in topological order, lowest ranks first."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(ranks)))
    graph.add_edges_from(edges)
    groups = [sorted(group) for group in nx.strongly_connected_components(graph)]
    group_of = {node: number for number, group in enumerate(groups) for node in group}
    after: dict[int, set[int]] = {number: set() for number in range(len(groups))}
    for source, sink in edges:
        if group_of[source] != group_of[sink]:
            after[group_of[source]].add(group_of[sink])
    waiting = [0] * len(groups)
    for sinks in after.values():
        for sink in sinks:
            waiting[sink] += 1
    first = [min(ranks[node] for node in group) for group in groups]
    ready = [(first[n], n) for n in range(len(groups)) if not waiting[n]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(groups[number])
        for sink in after[number]:
            waiting[sink] -= 1
            if not waiting[sink]:
                heapq.heappush(ready, (first[sink], sink))
    return order


def _nets(module: Module, ranks: Mapping[int, int]) -> Iterable[Net]:
    """The channels between two nodes at least, by their first node."""
    ends: dict[str, set[int]] = {}
    for position, op in enumerate(module.ops):
        if op.kind not in HOST and position in ranks:
            for name in (*op.operands, *op.results):
                if name.startswith("%"):
                    ends.setdefault(name, set()).add(ranks[position])
    for name, nodes in ends.items():
        if len(nodes) > 1:
            yield Net(values_of(module, name), tuple(sorted(nodes)))
