"""Decide what runs on the chip and what on the host.

1.  Convolutions, products with constant matrices and recurrent layers run on the chip: it is there
    for them.
2.  What the importer found unsupported, or no unit of the target can do, runs on the host.
3.  Everything else may run on either side.  It goes where crossing the border between both takes
    the least time: a minimum cut.  A tensor that crosses takes the latency of a transfer and the
    time of its elements (one sample), once, however many ops read it; so few large tensors cross
    rather than many small ones.  Inputs and outputs of the model cross nothing.  On a tie the chip
    wins, so that pools and activations stay with their convolutions.
4.  What is then on the chip without any path to an operation of rule 1 goes to the host.

The ops of the host are merged into segments, as few as alternate with the chip along the longest
path; ONNX Runtime runs a segment as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from anacc.frontend import SourceModel
from anacc.frontend.products import activation_products, multiply_adds
from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.ir.module import AttributeValue
from anacc.targets import Target
from anacc_passes import alternatives
from anacc_passes.reasons import LONE, MOVED, Why, host_reasons, on_host
from anacc_passes.strict import refuse_host_nodes
from anacc_passes.units import missing

_ANCHORS = ("conv", "linear", *CELLS)
_CHIP, _HOST = "chip", "host"


@dataclass(frozen=True)
class Partition:
    """The pass; see the module's docstring for the rules.

    Before: a graph module as imported: values are named as in ONNX, ops know their nodes.
    After: every `host` op is a whole segment, which no other segment can be merged with; the
    nodes that it runs, with a reason for each, stand in its attributes in the order of the graph.

    Attributes:
        target: whose units decide what can run on the chip; None: all that the vocabulary has.
        strict: whether nodes on the host are an error.
    """

    target: Target | None = None
    strict: bool = False
    name = "partition"

    def __call__(self, module: Module) -> Module:
        """The partitioned module.

        Raises:
            CompileError: with `strict`, if a node is on the host.
        """
        if self.target is not None:
            module = replace(module, ops=tuple(_possible(op, self.target) for op in module.ops))
        atoms = _atoms(module)
        host = _host_atoms(module, atoms, self.target)
        merged = _merged(module, atoms, host)
        if self.strict:
            refuse_host_nodes(merged)
        return merged


def _possible(op: Op, target: Target) -> Op:
    """The op, or a `host` op in its place if the target cannot run it."""
    reason = None if op.kind == "host" else missing(target, op)
    return op if reason is None else on_host(op, (reason, alternatives.hint(op)))


def _atoms(module: Module) -> list[int]:
    """For each op the number of its atom: ops that share an ONNX node stay together."""
    together = nx.utils.UnionFind(range(len(module.ops)))
    first_of: dict[str, int] = {}
    for index, op in enumerate(module.ops):
        for name in op.origins:
            together.union(first_of.setdefault(name, index), index)
    numbers: dict[int, int] = {}  # the first op of each atom
    return [numbers.setdefault(together[index], index) for index in range(len(module.ops))]


def _host_atoms(module: Module, atoms: list[int], target: Target | None) -> dict[int, Why]:
    """The atoms that run on the host, with the reason for those ops that the chip could run."""
    pairs = list(zip(module.ops, atoms, strict=True))
    host = {atom for op, atom in pairs if op.kind == "host"}
    recomputed = _recomputed(module)
    fixed = {atom for op, atom in pairs if op.kind in _ANCHORS or recomputed(op) is None}
    anchors = fixed - host
    if host and anchors:
        host = _cut(module, pairs, host, anchors, target)
    island: nx.Graph[int] = nx.Graph()
    island.add_nodes_from(atom for _, atom in pairs if atom not in host)
    for source, _, targets in _edges(module, pairs):
        island.add_edges_from((source, target) for target in targets)
    island.remove_nodes_from(host)
    lone = [part for part in nx.connected_components(island) if part.isdisjoint(fixed)]
    return dict.fromkeys(host, MOVED) | {atom: LONE for part in lone for atom in part}


def _recomputed(module: Module) -> Callable[[Op], frozenset[str] | None]:
    """For each op the model inputs that the host needs besides its operands, None if they do not
    do: shape arithmetic that gave the constants of an op may be gone."""
    source, held = module.source, {name[1:] for name in module.values}

    def inputs_of(op: Op) -> frozenset[str] | None:
        if not isinstance(source, SourceModel):
            return frozenset()
        found = source.inputs_behind(op.origins, held)
        return None if found is None else frozenset(f"%{name}" for name in found)

    return inputs_of


def _edges(module: Module, pairs: list[tuple[Op, int]]) -> Iterable[tuple[int, int, set[int]]]:
    """(producer, elements per sample, consumers) of each value between atoms."""
    readers: dict[str, set[int]] = {}
    for op, atom in pairs:
        for name in op.operands:
            readers.setdefault(name, set()).add(atom)
    for op, atom in pairs:
        for name in op.results:
            others = readers.get(name, set()) - {atom}
            if name and others:
                shape = module.tensor(name).shape
                known = [dim for dim in shape or () if isinstance(dim, int)]
                yield atom, max(math.prod(known), 1), others


def crossing_time(target: Target | None, elements: int) -> int:
    """Picoseconds that a tensor takes to cross the border; its elements without a target."""
    if target is None:
        return elements
    latency, rate = target.host.transfer_latency.value, target.host.values_per_ns.value
    return math.ceil(1000 * (latency + elements / rate))


def _cut(
    module: Module,
    pairs: list[tuple[Op, int]],
    host: set[int],
    anchors: set[int],
    target: Target | None,
) -> set[int]:
    """The host's side of the minimum cut; an edge without capacity is never cut.

    A value that crosses costs its size once, however many ops read it: `leaves` stands between a
    producer on the chip and all its readers, `enters` between readers on the chip and a producer
    on the host.
    """
    flow: nx.DiGraph[Any] = nx.DiGraph()
    flow.add_edges_from((_CHIP, atom) for atom in anchors)
    flow.add_edges_from((atom, _HOST) for atom in host)
    flow.add_nodes_from(atom for _, atom in pairs)
    for number, (source, size, readers) in enumerate(_edges(module, pairs)):
        leaves, enters = ("leaves", number), ("enters", number)
        cost = crossing_time(target, size)
        flow.add_edge(source, leaves, capacity=cost)
        flow.add_edge(enters, source, capacity=cost)
        for reader in readers:
            flow.add_edge(leaves, reader)
            flow.add_edge(reader, enters)
    _, (_, host_side) = nx.minimum_cut(flow, _CHIP, _HOST)
    return {atom for _, atom in pairs if atom in host_side}


def _merged(module: Module, atoms: list[int], host: Mapping[int, Why]) -> Module:
    """The module with one `host` op for each level of the host.

    Level k of the host needs levels below k of the chip; level k of the chip needs levels up to k
    of the host.  So segments cannot depend on each other in a circle.
    """
    level = _levels(module, atoms, host)
    segments: dict[int, list[tuple[Op, Why]]] = {}
    chip: dict[int, list[Op]] = {}
    for op, atom in zip(module.ops, atoms, strict=True):
        if atom in host:
            segments.setdefault(level[atom], []).append((op, host[atom]))
        else:
            chip.setdefault(level[atom], []).append(op)
    ops: list[Op] = []
    for number in sorted({*segments, *chip}):
        if number in segments:
            ops.append(_segment(module, segments[number]))
        ops += chip.get(number, [])
    kept = {*module.inputs, *(result for op in ops for result in op.results)}
    used = {name for op in ops for name in op.operands}
    return replace(
        module,
        ops=tuple(ops),
        values={name: value for name, value in module.values.items() if name in kept},
        constants={name: array for name, array in module.constants.items() if name in used},
    )


def _levels(module: Module, atoms: list[int], host: Collection[int]) -> dict[int, int]:
    """The level of each atom: the latest that the longest alternation of chip and host allows."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(atoms)
    for source, _, targets in _edges(module, list(zip(module.ops, atoms, strict=True))):
        graph.add_edges_from((source, target) for target in targets)
    after: dict[int, int] = {}  # how often the side still changes from chip to host
    for atom in reversed(list(nx.topological_sort(graph))):
        changes = (
            after[other] + (1 if other in host and atom not in host else 0)
            for other in graph.successors(atom)
        )
        after[atom] = max(changes, default=0)
    last = max(after.values(), default=0)
    return {atom: last - changes for atom, changes in after.items()}


def _read(module: Module, op: Op) -> list[str]:
    """The values that the ONNX nodes of an op read: not all of them need be operands of the op."""
    if not isinstance(module.source, SourceModel):
        return []
    names = (f"%{name}" for node in op.origins for name in module.source.reads_of(node))
    return [name for name in names if name in module.values]


def _segment(module: Module, members: list[tuple[Op, Why]]) -> Op:
    """One `host` op for some ops; each comes with a reason, in case it is none of the host yet."""
    ops = [op for op, _ in members]
    nodes: dict[str, Why] = {}
    for op, why in members:
        if op.kind == "host":
            nodes.update(host_reasons(op))
        else:
            nodes.update({name: nodes.get(name, why) for name in op.origins})
    inside = {id(op) for op in ops}
    defined = {result: None for op in ops for result in op.results if result}
    needed = {name for op in module.ops if id(op) not in inside for name in op.operands}
    needed |= {name for _, name in module.outputs}
    operands = dict.fromkeys(
        name for op in ops for name in op.operands if name[:1] == "%" and name not in defined
    )
    recomputed = _recomputed(module)
    for op in ops:
        more = (*_read(module, op), *sorted(recomputed(op) or ()))
        operands.update(dict.fromkeys(name for name in more if name not in defined))
    products: dict[str, AttributeValue] = {}
    if isinstance(module.source, SourceModel):
        products["products"] = multiply_adds(module.source, nodes)
        products["activation_products"] = activation_products(module.source, nodes)
    return Op(
        kind="host",
        operands=tuple(operands),
        results=tuple(name for name in defined if name in needed),
        attributes={
            "nodes": tuple(nodes),
            "reasons": tuple(reason for reason, _ in nodes.values()),
            "hints": tuple(hint for _, hint in nodes.values()),
            **products,
        },
        origins=tuple(nodes),
    )
