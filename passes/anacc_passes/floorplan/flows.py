"""The traffic as arrays, and what a placement costs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc_passes.floorplan.grid import Grid, Integers
from anacc_passes.floorplan.traffic import Traffic

Cost = tuple[int, int]
"""Hops of partial sums, and traffic x distance: compared in this order."""


class Flows:
    """Symmetric flows between crossbars: a distance is the same both ways.

    Attributes:
        grid: of the chip.
        count: number of crossbars.
        ties: (count,) the grid column of each crossbar that is tied to one, or -1.
        ends: (pairs, 2) crossbars that exchange something, each pair once, the lower one first.
        values: (pairs,) values per sample.
        partials: (pairs,) transfers of partial sums.
        pulls: (count, grid columns) values per sample times links across, in each column.
    """

    def __init__(self, grid: Grid, traffic: Traffic) -> None:
        self.grid = grid
        self.count = len(traffic.columns)
        self.ties: Integers = np.array([-1 if c is None else c for c in traffic.columns], np.int64)
        values: Counter[tuple[int, int]] = Counter()
        partials: Counter[tuple[int, int]] = Counter()
        for each in traffic.transfers:
            pair = min(each.source, each.destination), max(each.source, each.destination)
            values[pair] += each.values
            partials[pair] += each.partial
        pairs = sorted(values)
        self.ends: Integers = np.array(pairs, np.int64).reshape(-1, 2)
        self.values: Integers = np.array([values[pair] for pair in pairs], np.int64)
        self.partials: Integers = np.array([partials[pair] for pair in pairs], np.int64)
        across = np.abs(np.subtract.outer(np.arange(grid.columns), np.arange(grid.columns)))
        self.pulls: Integers = np.zeros((self.count, grid.columns), np.int64)
        for pull in traffic.pulls:
            self.pulls[pull.crossbar] += pull.values * across[pull.column] * grid.aside

    def cost(self, cores: npt.ArrayLike) -> Cost:
        """What a placement costs; `cores`: (count,) the core of each crossbar."""
        at: npt.NDArray[Any] = np.asarray(cores, np.int64)
        far = self.grid.between(at[self.ends[:, 0]], at[self.ends[:, 1]])
        pulled = self.pulls[np.arange(self.count), self.grid.column_of[at]]
        return int(far @ self.partials), int(far @ self.values) + int(pulled.sum())

    def weights(self, hop: int) -> Integers:
        """(pairs,): what one link between two crossbars costs, where a hop of a partial sum
        costs `hop` beside its values."""
        return self.values + hop * self.partials

    def dominant(self) -> int:
        """A cost of a hop that outweighs all other traffic over the longest way."""
        longest = self.grid.rows * self.grid.down + self.grid.columns * self.grid.aside
        return 1 + int(self.values.sum()) * longest + int(self.pulls.max(axis=1).sum())

    def neighbours(self) -> tuple[Integers, Integers]:
        """Who exchanges something with whom, as padded lists.

        Returns:
            (count + 1, degree) numbers of pairs and of crossbars.  What pads the lists, and the
            last row, which stands for no crossbar, holds the number of pairs and `count`.
        """
        pairs, count = len(self.ends), self.count
        source = np.concatenate([self.ends[:, 0], self.ends[:, 1]])
        other = np.concatenate([self.ends[:, 1], self.ends[:, 0]])
        number = np.tile(np.arange(pairs), 2)
        order = np.argsort(source, kind="stable")
        degrees = np.bincount(source, minlength=count)
        slots = np.arange(2 * pairs) - np.repeat(np.cumsum(degrees) - degrees, degrees)
        width = max(int(degrees.max(initial=0)), 1)
        by_pair = np.full((count + 1, width), pairs, np.int64)
        by_end = np.full((count + 1, width), count, np.int64)
        by_pair[source[order], slots] = number[order]
        by_end[source[order], slots] = other[order]
        return by_pair, by_end
