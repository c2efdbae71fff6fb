"""The first placement: chain by chain along a path that fills the grid.

Chains that are tied to a grid column are laid down it first, longest first, by a short search for a
path of neighbouring cores.  In some of the placements chains that pull from columns go before them,
longest first: each along the cheapest path (`paths`), from the top, past cores that tied chains
will need.  All others follow the path that fills the grid, one after the other in
free stretches that hold them.  Where no stretch is long enough, the search tries again, and at
last each crossbar goes to the nearest free core.

Every crossbar is looked at once, and every stretch of the path once for each chain, of which
there are few: tied chains and the edge of the grid cut the path, nothing else does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc_passes.floorplan.grid import Grid
from anacc_passes.floorplan.paths import Floats, cheapest_path
from anacc_passes.floorplan.traffic import Traffic

PATH_TRIALS = 2_000
"""Cores that the search for one path may look at."""

ASIDE, BELOW = 4, 4
"""Columns beside those that a chain pulls from where its path may go, and rows for a crossbar."""

WIDTHS = (1, 3, 5, 9)
"""Widths of the strips of the path that are tried, where the grid has them."""


def first_placements(grid: Grid, traffic: Traffic) -> Iterator[list[int]]:
    """Valid placements, (crossbars,) cores each: for each width of the strips, with chains in the
    order in which they stand, which is that of the layers, and longest first."""
    widths = [width for width in WIDTHS if width == 1 or width < grid.columns]
    for width in widths if grid.down == grid.aside == 1 else [1]:
        # Only crossbars that are tied cut the path; without them, all chains fit in any order.
        for longest_first in (
            (False, True) if any(c is not None for c in traffic.columns) else (False,)
        ):
            yield _First(grid, traffic, grid.snake(width), longest_first).placed()
    if traffic.pulls and grid.down == grid.aside == 1:
        yield _First(grid, traffic, grid.snake(), False, pulls_first=True).placed()


@dataclass
class _First:
    grid: Grid
    traffic: Traffic
    path: Sequence[int]
    longest_first: bool
    pulls_first: bool = False
    cores: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.position = {core: number for number, core in enumerate(self.path)}
        self.stretches = _Stretches(self.grid, self.path)
        self.room = [self.grid.rows] * self.grid.columns
        self.free = np.ones(len(self.path), np.bool_)
        # Free cores that must stay so for crossbars that are tied to the column.
        tied = Counter(self.traffic.columns)
        self.kept = [tied[column] for column in range(self.grid.columns)]

    def placed(self) -> list[int]:
        chains = [list(dict.fromkeys(chain)) for chain in self.traffic.chains]
        tied = [chain for chain in chains if self._tied(chain)]
        others = [chain for chain in chains if not self._tied(chain)]
        tied.sort(key=len, reverse=True)
        if self.longest_first:
            others.sort(key=len, reverse=True)
        if self.pulls_first:
            self._follow_pulls(chains)
        for chain in (*tied, *others):
            bars = [bar for bar in chain if bar not in self.cores]
            if bars:
                anchor = next((self.cores[bar] for bar in chain if bar in self.cores), None)
                self._place(bars, anchor)
        return [self.cores[bar] for bar in range(len(self.traffic.columns))]

    def _follow_pulls(self, chains: list[list[int]]) -> None:
        """Place chains that pull, longest first, where they pull from."""
        pulls: dict[int, Floats] = defaultdict(lambda: np.zeros(self.grid.columns))
        columns = np.arange(self.grid.columns)
        for pull in self.traffic.pulls:
            far = pull.values * np.abs(columns - pull.column).astype(np.float64)
            pulls[pull.crossbar] += far
        needed = np.zeros(self.grid.columns, np.int64)  # cores for what is tied to each column
        for chain in chains:
            needed[self._ties(chain)] += len(chain)
        for chain in sorted(chains, key=len, reverse=True):
            tied = self._ties(chain)
            if not any(bar in pulls for bar in chain) or any(bar in self.cores for bar in chain):
                continue
            is_open = np.array(self.room) > needed
            is_open[tied] = True
            if self._draw(chain, pulls, is_open):
                needed[tied] -= len(chain)

    def _ties(self, chain: Sequence[int]) -> list[int]:
        """The grid columns that some of a chain are tied to."""
        columns = {self.traffic.columns[bar] for bar in chain}
        return sorted(column for column in columns if column is not None)

    def _draw(
        self, chain: list[int], pulls: Mapping[int, Floats], is_open: npt.NDArray[Any]
    ) -> bool:
        """Place a chain along its cheapest path; False: there is none, and nothing is placed.

        Args:
            chain: crossbars, none of which has a core.
            pulls: (columns,) what a crossbar that pulls costs in each column.
            is_open: (columns,) where there is room for what is not tied.
        """
        # A window is searched, of a size that does not grow with the grid: the columns that the
        # chain needs and a few aside, below the first row with a free core.
        wanted = [int(pulls[bar].argmin()) for bar in chain if bar in pulls] + self._ties(chain)
        left = max(min(wanted) - ASIDE, 0)
        free = self.free.reshape(self.grid.rows, -1)[:, left : max(wanted) + ASIDE + 1]
        free = free & is_open[left : left + free.shape[1]]
        top = int(free.any(axis=1).argmax())
        free = free[top : top + BELOW * (len(chain) + 1)]
        rows, columns = free.shape
        numbers = np.arange(left, left + columns)
        costs = np.zeros((len(chain), rows, columns))
        for cost, bar in zip(costs, chain, strict=True):
            if bar in pulls:
                cost += pulls[bar][numbers]
            tied = self.traffic.columns[bar]
            if tied is not None:
                cost[:, numbers != tied] = np.inf
        costs *= 1 + len(chain) * rows
        costs += np.arange(rows)[:, None]  # what is left below stays whole
        costs[:, ~free] = np.inf
        path = cheapest_path(costs)
        for number, (row, column) in enumerate(path or ()):
            core = (top + row) * self.grid.columns + left + column
            if not self._fits(chain[number], core):
                for bar in chain[:number]:
                    self._give(bar)
                return False
            self._take(chain[number], core)
        return path is not None

    def _tied(self, chain: Sequence[int]) -> bool:
        return any(self.traffic.columns[bar] is not None for bar in chain)

    def _place(self, bars: list[int], anchor: int | None) -> None:
        if self._tied(bars):
            bars = bars[::-1]  # the last one is tied as a rule: the path starts where it must
        elif anchor is None:
            start = self.stretches.fitting(len(bars), tightest=self.longest_first)
            if start is not None:
                for bar, core in zip(bars, self.path[start : start + len(bars)], strict=True):
                    self._take(bar, core)
                return
        if not self._walk(bars, anchor):
            for bar in bars:
                anchor = next(self._open(bar, anchor))
                self._take(bar, anchor)

    def _take(self, bar: int, core: int) -> None:
        column = self.grid.places[core][1]
        self.cores[bar] = core
        self.free[core] = False
        self.stretches.remove(self.position[core])
        self.room[column] -= 1
        self.kept[column] -= self.traffic.columns[bar] is not None

    def _give(self, bar: int) -> None:
        core = self.cores.pop(bar)
        self.free[core] = True
        column = self.grid.places[core][1]
        self.stretches.add(self.position[core])
        self.room[column] += 1
        self.kept[column] += self.traffic.columns[bar] is not None

    def _fits(self, bar: int, core: int) -> bool:
        """Whether the crossbar may take the core."""
        tied, column = self.traffic.columns[bar], self.grid.places[core][1]
        free = self.stretches.is_free[self.position[core]]
        return free and (self.room[column] > self.kept[column] if tied is None else column == tied)

    def _open(self, bar: int, anchor: int | None) -> Iterator[int]:
        """Cores that the crossbar may take: nearest to the anchor first, or along the path."""
        tied = self.traffic.columns[bar]
        if anchor is not None:
            cores: Iterator[int] = self.grid.around(anchor)
        elif tied is not None:
            # From the upper end of the column: what is left below stays whole.
            cores = (row * self.grid.columns + tied for row in range(self.grid.rows))
        else:
            cores = iter(self.path)
        return (core for core in cores if self._fits(bar, core))

    def _walk(self, bars: list[int], anchor: int | None) -> bool:
        """Place the crossbars along a path of neighbours, by depth-first search; False: none
        was found within the trials, and nothing is placed."""
        options: list[Iterator[int]] = [self._open(bars[0], anchor)]
        for _ in range(PATH_TRIALS):
            core = next(options[-1], None)
            if core is None:
                options.pop()
                if not options:
                    return False
                self._give(bars[len(options) - 1])
                continue
            bar = bars[len(options) - 1]
            if not self._fits(bar, core):
                continue
            self._take(bar, core)
            if len(options) == len(bars):
                return True
            options.append(iter(self.grid.neighbours(core)))
        for bar in bars[: len(options) - 1]:
            self._give(bar)
        return False


class _Stretches:
    """Free stretches of the path, within which each core is next to the one before."""

    def __init__(self, grid: Grid, path: Sequence[int]) -> None:
        self.is_free = [True] * len(path)
        steps = zip(path, path[1:], strict=False)
        cuts = [i for i, (a, b) in enumerate(steps, 1) if grid.distance(a, b) != 1]
        self.cuts = set(cuts)
        self.starts = [0, *cuts]
        self.ends = [*cuts, len(path)]

    def fitting(self, length: int, tightest: bool) -> int | None:
        """Start of the first stretch that is long enough, or of the shortest one."""
        best = None
        for start, end in zip(self.starts, self.ends, strict=True):
            if end - start >= length and (best is None or end - start < best[0]):
                best = end - start, start
                if not tightest:
                    break
        return None if best is None else best[1]

    def remove(self, position: int) -> None:
        """The core at a position of the path is taken."""
        self.is_free[position] = False
        index = bisect_right(self.starts, position) - 1
        start, end = self.starts[index], self.ends[index]
        parts = [(a, b) for a, b in ((start, position), (position + 1, end)) if a < b]
        self.starts[index : index + 1] = [a for a, _ in parts]
        self.ends[index : index + 1] = [b for _, b in parts]

    def add(self, position: int) -> None:
        """The core at a position of the path is free again."""
        self.is_free[position] = True
        index = bisect_right(self.starts, position)
        start, end, first, last = position, position + 1, index, index
        if index and self.ends[index - 1] == start and start not in self.cuts:
            first, start = index - 1, self.starts[index - 1]
        if index < len(self.starts) and self.starts[index] == end and end not in self.cuts:
            last, end = index + 1, self.ends[index]
        self.starts[first:last], self.ends[first:last] = [start], [end]
