"""Strips onto crossbars: how few crossbars hold matrices that may be cut between any two columns.

A strip is a part of a matrix of some height (rows) and width (columns).  Cut between columns, it
computes the same, for each column has its own converter; cut between rows, it would need partial
sums.  So heights are given and widths are liquid.  Then packing is the one-dimensional cutting
stock problem [1]_: each column of a crossbar is a bin of its rows, and a strip of width w is w
items of its height.

1. Column generation solves the fractional problem: the least number of columns, and the *patterns*
   (heights that lie above one another) that reach it.  Its dual prices prove the bound, see
   `_certified`.
2. Whole columns of each pattern are zones, what is left goes to further zones, highest first.
3. Zones lie side by side over all crossbars, and strips are poured into them (`pour`), cut where a
   zone or a crossbar ends.

References:
    .. [1] P. C. Gilmore, R. E. Gomory, "A linear programming approach to the cutting-stock
       problem", Operations Research 9, 849-859 (1961).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

PRICE_UNITS = 10**6
"""Dual prices are rounded down to this part of one: the certificate is exact in integers."""

MAX_ROUNDS = 500
"""Patterns that column generation may add.  It ends long before; if not, the bound is still one."""


@dataclass(frozen=True)
class Zone:
    """Neighbouring columns that are divided alike.

    Attributes:
        heights: of the strips above one another, from the top; their sum is at most the rows.
        columns: how many.
    """

    heights: tuple[int, ...]
    columns: int


@dataclass(frozen=True)
class Zones:
    """A solution of the cutting stock problem.

    Attributes:
        zones: hold at least the columns that are asked for of each height.
        bound: no packing does with fewer columns in all.
    """

    zones: tuple[Zone, ...]
    bound: int

    @property
    def columns(self) -> int:
        """Columns of all zones."""
        return sum(zone.columns for zone in self.zones)


@dataclass(frozen=True, order=True)
class Piece:
    """A part of a strip with its place.

    Attributes:
        strip: its number.
        columns: (first, last + 1) of the strip.
        crossbar, row, column: where its first cell lies.
    """

    strip: int
    columns: tuple[int, int]
    crossbar: int
    row: int
    column: int


def divide(widths: Mapping[int, int], rows: int) -> Zones:
    """Zones for strips of given heights, and the proof that few columns less would not do.

    Args:
        widths: columns of all strips of each height, by height; heights are 1 to `rows`.
        rows: of a crossbar.
    """
    heights = sorted((height for height, width in widths.items() if width), reverse=True)
    if not heights:
        return Zones((), 0)
    demand = np.array([widths[height] for height in heights], dtype=np.int64)
    patterns, amounts, bound = _fractional(heights, demand, rows)
    left = dict(zip(heights, demand.tolist(), strict=True))
    zones = []
    for pattern, amount in sorted(zip(patterns, amounts, strict=True), reverse=True):
        columns = int(amount + 1e-9)
        # Rounding may have left less to do than the pattern holds.
        if columns:
            for height, count in zip(heights, pattern, strict=True):
                left[height] -= count * columns
            zones.append(Zone(_stack(heights, pattern), columns))
    zones += _rest(left, rows)
    return Zones(tuple(zones), bound)


def _stack(heights: Sequence[int], pattern: Sequence[int]) -> tuple[int, ...]:
    return tuple(h for h, count in zip(heights, pattern, strict=True) for _ in range(count))


def _rest(left: Mapping[int, int], rows: int) -> list[Zone]:
    """Zones for the columns that whole patterns leave over: the highest that fit, first."""
    left = {height: width for height, width in left.items() if width > 0}
    zones = []
    while left:
        stack: list[int] = []
        for height in sorted(left, reverse=True):
            fitting = (rows - sum(stack)) // height
            stack += [height] * min(fitting, left[height])
        columns = min(left[height] // stack.count(height) for height in set(stack))
        for height in set(stack):
            left[height] -= stack.count(height) * columns
        left = {height: width for height, width in left.items() if width > 0}
        zones.append(Zone(tuple(stack), columns))
    return zones


def _fractional(
    heights: Sequence[int], demand: np.ndarray[tuple[int], np.dtype[np.int64]], rows: int
) -> tuple[list[tuple[int, ...]], list[float], int]:
    """Patterns (copies of each height), columns of each in the fractional optimum, the bound."""
    patterns = [
        tuple(rows // height if other == height else 0 for other in heights) for height in heights
    ]
    known = set(patterns)
    for _ in range(MAX_ROUNDS):
        solved = linprog(
            np.ones(len(patterns)),
            A_ub=-np.array(patterns, dtype=np.float64).T,
            b_ub=-demand.astype(np.float64),
            method="highs",
        )
        prices = np.maximum(-solved.ineqlin.marginals, 0.0)
        units = np.floor(prices * PRICE_UNITS).astype(np.int64).tolist()
        worth, pattern = _dearest(heights, units, rows)
        if worth <= PRICE_UNITS or pattern in known:
            break
        patterns.append(pattern)
        known.add(pattern)
    return patterns, solved.x.tolist(), _certified(demand.tolist(), units, worth)


def _dearest(
    heights: Sequence[int], prices: Sequence[int], rows: int
) -> tuple[int, tuple[int, ...]]:
    """The dearest pattern that fits `rows`, an unbounded knapsack, by dynamic programming."""
    best = [0] * (rows + 1)
    last = [-1] * (rows + 1)
    for room in range(1, rows + 1):
        best[room] = best[room - 1]
        for number, height in enumerate(heights):
            if height <= room and best[room - height] + prices[number] > best[room]:
                best[room], last[room] = best[room - height] + prices[number], number
    pattern = [0] * len(heights)
    room = rows
    while room > 0:
        if last[room] < 0:
            room -= 1
        else:
            pattern[last[room]] += 1
            room -= heights[last[room]]
    return best[rows], tuple(pattern)


def _certified(demand: Sequence[int], prices: Sequence[int], worth: int) -> int:
    """Columns that any packing needs at least.

    Price each item of height h at prices[h].  No column can hold more than `worth`, the dearest
    pattern, so all items need at least their total price / worth columns.  This holds for any
    prices: those of the linear programme make it tight, rounding only makes it weaker.
    """
    total = sum(count * price for count, price in zip(demand, prices, strict=True))
    return -(-total // worth) if worth else 0


class _Stock:
    """Strips of one height that are not yet placed: (strip, first column) by width."""

    def __init__(self) -> None:
        self.parts: dict[int, deque[tuple[int, int]]] = {}

    def add(self, width: int, strip: int, first: int) -> None:
        self.parts.setdefault(width, deque()).append((strip, first))

    def take(self, room: int) -> tuple[int, int, int] | None:
        """Width, strip and first column of the widest part that fits; where none does, of the
        beginning of the widest one, so that the narrow ones stay whole; None: nothing is left."""
        if not self.parts:
            return None
        width = max((each for each in self.parts if each <= room), default=max(self.parts))
        strip, first = self.parts[width].popleft()
        if not self.parts[width]:
            del self.parts[width]
        if width > room:
            self.add(width - room, strip, first + room)
        return min(width, room), strip, first


def pour(
    strips: Sequence[tuple[int, int]], zones: Sequence[Zone], columns: int
) -> tuple[Piece, ...]:
    """Lay strips into zones that lie side by side over crossbars.

    Args:
        strips: (height, width) of each.
        zones: hold at least their columns, see `divide`.
        columns: of a crossbar.

    Returns:
        The pieces, in order of strips and their columns.
    """
    stock: dict[int, _Stock] = {}
    for number, (height, width) in enumerate(strips):
        # Wherever it comes to lie, a strip is cut at least once in as many columns as there are.
        for first in range(0, width, columns):
            stock.setdefault(height, _Stock()).add(min(columns, width - first), number, first)
    pieces = []
    place = 0  # columns of all crossbars that are filled
    for zone in zones:
        end = place + zone.columns
        while place < end:
            crossbar, column = divmod(place, columns)
            width = min(end - place, columns - column)
            row = 0
            for height in zone.heights:
                filled = 0
                while filled < width and (part := stock[height].take(width - filled)):
                    wide, strip, first = part
                    spot = (crossbar, row, column + filled)
                    pieces.append(Piece(strip, (first, first + wide), *spot))
                    filled += wide
                row += height
            place += width
    return tuple(sorted(pieces))
