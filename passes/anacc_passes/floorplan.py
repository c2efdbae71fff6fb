"""Crossbars onto the grid: which core holds which packed crossbar.

1. Tiles that pass a partial sum on form a chain, and a chain wants a path of neighbouring cores.
   Chains that are tied to a grid column are laid down it first, longest first; all others
   follow a snake over the columns (down, up, down, ...), in the shortest free stretch that holds
   them.  Where no free path is long enough, each crossbar goes to the nearest free core.
2. Swaps of two cores then shorten what is left, as long as they help and within a fixed number of
   trials.  A hop of a partial sum outweighs all other traffic.

Everything is deterministic: ties go to the lower number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from anacc.targets import Target

PATH_TRIALS = 2_000
"""Cores that the search for one path may look at."""

SWAP_TRIALS = 50_000
"""Swaps that may be tried."""


@dataclass(frozen=True)
class Transfer:
    """Values that go from one crossbar to another, per sample."""

    source: int
    destination: int
    values: int
    partial: bool


@dataclass(frozen=True)
class Pull:
    """Values that a crossbar gets from the GDPU of a grid column, per sample."""

    crossbar: int
    column: int
    values: int


@dataclass(frozen=True)
class Traffic:
    """What is known of the crossbars.

    Attributes:
        columns: for each crossbar the grid column that it is tied to, or None.
        chains: crossbars in the order of their partial sums; every crossbar is in one at least.
        transfers: between different crossbars.
        pulls: from GDPUs that are wired to one column.
    """

    columns: Sequence[int | None]
    chains: Sequence[Sequence[int]]
    transfers: Sequence[Transfer]
    pulls: Sequence[Pull]


class Grid:
    """Positions of a target's cores, and how far they are from each other.

    Attributes:
        rows, columns: of the grid.
        places: (row, column) of each core.
    """

    def __init__(self, target: Target) -> None:
        self.rows, self.columns = target.grid.rows.value, target.grid.columns.value
        self.places = [target.core_position(core) for core in range(target.cores)]
        linked = target.links.directions.value
        # A direction without links counts as farther than any way over links.
        self._down, self._across = (
            1 if direction in linked else target.cores for direction in ("vertical", "horizontal")
        )

    def distance(self, source: int, destination: int) -> int:
        """Links from one core to another at least."""
        (row, column), (to_row, to_column) = self.places[source], self.places[destination]
        return abs(row - to_row) * self._down + abs(column - to_column) * self._across

    def across(self, column: int, to_column: int) -> int:
        """Links from one column to another at least."""
        return abs(column - to_column) * self._across

    def snake(self) -> list[int]:
        """All cores, each next to the one before: down the first column, up the second, ..."""
        return [
            (row if column % 2 == 0 else self.rows - 1 - row) * self.columns + column
            for column in range(self.columns)
            for row in range(self.rows)
        ]

    def neighbours(self, core: int) -> list[int]:
        """Linked cores, those of the same column first."""
        row, column = self.places[core]
        near = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        inside = [
            r * self.columns + c for r, c in near if 0 <= r < self.rows and 0 <= c < self.columns
        ]
        return [other for other in inside if self.distance(core, other) == 1]


def floorplan(target: Target, traffic: Traffic) -> list[int]:
    """The core of each crossbar, all different.

    Args:
        target: the chip; it has a core for each crossbar, and in each column enough for those that
            are tied to it.
        traffic: the crossbars.
    """
    grid = Grid(target)
    first = _First(grid, traffic)
    first.place_all()
    return _Swaps(grid, traffic, first.cores).improved()


@dataclass
class _First:
    """The first placement, chain by chain."""

    grid: Grid
    traffic: Traffic
    cores: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.snake = self.grid.snake()
        self.free = set(self.snake)
        columns = range(self.grid.columns)
        self.room = dict.fromkeys(columns, self.grid.rows)
        # Free cores that must stay so for crossbars that are tied to the column.
        self.kept = {c: sum(tied == c for tied in self.traffic.columns) for c in columns}

    def place_all(self) -> None:
        order = sorted(
            range(len(self.traffic.chains)),
            key=lambda i: (not self._tied(self.traffic.chains[i]), -len(self.traffic.chains[i]), i),
        )
        for index in order:
            bars = [b for b in dict.fromkeys(self.traffic.chains[index]) if b not in self.cores]
            if bars:
                self._place(bars, self._anchor(self.traffic.chains[index]))

    def _tied(self, chain: Sequence[int]) -> bool:
        return any(self.traffic.columns[bar] is not None for bar in chain)

    def _anchor(self, chain: Sequence[int]) -> int | None:
        """A core that holds a part of the chain already."""
        return next((self.cores[bar] for bar in chain if bar in self.cores), None)

    def _place(self, bars: list[int], anchor: int | None) -> None:
        if self._tied(bars):
            bars = bars[::-1]  # the last one is tied as a rule: the path starts where it must
        elif anchor is None:
            run = self._run(len(bars))
            if run is not None:
                for bar, core in zip(bars, run, strict=True):
                    self._take(bar, core)
                return
        if not self._walk(bars, anchor):
            for bar in bars:
                core = min(self._open(bar, self.snake), key=lambda c: self._far(c, anchor))
                self._take(bar, core)
                anchor = core

    def _far(self, core: int, anchor: int | None) -> int:
        return 0 if anchor is None else self.grid.distance(core, anchor)

    def _take(self, bar: int, core: int) -> None:
        column = self.grid.places[core][1]
        self.cores[bar] = core
        self.free.remove(core)
        self.room[column] -= 1
        self.kept[column] -= self.traffic.columns[bar] is not None

    def _give(self, bar: int) -> None:
        core = self.cores.pop(bar)
        column = self.grid.places[core][1]
        self.free.add(core)
        self.room[column] += 1
        self.kept[column] += self.traffic.columns[bar] is not None

    def _open(self, bar: int, cores: Sequence[int]) -> list[int]:
        """Those of the cores that the crossbar may take."""
        tied = self.traffic.columns[bar]
        found = []
        for core in cores:
            column = self.grid.places[core][1]
            fits = self.room[column] > self.kept[column] if tied is None else column == tied
            if core in self.free and fits:
                found.append(core)
        return found

    def _run(self, length: int) -> list[int] | None:
        """The beginning of the shortest free stretch of the snake that is long enough."""
        runs: list[list[int]] = [[]]
        for core in self.snake:
            if core not in self.free:
                continue
            if runs[-1] and self.grid.distance(runs[-1][-1], core) != 1:
                runs.append([])
            runs[-1].append(core)
        fitting = [run for run in runs if len(run) >= length]
        return min(fitting, key=len)[:length] if fitting else None

    def _walk(self, bars: list[int], anchor: int | None) -> bool:
        """Place the crossbars along a path of neighbours, by depth-first search; False: none
        was found within the trials, and nothing is placed."""
        # Tied chains start at the upper end of their column: what is left below stays whole.
        starts = sorted(self._open(bars[0], self.snake), key=lambda c: (self._far(c, anchor), c))
        options: list[Iterator[int]] = [iter(starts)]
        for _ in range(PATH_TRIALS):
            core = next(options[-1], None)
            if core is None:
                options.pop()
                if not options:
                    return False
                self._give(bars[len(options) - 1])
                continue
            self._take(bars[len(options) - 1], core)
            if len(options) == len(bars):
                return True
            options.append(iter(self._open(bars[len(options)], self.grid.neighbours(core))))
        for bar in bars[: len(options) - 1]:
            self._give(bar)
        return False


class _Swaps:
    """Local search: exchange the contents of two cores while that lowers the cost."""

    def __init__(self, grid: Grid, traffic: Traffic, cores: Mapping[int, int]) -> None:
        self.grid = grid
        self.columns = traffic.columns
        self.core_of = [cores[bar] for bar in range(len(traffic.columns))]
        self.bar_at: dict[int, int] = {core: bar for bar, core in enumerate(self.core_of)}
        total = sum(t.values for t in traffic.transfers) + sum(p.values for p in traffic.pulls)
        # More than all other traffic can cost over the longest way.
        weight = 1 + total * (grid.rows + grid.columns) * len(grid.places)
        self.edges: list[list[tuple[int, int]]] = [[] for _ in self.core_of]
        for transfer in traffic.transfers:
            cost = transfer.values + weight * transfer.partial
            self.edges[transfer.source].append((transfer.destination, cost))
            self.edges[transfer.destination].append((transfer.source, cost))
        self.pulls: list[list[tuple[int, int]]] = [[] for _ in self.core_of]
        for pull in traffic.pulls:
            self.pulls[pull.crossbar].append((pull.column, pull.values))

    def improved(self) -> list[int]:
        """The core of each crossbar, after the search."""
        left = SWAP_TRIALS
        changed = True
        while changed and left > 0:
            changed = False
            for bar in range(len(self.core_of)):
                if left <= 0:
                    break
                if self._content(bar):
                    continue
                left -= len(self.grid.places)
                gain, core = max((self._gain(bar, c), -c) for c in range(len(self.grid.places)))
                if gain > 0:
                    self._swap(bar, -core)
                    changed = True
        return self.core_of

    def _content(self, bar: int) -> bool:
        """Whether all that the crossbar exchanges goes to neighbours: nothing to gain."""
        here = self.core_of[bar]
        column = self.grid.places[here][1]
        return all(
            self.grid.distance(here, self.core_of[other]) <= 1 for other, _ in self.edges[bar]
        ) and all(column == source for source, _ in self.pulls[bar])

    def _cost(self, bar: int, core: int, moved: Mapping[int, int]) -> int:
        """Weighted distance of all that a crossbar exchanges, were it on `core`."""
        column = self.grid.places[core][1]
        traffic = sum(
            weight * self.grid.distance(core, moved.get(other, self.core_of[other]))
            for other, weight in self.edges[bar]
        )
        pulled = sum(
            values * self.grid.across(source, column) for source, values in self.pulls[bar]
        )
        return traffic + pulled

    def _gain(self, bar: int, core: int) -> int:
        """What moving the crossbar to the core, and what is there back, would save."""
        here, other = self.core_of[bar], self.bar_at.get(core)
        if here == core or not self._allowed(bar, core):
            return 0
        if other is None:
            return self._cost(bar, here, {}) - self._cost(bar, core, {})
        if not self._allowed(other, here):
            return 0
        moved = {bar: core, other: here}
        before = self._cost(bar, here, {}) + self._cost(other, core, {})
        return before - self._cost(bar, core, moved) - self._cost(other, here, moved)

    def _allowed(self, bar: int, core: int) -> bool:
        tied = self.columns[bar]
        return tied is None or tied == self.grid.places[core][1]

    def _swap(self, bar: int, core: int) -> None:
        here, other = self.core_of[bar], self.bar_at.pop(core, None)
        del self.bar_at[here]
        self.core_of[bar], self.bar_at[core] = core, bar
        if other is not None:
            self.core_of[other], self.bar_at[here] = here, other
