"""The partition against all partitions: small graphs, every way to place what may move."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value
from anacc.targets import load_target
from anacc_passes.partition import Partition, crossing_time

HERMES = load_target("hermes")
ANCHOR, MOVABLE, HOST = "linear", "concat", "host"


@dataclass(frozen=True)
class Graph:
    """Nodes 0, 1, ... with a kind, the elements of their result, and earlier nodes as operands;
    one without operands reads the model's input."""

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...]

    def module(self) -> Module:
        """One op for each node; what nothing reads is an output."""
        read = {operand for operands in self.reads for operand in operands}
        values = {f"%{i}": _value(f"%{i}", size) for i, size in enumerate(self.sizes)}
        ops = []
        for i, kind in enumerate(self.kinds):
            operands = tuple(f"%{j}" for j in self.reads[i]) or ("%x",)
            hosted = {"nodes": (f"n{i}",), "reasons": ("unsupported",), "hints": ("",)}
            ops.append(Op(kind, operands, (f"%{i}",), hosted if kind == HOST else {}, (f"n{i}",)))
        outputs = tuple((f"y{i}", f"%{i}") for i in range(len(self.kinds)) if i not in read)
        return Module(
            Level.GRAPH,
            "g",
            None,
            ("%x",),
            outputs,
            {"%x": _value("%x", 1), **values},
            {},
            tuple(ops),
        )

    def cost(self, chip: frozenset[int], time: Callable[[int], int]) -> int:
        """Time of all tensors that cross, each once."""
        crossing = {
            source
            for reader, operands in enumerate(self.reads)
            for source in operands
            if (source in chip) != (reader in chip)
        }
        return sum(time(self.sizes[source]) for source in crossing)

    def sides(self) -> Iterator[frozenset[int]]:
        """Every set of nodes that the chip may run."""
        anchors = [i for i, kind in enumerate(self.kinds) if kind == ANCHOR]
        movable = [i for i, kind in enumerate(self.kinds) if kind == MOVABLE]
        for choice in itertools.product((False, True), repeat=len(movable)):
            yield frozenset(anchors) | {i for i, on in zip(movable, choice, strict=True) if on}

    def without_lone(self, chip: frozenset[int]) -> frozenset[int]:
        """The chip's nodes that are connected to an anchor over nodes of the chip."""
        islands = nx.Graph((i, j) for i, js in enumerate(self.reads) for j in js)
        islands.add_nodes_from(range(len(self.kinds)))
        islands = islands.subgraph(chip)
        return frozenset(
            node
            for part in nx.connected_components(islands)
            if any(self.kinds[i] == ANCHOR for i in part)
            for node in part
        )

    def alternations(self, chip: frozenset[int]) -> int:
        """The most host parts that one path meets: no partition has fewer segments."""
        runs: list[int] = []
        for i, operands in enumerate(self.reads):
            new = 0 if i in chip else 1
            before = [runs[j] + (new if j in chip else 0) for j in operands]
            runs.append(max(before, default=new))
        return max(runs)


def _value(name: str, size: int) -> Value:
    return Value(name, TensorType("float32", (BATCH, size)))


def random_graph(seed: int, largest: int) -> Graph:
    """Three to nine nodes."""
    random = np.random.default_rng(seed)
    count = int(random.integers(3, 10))
    kinds = random.choice([ANCHOR, MOVABLE, HOST], count, p=[0.25, 0.5, 0.25])
    reads = [
        tuple(sorted(random.choice(i, min(i, int(random.integers(0, 3))), replace=False).tolist()))
        for i in range(count)
    ]
    sizes = random.integers(1, largest, count)
    return Graph(tuple(map(str, kinds)), tuple(map(int, sizes)), tuple(reads))


def chip_nodes(module: Module) -> frozenset[int]:
    return frozenset(int(op.origins[0][1:]) for op in module.ops if op.kind != HOST)


@pytest.mark.parametrize("target", [None, HERMES], ids=["elements", "time"])
@pytest.mark.parametrize("largest", [4, 4000])
def test_random_graphs_against_every_partition(target: object, largest: int) -> None:
    chosen = HERMES if target is not None else None

    def time(size: int) -> int:
        return crossing_time(chosen, size)

    for seed in range(150):
        graph = random_graph(seed, largest)
        module = Partition(chosen)(graph.module())
        found = chip_nodes(module)
        costs = {chip: graph.cost(chip, time) for chip in graph.sides()}
        least = min(costs.values())
        # On a tie the chip wins: all that any best partition has there, unless no product is near.
        best: frozenset[int] = frozenset().union(*(c for c, cost in costs.items() if cost == least))
        assert found == graph.without_lone(best), seed
        assert graph.cost(found, time) == least, seed
        segments = [op for op in module.ops if op.kind == HOST]
        assert len(segments) == graph.alternations(found), seed


def test_a_tensor_takes_the_latency_and_the_time_of_its_elements() -> None:
    latency, rate = HERMES.host.transfer_latency.value, HERMES.host.values_per_ns.value
    assert crossing_time(HERMES, 256) == math.ceil(1000 * (latency + 256 / rate))
    assert crossing_time(None, 256) == 256


def test_one_large_tensor_crosses_rather_than_several_small_ones() -> None:
    """A layer's result is cut into halves, each of which the host wants."""
    graph = Graph(
        (ANCHOR, MOVABLE, MOVABLE, HOST, HOST), (100, 50, 50, 1, 1), ((), (0,), (0,), (1,), (2,))
    )
    assert chip_nodes(Partition()(graph.module())) == {0, 1, 2}  # as many elements: the chip wins
    assert chip_nodes(Partition(HERMES)(graph.module())) == {0}  # one transfer, not two
