"""Tiles that share cores, balanced by the work of each core, and copies of layers chosen with them.

A core holds tiles whose rectangles do not overlap, and runs their matrix-vector products (MVMs) one
after another.  Its load is the sum of their MVMs per sample; the slowest core is the slowest stage
of the pipeline.  So each tile of each copy is a rectangle with a load, and a packing onto C cores
is good if its largest load is small.  This contains the packing of rectangles and is NP-hard; what
is found here is compared with lower bounds.  No choice depends on anything but the arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from anacc.targets import Target
from anacc_passes.packing import Rect, Spot, lower_bound
from anacc_passes.replication import Split, Stage, balance, fewest

MAX_PARTS = 4
"""Into how many pieces a share of a core's load is cut at most where whole shares do not fit."""


@dataclass(frozen=True)
class Item:
    """A tile of a copy.

    Attributes:
        rect: its cells.
        load: MVMs per sample.
        label: items of two different labels may not share a core; None: with any.
    """

    rect: Rect
    load: int
    label: int | None = None


@dataclass(frozen=True)
class Room:
    """What items are packed into.

    Attributes:
        cores: how many there are.
        rows, columns: of each.
        labelled: how many cores of one label there may be; None: any number.
    """

    cores: int
    rows: int
    columns: int
    labelled: int | None = None

    @classmethod
    def of(cls, target: Target, cores: int | None = None) -> Room:
        """The cores of a chip, or some number of them; labels are grid columns."""
        crossbar, grid = target.crossbar, target.grid
        count = target.cores if cores is None else cores
        return cls(count, crossbar.rows.value, crossbar.columns.value, grid.rows.value)


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


@dataclass
class _Core:
    """A core under construction: its maximal free rectangles (row, column, row end, column end)."""

    free: list[tuple[int, int, int, int]]
    label: int | None = None

    def corner(self, rect: Rect) -> tuple[int, int] | None:
        """Where a rectangle fits most tightly."""
        best = min(
            (
                (min(r1 - r0 - rect.rows, c1 - c0 - rect.columns), r0, c0)
                for r0, c0, r1, c1 in self.free
                if r1 - r0 >= rect.rows and c1 - c0 >= rect.columns
            ),
            default=None,
        )
        return None if best is None else best[1:]

    def take(self, row: int, column: int, rect: Rect) -> None:
        """Use the cells of a rectangle with its first cell there."""
        row_end, column_end = row + rect.rows, column + rect.columns
        parts: dict[tuple[int, int, int, int], None] = {}
        for r0, c0, r1, c1 in self.free:
            if row >= r1 or row_end <= r0 or column >= c1 or column_end <= c0:
                parts[r0, c0, r1, c1] = None
                continue
            for part in ((r0, c0, row, c1), (row_end, c0, r1, c1), (r0, c0, r1, column),
                         (r0, column_end, r1, c1)):  # fmt: skip
                if part[0] < part[2] and part[1] < part[3]:
                    parts[part] = None
        self.free = [a for a in parts if not any(b != a and _holds(b, a) for b in parts)]


def _holds(outer: tuple[int, int, int, int], inner: tuple[int, int, int, int]) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[2] >= inner[2]
        and outer[3] >= inner[3]
    )


@dataclass
class _Packer:
    """Puts one item after the other on the core that it leaves least room for others."""

    room: Room
    limit: int
    cores: list[_Core] = field(default_factory=list)
    labelled: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.loads = np.full(self.room.cores, self.limit, np.int64)  # what is left
        self.cells = np.full(self.room.cores, self.room.rows * self.room.columns, np.int64)

    def add(self, item: Item) -> Spot | None:
        """The place of an item, None if there is none."""
        opened = len(self.cores)
        area = item.rect.rows * item.rect.columns
        loads, cells = self.loads[:opened], self.cells[:opened]
        usable = np.flatnonzero((loads >= item.load) & (cells >= area))
        for number in usable[np.lexsort((usable, cells[usable], loads[usable]))].tolist():
            core = self.cores[number]
            if item.label not in (None, core.label) and not self._open_to(core, item.label):
                continue
            corner = core.corner(item.rect)
            if corner is not None:
                return self._put(item, number, corner)
        if opened == self.room.cores or item.load > self.limit:
            return None
        self.cores.append(_Core([(0, 0, self.room.rows, self.room.columns)]))
        if item.label is not None and not self._open_to(self.cores[-1], item.label):
            return None
        return self._put(item, opened, (0, 0))

    def _open_to(self, core: _Core, label: int | None) -> bool:
        """Whether a core without label may become one of this label."""
        most = self.room.labelled
        free = label is None or most is None or self.labelled[label] < most
        return core.label is None and free

    def _put(self, item: Item, number: int, corner: tuple[int, int]) -> Spot:
        core = self.cores[number]
        core.take(*corner, item.rect)
        self.loads[number] -= item.load
        self.cells[number] -= item.rect.rows * item.rect.columns
        if item.label is not None and core.label is None:
            core.label = item.label
            self.labelled[item.label] += 1
        return Spot(number, *corner)


def pack_within(items: Sequence[Item], room: Room, limit: int) -> tuple[Spot, ...] | None:
    """Pack items so that no core has more than `limit` MVMs, if that is found to be possible.

    Best fit on the load, items in decreasing order; tried with the order of the larger of the
    shares of a core's load and cells, of the load, and of the cells.

    Returns:
        The place of each item, on cores numbered from 0 in the order in which they were opened.
    """
    if sum(item.load for item in items) > limit * room.cores:
        return None
    full = room.rows * room.columns
    areas = [item.rect.rows * item.rect.columns / full for item in items]
    shares = [item.load / limit for item in items]
    numbers = range(len(items))
    orders = (
        sorted(numbers, key=lambda i: (-max(areas[i], shares[i]), -areas[i] - shares[i])),
        sorted(numbers, key=lambda i: (-shares[i], -areas[i])),
        sorted(numbers, key=lambda i: (-areas[i], -shares[i])),
    )
    for order in dict.fromkeys(map(tuple, orders)):
        # Items that are tied to some cores come first: others find a place anywhere.
        order = tuple(sorted(order, key=lambda i: items[i].label is None))
        packer = _Packer(room, limit)
        spots: dict[int, Spot] = {}
        for number in order:
            spot = packer.add(items[number])
            if spot is None:
                break
            spots[number] = spot
        else:
            return tuple(spots[number] for number in numbers)
    if len(items) <= room.cores and _few_labels(items, room) and max(shares, default=0.0) <= 1:
        return tuple(Spot(number, 0, 0) for number in numbers)
    return None


def _few_labels(items: Sequence[Item], room: Room) -> bool:
    """Whether each item may have a core of its own, as far as labels go."""
    labels = Counter(item.label for item in items if item.label is not None)
    return room.labelled is None or max(labels.values(), default=0) <= room.labelled


def pack_balanced(items: Sequence[Item], room: Room) -> tuple[tuple[Spot, ...], int] | None:
    """Pack items with the least load of the slowest core that bisection finds, and that load.

    None if they are not found to fit at all.
    """
    total = sum(item.load for item in items)
    largest = max((item.load for item in items), default=0)
    low = max(largest, -(-total // room.cores), 1)
    high = max(total, 1)
    best = pack_within(items, room, high)
    if best is None:
        return None
    while low < high:
        middle = (low + high) // 2
        found = pack_within(items, room, middle)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    return best, high


def slowest_bound(layers: Sequence[Layer], room: Room) -> int:
    """A number of MVMs that the slowest core has at least, whatever the copies and the packing.

    With at most N MVMs a core, a layer has at least r_l(N) copies, and their tiles need cores:

    1. sum of all MVMs / N, for copies share the positions of a layer and none is done twice;
    2. as many as their rectangles need at least (`anacc_passes.packing.lower_bound`);
    3. one for each tile beside which no other fits, and sum of the others' MVMs / N.

    All three descend with N, so that the least N with which none exceeds the cores is a bound.
    """
    low, high = 1, max(1, sum(len(layer.tiles) * prod(layer.counts) for layer in layers))
    alone = _alone(layers, room)
    while low < high:
        middle = (low + high) // 2
        if _cores_needed(layers, room, alone, middle) <= room.cores:
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


def _cores_needed(layers: Sequence[Layer], room: Room, alone: frozenset[Rect], limit: int) -> float:
    """How many cores there must be for at most `limit` MVMs each."""
    rects: list[Rect] = []
    single = others = 0
    for layer in layers:
        split = fewest(layer.stage, limit)
        if split is None:
            return float("inf")
        rects += layer.tiles * split.copies
        lone = sum(rect in alone for rect in layer.tiles)
        single += lone * split.copies
        others += (len(layer.tiles) - lone) * prod(layer.counts)
    total = sum(len(layer.tiles) * prod(layer.counts) for layer in layers)
    spread = max(single - (-others // limit), -(-total // limit))
    return (
        spread if spread > room.cores else max(spread, lower_bound(rects, room.rows, room.columns))
    )


def share(layers: Sequence[Layer], room: Room) -> tuple[Split, ...] | None:
    """Copies of layers that share cores, so that the slowest core has few MVMs.

    For N MVMs a core, each layer has as few copies as have at most N positions; where that cannot
    be packed, layers with small tiles get copies of at most N/2, then N/3 positions, which fill
    what is left of cores.  Bisection over N, from `slowest_bound` to what a core for each tile
    takes (`anacc_passes.replication.balance`, the exact optimum of that).

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
    if found is None or not _few_labels(_items(layers, found), room):
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
    return sum(
        max((load for (owner, _), load in work.items() if owner == number), default=0)
        for number in range(len(layers))
    )


def _items(layers: Sequence[Layer], chosen: Sequence[Split]) -> list[Item]:
    return [
        item for layer, split in zip(layers, chosen, strict=True) for item in layer.items(split)
    ]


def _share_within(layers: Sequence[Layer], room: Room, limit: int) -> tuple[Split, ...] | None:
    """Copies with which no core is found to need more than `limit` MVMs."""
    cells = room.rows * room.columns
    tried: set[tuple[Split, ...]] = set()
    for parts in range(1, MAX_PARTS + 1):
        chosen: list[Split] = []
        for layer in layers:
            # As many pieces share a core as its cells hold.
            own = min(parts, max(1, cells // max(r.rows * r.columns for r in layer.tiles)))
            split = fewest(layer.stage, max(1, limit // own)) or fewest(layer.stage, limit)
            if split is None:
                return None
            chosen.append(split)
        if tuple(chosen) in tried:
            continue
        tried.add(tuple(chosen))
        if pack_within(_items(layers, chosen), room, limit) is not None:
            return tuple(chosen)
    return None
