"""Local search: exchanges of two cores, as long as they help."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from anacc_passes.floorplan.flows import Flows

PARTNERS = 16
"""Of those that a crossbar exchanges most with, how many it tries to come near to."""


def descended(flows: Flows, cores: list[int], trials: int) -> list[int]:
    """A placement at least as good: each crossbar tries the cores next to those that it exchanges
    something with, and those of the columns that it pulls from; what is there goes back.

    A hop of a partial sum outweighs all other traffic.  Crossbars whose partners move try again, so
    what costs nothing costs no time.

    Args:
        flows: the traffic.
        cores: of each crossbar.
        trials: exchanges that may be tried.
    """
    search = _Descent(flows, cores)
    search.run(trials)
    return search.core_of


class _Descent:
    def __init__(self, flows: Flows, cores: list[int]) -> None:
        self.grid = flows.grid
        self.core_of = list(cores)
        self.bar_at = {core: bar for bar, core in enumerate(cores)}
        self.ties = [None if tie < 0 else tie for tie in flows.ties.tolist()]
        self.pulls = [row if any(row) else None for row in flows.pulls.tolist()]
        self.edges: list[list[tuple[int, int]]] = [[] for _ in cores]
        hop = flows.dominant()
        table = zip(
            flows.ends.tolist(), flows.values.tolist(), flows.partials.tolist(), strict=True
        )
        for (one, two), values, partials in table:
            weight = values + hop * partials
            self.edges[one].append((two, weight))
            self.edges[two].append((one, weight))
        for edges in self.edges:
            edges.sort(key=lambda edge: -edge[1])

    def run(self, trials: int) -> None:
        waiting = deque(range(len(self.core_of)))
        queued = [True] * len(self.core_of)
        while waiting and trials > 0:
            bar = waiting.popleft()
            queued[bar] = False
            best, chosen = 0, -1
            for core in dict.fromkeys(self._candidates(bar)):
                trials -= 1
                gain = self._gain(bar, core)
                if gain > best:
                    best, chosen = gain, core
            if chosen < 0:
                continue
            other = self._exchange(bar, chosen)
            for moved in (bar, other):
                if moved is None:
                    continue
                for again in (moved, *(end for end, _ in self.edges[moved])):
                    if not queued[again]:
                        queued[again] = True
                        waiting.append(again)

    def _candidates(self, bar: int) -> Iterator[int]:
        """Cores where the crossbar might cost less; none if it is next to all that it needs."""
        here, pulls = self.core_of[bar], self.pulls[bar]
        row, column = self.grid.places[here]
        partners = [self.core_of[other] for other, _ in self.edges[bar][:PARTNERS]]
        if any(self.grid.distance(here, core) > 1 for core in partners):
            for core in partners:
                yield from self.grid.neighbours(core)
        if pulls is not None and pulls[column] > min(pulls):
            best = pulls.index(min(pulls))
            for to in (best, column + (1 if best > column else -1)):
                yield from range(to, len(self.grid.places), self.grid.columns)

    def _gain(self, bar: int, core: int) -> int:
        """What moving the crossbar to the core, and what is there back, would save."""
        here, other = self.core_of[bar], self.bar_at.get(core)
        if other == bar or not self._allowed(bar, core):
            return 0
        gain = self._saved(bar, here, core, other)
        if other is None:
            return gain
        return gain + self._saved(other, core, here, bar) if self._allowed(other, here) else 0

    def _saved(self, bar: int, here: int, there: int, other: int | None) -> int:
        """What the move of one saves while all others stay; the distance to `other`, with which
        it changes places, stays too."""
        places = self.grid.places
        (row, column), (to_row, to_column) = places[here], places[there]
        down, aside = self.grid.down, self.grid.aside
        saved = 0
        for end, weight in self.edges[bar]:
            if end != other:
                r, c = places[self.core_of[end]]
                near = abs(row - r) * down + abs(column - c) * aside
                saved += weight * (near - abs(to_row - r) * down - abs(to_column - c) * aside)
        pulls = self.pulls[bar]
        return saved if pulls is None else saved + pulls[column] - pulls[to_column]

    def _allowed(self, bar: int, core: int) -> bool:
        tied = self.ties[bar]
        return tied is None or tied == self.grid.places[core][1]

    def _exchange(self, bar: int, core: int) -> int | None:
        """Make the exchange; the crossbar that was on the core."""
        here, other = self.core_of[bar], self.bar_at.pop(core, None)
        del self.bar_at[here]
        self.core_of[bar], self.bar_at[core] = core, bar
        if other is not None:
            self.core_of[other], self.bar_at[here] = here, other
        return other
