"""Packing tiles onto cores so that none of them has too much to do.

A core holds tiles whose rectangles do not overlap, and runs their matrix-vector products (MVMs) one
after another.  Its load is the sum of their MVMs per sample.  This contains the packing of
rectangles and is NP-hard: what is found is a packing, not the best one.  No choice depends on
anything but the arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from anacc.targets import Target
from anacc_passes.packing.rectangles import Free, Rect, Spot, left_free


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


@dataclass
class _Core:
    """A core under construction: its maximal free rectangles."""

    free: list[Free]
    label: int | None = None

    def corner(self, rect: Rect) -> tuple[int, int] | None:
        """Where a rectangle fits most tightly."""
        best = min(
            (
                (min(r1 - r0 - rect.rows, c1 - c0 - rect.columns), r0, c0)
                for r0, c0, r1, c1 in (free for free in self.free if free.fits(rect))
            ),
            default=None,
        )
        return None if best is None else best[1:]


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
        self.cores.append(_Core([Free(0, 0, self.room.rows, self.room.columns)]))
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
        row, column = corner
        used = Free(row, column, row + item.rect.rows, column + item.rect.columns)
        core.free = left_free(core.free, used)
        self.loads[number] -= item.load
        self.cells[number] -= item.rect.rows * item.rect.columns
        if item.label is not None and core.label is None:
            core.label = item.label
            self.labelled[item.label] += 1
        return Spot(number, *corner)


def pack_within(items: Sequence[Item], room: Room, limit: int) -> tuple[Spot, ...] | None:
    """Pack items so that no core has more than `limit` MVMs, if that is found to be possible.

    Best fit on the load, items in decreasing order; tried with several orders.

    Returns:
        The place of each item, on cores numbered from 0 in the order in which they were opened.
    """
    if sum(item.load for item in items) > limit * room.cores:
        return None
    for key in KEYS:
        spots, unplaced = pack_in(in_order(items, room, limit, key), items, room, limit, patience=0)
        if not unplaced:
            return tuple(spots[number] for number in range(len(items)))
    if len(items) <= room.cores and few_labels(items, room):
        if max((item.load for item in items), default=0) <= limit:
            return tuple(Spot(number, 0, 0) for number in range(len(items)))
    return None


# What is large in items, of their shares of a core's cells and load: both, the larger one, either.
KEYS: tuple[Callable[[float, float], tuple[float, float]], ...] = (
    lambda cells, load: (-cells - load, -cells),
    lambda cells, load: (-max(cells, load), -cells - load),
    lambda cells, load: (-load, -cells),
    lambda cells, load: (-cells, -load),
)


def in_order(
    items: Sequence[Item],
    room: Room,
    limit: int,
    key: Callable[[float, float], tuple[float, float]],
) -> list[int]:
    """The items, the largest first; those that are tied to some cores before all others, which
    find a place anywhere."""
    full = room.rows * room.columns
    keys = [
        (item.label is None, *key(item.rect.rows * item.rect.columns / full, item.load / limit))
        for item in items
    ]
    return sorted(range(len(items)), key=keys.__getitem__)


def pack_in(
    order: Sequence[int], items: Sequence[Item], room: Room, limit: int, patience: int
) -> tuple[dict[int, Spot], list[int]]:
    """The places of items in an order, and the items that found none; it ends when these are more
    than `patience`."""
    packer = _Packer(room, limit)
    spots: dict[int, Spot] = {}
    unplaced: list[int] = []
    for number in order:
        spot = packer.add(items[number])
        if spot is not None:
            spots[number] = spot
            continue
        unplaced.append(number)
        if len(unplaced) > patience:
            break
    return spots, unplaced


def few_labels(items: Sequence[Item], room: Room) -> bool:
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
