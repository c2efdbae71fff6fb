"""The grid of cores: how far they are from each other, and paths that fill it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.targets import Target

Integers = np.ndarray[Any, np.dtype[np.int64]]


class Grid:
    """Positions of a target's cores, and how far they are from each other.

    Attributes:
        rows, columns: of the grid.
        down, across_cost: distance of neighbours in a column and in a row; 1, or more than any way
            over links where the direction has none.
        places: (row, column) of each core.
    """

    def __init__(self, target: Target) -> None:
        self.rows, self.columns = target.grid.rows.value, target.grid.columns.value
        self.places = [target.core_position(core) for core in range(target.cores)]
        linked = target.links.directions.value
        self.down, self.aside = (
            1 if direction in linked else target.cores for direction in ("vertical", "horizontal")
        )

    @cached_property
    def row_of(self) -> Integers:
        """(cores,): the row of each core."""
        return np.array([row for row, _ in self.places], np.int64)

    @cached_property
    def column_of(self) -> Integers:
        """(cores,): the column of each core."""
        return np.array([column for _, column in self.places], np.int64)

    @cached_property
    def distances(self) -> Integers:
        """(cores, cores): links from each core to each other at least."""
        return self.between(np.arange(len(self.places))[:, None], np.arange(len(self.places)))

    def between(self, sources: npt.NDArray[Any], destinations: npt.NDArray[Any]) -> Integers:
        """Links between cores, for arrays of core numbers that broadcast."""
        rows, columns = self.row_of, self.column_of
        found: Integers = (
            np.abs(rows[sources] - rows[destinations]) * self.down
            + np.abs(columns[sources] - columns[destinations]) * self.aside
        )
        return found

    def distance(self, source: int, destination: int) -> int:
        """Links from one core to another at least."""
        (row, column), (to_row, to_column) = self.places[source], self.places[destination]
        return abs(row - to_row) * self.down + abs(column - to_column) * self.aside

    def across(self, column: int, to_column: int) -> int:
        """Links from one column to another at least."""
        return abs(column - to_column) * self.aside

    def snake(self, width: int = 1) -> list[int]:
        """All cores, each next to the one before, along strips of `width` columns.

        With width 1: down the first column, up the second, ...  Wider strips are gone through row
        by row, there and back, so that what is near on the path is near on the grid in both
        directions.  A strip must end at the side where the next one begins: with an even number
        of rows, the last two are gone through column by column instead, and `width` must be odd.
        The last strip may be narrower; it begins where it must and ends anywhere.

        Raises:
            ValueError: if no such path exists.
        """
        if width % 2 == 0 and self.rows % 2 == 0:
            raise ValueError("a strip of even width ends at the wrong side of an even grid")
        path: list[int] = []
        for number, left in enumerate(range(0, self.columns, width)):
            right = min(left + width, self.columns)
            for row, column in _strip(self.rows, right - left):
                upward = self.rows - 1 - row if number % 2 else row
                path.append(upward * self.columns + left + column)
        return path

    def around(self, core: int) -> Iterator[int]:
        """All cores, nearest to one first, and from the top and the left."""
        if self.down != 1 or self.aside != 1:
            yield from sorted(range(len(self.places)), key=lambda to: self.distance(core, to))
            return
        row, column = self.places[core]
        for radius in range(self.rows + self.columns):
            for r in range(max(row - radius, 0), min(row + radius, self.rows - 1) + 1):
                rest = radius - abs(r - row)
                for c in dict.fromkeys((column - rest, column + rest)):
                    if 0 <= c < self.columns:
                        yield r * self.columns + c

    def neighbours(self, core: int) -> list[int]:
        """Linked cores, those of the same column first."""
        return [other for other in self._near(core) if self.distance(core, other) == 1]

    def _near(self, core: int) -> Iterator[int]:
        row, column = self.places[core]
        for r, c in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if 0 <= r < self.rows and 0 <= c < self.columns:
                yield r * self.columns + c


def _strip(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """(row, column) of a path from the upper left corner of a strip to its lower right one."""
    by_row = rows if rows % 2 else max(rows - 2, 0)
    for row in range(by_row):
        for column in range(width) if row % 2 == 0 else range(width - 1, -1, -1):
            yield row, column
    for column in range(width):
        tail = range(by_row, rows)
        for row in tail if column % 2 == 0 else reversed(tail):
            yield row, column
