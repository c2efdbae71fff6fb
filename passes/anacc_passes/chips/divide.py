"""Which chip runs each stream, and in which round.

Chips stand in a chain; what goes from one to another crosses a link for each neighbour on the way.
A model that all chips together cannot hold runs in rounds (`--reload`): the crossbars are
programmed anew when the whole batch has passed through a round.

1. The streams are cut into as few rounds as hold them, and each round into chips
   (`anacc_passes.chips.cut`): least traffic first, then balance.  A recurrence stays in one round.
2. Single nodes then move where less is left to cross (`anacc_passes.chips.refine`).
3. What tiles need of a chip is known only when they are packed: the share of a crossbar that each
   takes is that in a packing of the whole model, and, where a chip turns out too small for what it
   was given, that in a packing of those tiles; then the cut is made again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from anacc.ir import Module
from anacc.targets import Target
from anacc_passes.chips.cut import UNIT, cut, numbered
from anacc_passes.chips.refine import Parts
from anacc_passes.chips.stream_graph import Net, StreamGraph, crossings, stream_graph
from anacc_passes.chips.windows import Site

ATTEMPTS = 24
"""Cuts that are tried until each chip holds what it was given."""


@dataclass(frozen=True)
class Packed:
    """How tiles lie on crossbars.

    Attributes:
        crossbars: number of the crossbar of each tile, by position in the module.
        cells: of each tile.
        fits: whether one chip has a place for all of them.
    """

    crossbars: Mapping[int, int]
    cells: Mapping[int, int]
    fits: bool

    @property
    def count(self) -> int:
        """Crossbars in use."""
        return len(set(self.crossbars.values()))

    def shares(self) -> dict[int, int]:
        """Which share of its crossbar each tile takes, in 1 / UNIT; all of one crossbar make one
        at least."""
        used: Counter[int] = Counter()
        for tile, crossbar in self.crossbars.items():
            used[crossbar] += self.cells[tile]
        return {
            tile: -(-UNIT * self.cells[tile] // used[crossbar])
            for tile, crossbar in self.crossbars.items()
        }


Pack = Callable[[Sequence[int]], Packed]
"""Packs the tiles among the ops at these positions."""


@dataclass(frozen=True)
class Division:
    """Where each op is.

    Attributes:
        sites: its round and its chip, both from 0; None where it runs wherever it is read.
        traffic: values per sample that pass between rounds and chips, once for each boundary.
    """

    sites: tuple[Site | None, ...]
    traffic: int = 0

    @property
    def parts(self) -> tuple[int, int]:
        """How many rounds there are, and how many chips in all of them."""
        sites = {site for site in self.sites if site is not None}
        return 1 + max(number for number, _ in sites), len(sites)


def divide(
    module: Module, target: Target, pack: Pack, chips: int | None, reload: bool
) -> Division | None:
    """Divide the ops of a module.

    Args:
        module: chip level, without units.
        target: each of the chips.
        pack: how tiles are packed.
        chips: how many there are; None: as many as it takes, up to `grid.max_chips`.
        reload: whether there may be several rounds.

    Returns:
        The division; None if no cut was found that the chips hold.
    """
    everything = range(len(module.ops))
    whole = pack(everything)
    if whole.fits:
        return Division(((0, 0),) * len(everything))
    # Columns of row tiles stay whole unless that takes more rounds, chips or traffic.
    found = (
        _Search(
            stream_graph(module, target, columns, by_rows),
            target,
            pack,
            chips,
            reload,
            whole.shares(),
        ).found(len(everything))
        for columns, by_rows in ((True, False), (True, True), (False, False))
    )
    divisions = [division for division in found if division is not None]
    return min(divisions, key=lambda division: (division.parts, division.traffic), default=None)


@dataclass
class _Search:
    """Cuts, packs, and corrects what each tile is taken to need."""

    graph: StreamGraph
    target: Target
    pack: Pack
    chips: int | None
    reload: bool
    shares: dict[int, int]

    def found(self, count: int) -> Division | None:
        """The division of `count` ops; None if no cut is found."""
        capacity = self.target.cores * UNIT
        for _ in range(ATTEMPTS):
            places = self._places(capacity)
            if places is None:
                return None
            crowded = self._crowded(places)
            if not crowded:
                return self._division(places, count)
            before = dict(self.shares)
            for packed in crowded:
                self.shares.update(packed.shares())
            narrow = any(packed.count <= self.target.cores for packed in crowded)
            if narrow or before == self.shares:  # not cores are too few, but those of a column
                capacity -= UNIT
        return None

    def _weights(self) -> list[int]:
        return [sum(self.shares.get(op, 0) for op in ops) for ops in self.graph.nodes]

    def _places(self, capacity: int) -> list[tuple[int, int]] | None:
        """Round and chip of each node."""
        weights = self._weights()
        rounds = self._rounds(weights, capacity) if self.reload else [0] * len(weights)
        tried = -1
        while rounds is not None and max(rounds, default=0) > tried:
            places = self._chips_of(rounds, weights, capacity)
            if places is not None or not self.reload:
                return places
            tried = max(rounds)
            rounds = self._rounds(weights, capacity, tried + 2)
        return None

    def _rounds(self, weights: Sequence[int], capacity: int, least: int = 1) -> list[int] | None:
        """The round of each node, in `least` rounds or more; groups that depend on themselves stay
        together."""
        graph, chips = self.graph, self.chips or 1
        costs = crossings(graph.nets, len(weights))
        group_of = group_numbers(graph)
        grouped = [sum(weights[first:last]) for first, last in graph.groups]
        starts = [first for first, _ in graph.groups]
        room = capacity * chips
        if least > 1:  # less than all that fits, so that there is room to cut it into chips
            room = max(max(grouped), min(room, (sum(grouped) - 1) // (least - 1)))
        found = cut(grouped, [*(costs[start] for start in starts), 0], room, None)
        if found is None:
            return None
        before: list[set[int]] = [set() for _ in starts]
        for node, sources in enumerate(graph.before):
            before[group_of[node]].update(group_of[source] for source in sources)
        for number, earlier in enumerate(before):
            earlier.discard(number)
        nets = contracted(graph.nets, group_of)
        parts_of = Parts(numbered(found, len(starts)), grouped, nets, [*map(sorted, before)])
        parts_of.improve(room)
        return [parts_of.parts[group] for group in group_of]

    def _chips_of(
        self, rounds: Sequence[int], weights: Sequence[int], capacity: int
    ) -> list[tuple[int, int]] | None:
        """Round and chip of each node, a round after the other."""
        places = [(number, 0) for number in rounds]
        members: dict[int, list[int]] = defaultdict(list)
        position: dict[int, int] = {}
        for node, number in enumerate(rounds):
            position[node] = len(members[number])
            members[number].append(node)
        nets: dict[int, list[Net]] = defaultdict(list)
        for net in self.graph.nets:
            ends: dict[int, list[int]] = defaultdict(list)
            for node in net.nodes:
                ends[rounds[node]].append(position[node])
            for number, inner in ends.items():
                if len(inner) > 1:  # what waits for another round leaves the chips
                    nets[number].append(Net(net.values, tuple(inner)))
        for number, nodes in members.items():
            own = [weights[node] for node in nodes]
            found = cut(own, crossings(nets[number], len(nodes)), capacity, self.chips)
            if found is None or len(found) >= self.target.grid.max_chips.value:
                return None
            parts = Parts(numbered(found, len(nodes)), own, nets[number])
            parts.improve(capacity)
            for node, chip in zip(nodes, parts.parts, strict=True):
                places[node] = number, chip
        return places

    def _crowded(self, places: Sequence[tuple[int, int]]) -> list[Packed]:
        """The packings of chips that do not hold what they were given."""
        given: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, ops in zip(places, self.graph.nodes, strict=True):
            given[place].extend(ops)
        packings = (self.pack(sorted(ops)) for _, ops in sorted(given.items()))
        return [packed for packed in packings if not packed.fits]

    def _division(self, places: Sequence[Site], count: int) -> Division:
        sites: list[Site | None] = [None] * count
        for site, ops in zip(places, self.graph.nodes, strict=True):
            for op in ops:
                sites[op] = site
        traffic = 0
        for net in self.graph.nets:
            first, *_, last = sorted(places[node][0] for node in net.nodes)
            traffic += net.values * (last - first)
            by_round: dict[int, list[int]] = defaultdict(list)
            for number, chip in (places[node] for node in net.nodes):
                by_round[number].append(chip)
            traffic += net.values * sum(max(ends) - min(ends) for ends in by_round.values())
        return Division(tuple(sites), traffic)


def group_numbers(graph: StreamGraph) -> list[int]:
    """The number of each node's group."""
    return [number for number, (first, last) in enumerate(graph.groups) for _ in range(first, last)]


def contracted(nets: Sequence[Net], group_of: Sequence[int]) -> list[Net]:
    """The nets between groups of nodes."""
    found = []
    for net in nets:
        ends = tuple(sorted({group_of[node] for node in net.nodes}))
        if len(ends) > 1:
            found.append(replace(net, nodes=ends))
    return found
