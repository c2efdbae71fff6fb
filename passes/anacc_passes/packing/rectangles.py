"""Packing rectangles onto crossbars, and how few crossbars could do.

Maximal-rectangles packing: each crossbar keeps the list of all maximal free rectangles, and a
rectangle goes to the corner of the one that it fits most tightly.  Rectangles are not turned, for
rows are inputs and columns outputs.  No choice depends on anything but the arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, order=True)
class Rect:
    """Size of a tile, in cells."""

    rows: int
    columns: int


@dataclass(frozen=True, order=True)
class Spot:
    """Where a rectangle lies: number of the crossbar, row and column of its first cell."""

    crossbar: int
    row: int
    column: int


class Free(NamedTuple):
    """A free rectangle: rows [row, row_end), columns [column, column_end)."""

    row: int
    column: int
    row_end: int
    column_end: int

    def holds(self, other: Free) -> bool:
        """Whether the other one lies inside it."""
        return (
            self.row <= other.row
            and self.column <= other.column
            and self.row_end >= other.row_end
            and self.column_end >= other.column_end
        )

    def fits(self, rect: Rect) -> bool:
        """Whether it has room for a rectangle."""
        return (
            self.row_end - self.row >= rect.rows and self.column_end - self.column >= rect.columns
        )

    def without(self, used: Free) -> list[Free]:
        """The maximal rectangles of what is left when `used` is taken away."""
        if (
            used.row >= self.row_end
            or used.row_end <= self.row
            or used.column >= self.column_end
            or used.column_end <= self.column
        ):
            return [self]
        parts = (
            Free(self.row, self.column, used.row, self.column_end),
            Free(used.row_end, self.column, self.row_end, self.column_end),
            Free(self.row, self.column, self.row_end, used.column),
            Free(self.row, used.column_end, self.row_end, self.column_end),
        )
        return [p for p in parts if p.row < p.row_end and p.column < p.column_end]


def left_free(free: Iterable[Free], used: Free) -> list[Free]:
    """All maximal free rectangles of a crossbar, of those that it had, when `used` is taken."""
    unique = list(dict.fromkeys(part for each in free for part in each.without(used)))
    return [
        part
        for part in unique
        if not any(other is not part and other.holds(part) for other in unique)
    ]


@dataclass
class _Crossbar:
    """A crossbar under construction; `label` is that of the rectangles on it, None while open."""

    free: list[Free]
    label: int | None = None


class _Spaces:
    """The free rectangles of all crossbars as one table, so that the best of many is found at once.

    Columns: rows, columns, number of the crossbar, row, column; a line of zeros is unused.
    """

    def __init__(self) -> None:
        self.table = np.zeros((64, 5), dtype=np.int64)
        self.lines: dict[int, list[int]] = {}  # of each crossbar
        self.unused = list(range(63, -1, -1))

    def set(self, number: int, free: Sequence[Free]) -> None:
        """Replace the rectangles of a crossbar."""
        lines = self.lines.pop(number, [])
        self.table[lines] = 0
        self.unused += lines
        while len(self.unused) < len(free):
            size = len(self.table)
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])
            self.unused += range(2 * size - 1, size - 1, -1)
        self.lines[number] = [self.unused.pop() for _ in free]
        for line, each in zip(self.lines[number], free, strict=True):
            size_and_place = each.row_end - each.row, each.column_end - each.column, number
            self.table[line] = (*size_and_place, each.row, each.column)

    def best(self, rect: Rect, allowed: Callable[[int], bool] | None) -> Spot | None:
        """The corner of the rectangle that leaves the shortest side, then the least other side;
        among equals of the crossbar, row and column of the lowest number."""
        spare = self.table[:, :2] - (rect.rows, rect.columns)
        fits = np.flatnonzero((spare >= 0).all(axis=1))
        if allowed is not None:
            keep = [allowed(number) for number in self.table[fits, 2].tolist()]
            fits = fits[keep]
        if not len(fits):
            return None
        short, long = spare[fits].min(axis=1), spare[fits].max(axis=1)
        fits, long = fits[short == short.min()], long[short == short.min()]
        fits = fits[long == long.min()]
        number, row, column = min(map(tuple, self.table[fits, 2:].tolist()))
        return Spot(number, row, column)


@dataclass
class _Packer:
    """Packs one rectangle after the other; see `pack`."""

    rows: int
    columns: int
    limit: int | None
    least: Rect  # no rectangle has fewer rows or fewer columns
    crossbars: list[_Crossbar] = field(default_factory=list)
    spaces: _Spaces = field(default_factory=_Spaces)
    labelled: Counter[int] = field(default_factory=Counter)  # crossbars of each label

    def add(self, rect: Rect, label: int | None) -> Spot:
        full = label is not None and self.limit is not None and self.labelled[label] >= self.limit
        # A crossbar without label would become one of this label.
        open_to = (label,) if full else (label, None)
        spot = self.spaces.best(
            rect, None if label is None else lambda bar: self.crossbars[bar].label in open_to
        ) or Spot(len(self.crossbars), 0, 0)
        self.put(spot, rect)
        self.mark(spot.crossbar, label)
        return spot

    def mark(self, number: int, label: int | None) -> None:
        """Give a crossbar the label of what lies on it."""
        crossbar = self.crossbars[number]
        if label is not None and crossbar.label is None:
            crossbar.label = label
            self.labelled[label] += 1

    def put(self, spot: Spot, rect: Rect) -> None:
        """Lay a rectangle where its place is settled."""
        while len(self.crossbars) <= spot.crossbar:
            crossbar = _Crossbar([Free(0, 0, self.rows, self.columns)])
            self.spaces.set(len(self.crossbars), crossbar.free)
            self.crossbars.append(crossbar)
        crossbar = self.crossbars[spot.crossbar]
        end = spot.row + rect.rows, spot.column + rect.columns
        free = left_free(crossbar.free, Free(spot.row, spot.column, *end))
        crossbar.free = [each for each in free if each.fits(self.least)]
        self.spaces.set(spot.crossbar, crossbar.free)


MANY = 2_000
"""More rectangles than these are packed in one order of size only."""

# Keys that sort the largest first, by area, longer side, rows, columns.
_ORDERS: tuple[Callable[[Rect], tuple[int, int]], ...] = (
    lambda rect: (-rect.rows * rect.columns, -rect.rows),
    lambda rect: (-max(rect.rows, rect.columns), -min(rect.rows, rect.columns)),
    lambda rect: (-rect.rows, -rect.columns),
    lambda rect: (-rect.columns, -rect.rows),
)


def pack(
    rects: Sequence[Rect],
    rows: int,
    columns: int,
    labels: Sequence[int | None] | None = None,
    limit: int | None = None,
    taken: Sequence[tuple[Spot, Rect, int | None]] = (),
) -> tuple[Spot, ...]:
    """Pack rectangles onto as few crossbars as the heuristic finds: best-short-side fit, largest
    first, in the best of four orders of size; where the limit matters, labelled rectangles first.

    Args:
        rects: sizes in cells.
        rows: of a crossbar, in cells.
        columns: of a crossbar, in cells.
        labels: rectangles of two different labels may not share a crossbar; one of label None
            shares with any.
        limit: how many crossbars of one label there should be at most.  A rectangle that fits on
            none of them opens one more all the same: the caller counts.
        taken: rectangles that lie on crossbars already, with their labels.

    Returns:
        The place of each rectangle, in the order of `rects`; crossbars are numbered from 0, those
        of `taken` as they are there.

    Raises:
        ValueError: if a rectangle is empty or larger than a crossbar.
    """
    for rect in rects:
        if not (0 < rect.rows <= rows and 0 < rect.columns <= columns):
            raise ValueError(f"{rect} does not fit a crossbar of {rows} rows, {columns} columns")
    if not rects:
        return ()
    marks = list(labels) if labels is not None else [None] * len(rects)
    keys = [[key(rect) for rect in rects] for key in _ORDERS]
    # Stable sorts: ties go by position.
    orders = [sorted(range(len(rects)), key=key.__getitem__) for key in keys]
    if limit is not None and any(mark is not None for mark in marks):
        orders += [sorted(order, key=lambda i: marks[i] is None) for order in orders]
    if len(rects) > MANY:
        orders = orders[:: len(_ORDERS)]
    bound = lower_bound(rects, rows, columns)
    best: tuple[int, int] | None = None
    found: tuple[Spot, ...] = ()
    for order in orders:
        spots = _pack_in(order, rects, rows, columns, marks, limit, taken)
        rank = (_excess(spots, marks, limit), len({spot.crossbar for spot in spots}))
        if best is None or rank < best:
            best, found = rank, spots
        if best <= (0, bound):
            break
    return found


def _pack_in(
    order: Sequence[int],
    rects: Sequence[Rect],
    rows: int,
    columns: int,
    labels: Sequence[int | None],
    limit: int | None,
    taken: Sequence[tuple[Spot, Rect, int | None]],
) -> tuple[Spot, ...]:
    least = Rect(min(rect.rows for rect in rects), min(rect.columns for rect in rects))
    packer = _Packer(rows, columns, limit, least)
    for spot, rect, label in taken:
        packer.put(spot, rect)
        packer.mark(spot.crossbar, label)
    spots = {index: packer.add(rects[index], labels[index]) for index in order}
    return tuple(spots[index] for index in range(len(rects)))


def _excess(spots: Sequence[Spot], labels: Sequence[int | None], limit: int | None) -> int:
    """How many crossbars of some label there are above the limit, over all labels."""
    pairs = {(mark, spot.crossbar) for mark, spot in zip(labels, spots, strict=True)}
    counts = Counter(mark for mark, _ in pairs if mark is not None)
    return 0 if limit is None else sum(max(0, count - limit) for count in counts.values())


def lower_bound(rects: Sequence[Rect], rows: int, columns: int) -> int:
    """How many crossbars any packing needs at least.

    For p <= R/2 let f(x) = R for x > R - p, 0 for x < p, and x between.  Sides that fit a length R
    next to each other still do after f, so the areas after f (rows) and a like g (columns) bound
    the number of crossbars [1]_.  The best of all p and q is at least the bound of the cells
    (p = q = 0) and the number of rectangles of more than half a crossbar in both directions.

    References:
        .. [1] S. P. Fekete, J. Schepers, "A general framework for bounds for higher-dimensional
           orthogonal packing problems", Math. Methods of Operations Research 60, 311-329 (2004).
    """
    if not rects:
        return 0
    shapes = Counter(rects)
    counts = np.array(list(shapes.values()), dtype=np.int64)
    high = _rounded([rect.rows for rect in shapes], rows)
    wide = _rounded([rect.columns for rect in shapes], columns)
    areas = (high * counts) @ wide.T
    return int(-(-int(areas.max()) // (rows * columns)))


def _rounded(sizes: Sequence[int], total: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The sizes after f for every p that makes a difference; shape (number of p, sizes)."""
    half = total // 2
    steps = {0, half} | {size for size in sizes if size <= half}
    steps |= {total - size + 1 for size in sizes if total - size + 1 <= half}
    x = np.array(sizes, dtype=np.int64)
    found = [np.where(x > total - p, total, np.where(x < p, 0, x)) for p in sorted(steps)]
    return np.stack(found)
