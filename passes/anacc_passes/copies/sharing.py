"""Copies of layers that share cores, so that the slowest core has little to do.

Each tile of each copy is a rectangle with a load, its matrix-vector products (MVMs) per sample; the
core with the largest sum of loads is the slowest stage of the pipeline
(`anacc_passes.packing.loads`).  What is found here is compared with lower bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from anacc_passes.copies.replication import Split, Stage, balance, fewest
from anacc_passes.packing.loads import (
    KEYS,
    Item,
    Room,
    few_labels,
    in_order,
    pack_balanced,
    pack_in,
)
from anacc_passes.packing.rectangles import Rect, lower_bound

MAX_ROUNDS = 24
"""How often layers that do not fit get finer copies, for one order of packing."""

KEYS_REFINED = 2
"""Orders of packing with which that is tried."""


@dataclass(frozen=True)
class Layer:
    """A layer that shares cores with others.

    Attributes:
        counts: rounds of its position loops, outermost first.
        tiles: the cells of each tile of a copy.
        most: copies that it may have at most.
        labels: of each tile; see `Item`.
    """

    counts: tuple[int, ...]
    tiles: tuple[Rect, ...]
    most: int
    labels: tuple[int | None, ...]

    @property
    def stage(self) -> Stage:
        """The layer with a core for each tile."""
        return Stage(self.counts, len(self.tiles), self.most)

    def items(self, split: Split) -> list[Item]:
        """The tiles of all copies, copy by copy; each copy has exactly its own positions."""
        shares = [split_sizes(n, ways) for n, ways in zip(self.counts, split.ways, strict=True)]
        return [
            Item(rect, positions, label)
            for positions in _products(shares)
            for rect, label in zip(self.tiles, self.labels, strict=True)
        ]


def split_sizes(count: int, ways: int) -> list[int]:
    """Rounds of a loop that each of its cyclic shares has."""
    return [-(-(count - first) // ways) for first in range(ways)]


def _products(shares: Sequence[Sequence[int]]) -> list[int]:
    """The product of one of each, for all choices, the last one running fastest."""
    found = [1]
    for share in shares:
        found = [before * each for before in found for each in share]
    return found


def slowest_bound(layers: Sequence[Layer], room: Room) -> int:
    """A number of MVMs that the slowest core has at least, whatever the copies and the packing.

    With at most N MVMs a core, a layer has at least r_l(N) copies, and their tiles need cores:

    1. sum of all MVMs / N, for copies share the positions of a layer and none is done twice;
    2. as many as their rectangles need at least (`anacc_passes.packing.rectangles.lower_bound`);
    3. one for each tile beside which no other fits, and sum of the others' MVMs / N.

    All three descend with N, so that the least N with which none exceeds the cores is a bound.
    """
    low, high = 1, max(1, sum(len(layer.tiles) * prod(layer.counts) for layer in layers))
    alone, numbers = _alone(layers, room), Counter(layers)
    while low < high:
        middle = (low + high) // 2
        if _cores_needed(numbers, room, alone, middle) <= room.cores:
            high = middle
        else:
            low = middle + 1
    return low


def _alone(layers: Sequence[Layer], room: Room) -> frozenset[Rect]:
    """The tiles that no tile of the model can share a core with."""
    shapes = {rect for layer in layers for rect in layer.tiles}
    return frozenset(
        a
        for a in shapes
        if all(a.rows + b.rows > room.rows and a.columns + b.columns > room.columns for b in shapes)
    )


def _cores_needed(
    layers: Mapping[Layer, int], room: Room, alone: frozenset[Rect], limit: int
) -> float:
    """How many cores there must be for at most `limit` MVMs each; `layers` with their numbers."""
    copies: Counter[Layer] = Counter()
    single = others = total = 0
    for layer, count in layers.items():
        split = fewest(layer.stage, limit)
        if split is None:
            return float("inf")
        copies[layer] = count * split.copies
        lone = sum(rect in alone for rect in layer.tiles)
        single += lone * copies[layer]
        others += (len(layer.tiles) - lone) * prod(layer.counts) * count
        total += len(layer.tiles) * prod(layer.counts) * count
    spread = max(single - (-others // limit), -(-total // limit))
    if spread > room.cores:
        return spread
    rects = [rect for layer, count in copies.items() for rect in layer.tiles * count]
    return max(spread, lower_bound(rects, room.rows, room.columns))


def share(layers: Sequence[Layer], room: Room) -> tuple[Split, ...] | None:
    """Copies of layers that share cores, so that the slowest core has few MVMs.

    For N MVMs a core, each layer has as few copies as have at most N positions.  Layers of which a
    tile finds no place get more copies, with fewer positions, which fill what is left of cores; so
    on until all fit.  Bisection over N, from `slowest_bound` to what a core for each tile takes
    (`anacc_passes.copies.replication.balance`, the exact optimum of that).

    Returns:
        A split for each layer, or None if even one copy of each is not found to fit.
    """
    apart = _apart(layers, room)
    single = tuple(layer.stage.splits[0] for layer in layers)
    low = slowest_bound(layers, room)
    if apart is not None:
        best, high = apart, max((split.positions for split in apart), default=1)
    else:
        packed = pack_balanced(_items(layers, single), room)
        if packed is None:
            return None
        best, high = single, packed[1]
    while low < high:
        middle = (low + high) // 2
        found = _share_within(layers, room, middle)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    return best


def _apart(layers: Sequence[Layer], room: Room) -> tuple[Split, ...] | None:
    """The best copies with a core for each tile, if labels leave room for that."""
    found = balance([layer.stage for layer in layers], room.cores)
    if found is None or not few_labels(_items(layers, found), room):
        return None
    return found


def serial_time(layers: Sequence[Layer], chosen: Sequence[Split], room: Room) -> int | None:
    """MVMs of a sample that goes through one layer after another, on shared cores: for each layer
    those of the core that has most of it.  None if the tiles are not found to fit."""
    items = _items(layers, chosen)
    packed = pack_balanced(items, room)
    if packed is None:
        return None
    work: Counter[tuple[int, int]] = Counter()
    owners = (
        number
        for number, (layer, split) in enumerate(zip(layers, chosen, strict=True))
        for _ in layer.items(split)
    )
    for owner, item, spot in zip(owners, items, packed[0], strict=True):
        work[owner, spot.crossbar] += item.load
    longest: Counter[int] = Counter()
    for (owner, _), load in work.items():
        longest[owner] = max(longest[owner], load)
    return longest.total()


def _items(layers: Sequence[Layer], chosen: Sequence[Split]) -> list[Item]:
    return [
        item for layer, split in zip(layers, chosen, strict=True) for item in layer.items(split)
    ]


def _share_within(layers: Sequence[Layer], room: Room, limit: int) -> tuple[Split, ...] | None:
    """Copies with which no core is found to need more than `limit` MVMs."""
    options = [
        [split for split in layer.stage.splits if split.positions <= limit] for layer in layers
    ]
    if not all(options):
        return None
    for key in KEYS[:KEYS_REFINED]:
        taken = [0] * len(layers)
        for _ in range(MAX_ROUNDS):
            chosen = [each[number] for each, number in zip(options, taken, strict=True)]
            items = _items(layers, chosen)
            order = in_order(items, room, limit, key)
            _, unplaced = pack_in(order, items, room, limit, patience=len(items))
            if not unplaced:
                return tuple(chosen)
            owners = [
                owner
                for owner, (layer, split) in enumerate(zip(layers, chosen, strict=True))
                for _ in range(split.copies * len(layer.tiles))
            ]
            finer = {owners[item] for item in unplaced}
            finer = {owner for owner in finer if taken[owner] + 1 < len(options[owner])}
            if not finer:
                break
            for owner in finer:
                taken[owner] += 1
    return None
