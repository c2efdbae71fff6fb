"""Simulated annealing of many placements side by side.

Each step proposes exchanges of two cores, several in every placement, so that one array operation
works for all of them.  Of exchanges that meet at a core the last one stays; of those that both
help and whose crossbars exchange something, none is made: so each costs just what it seems to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anacc_passes.floorplan.flows import Flows
from anacc_passes.floorplan.grid import Integers

Floats = np.ndarray[Any, np.dtype[np.float64]]

HOP = 6
"""What a hop of a partial sum costs while annealing, in mean flows between two crossbars.  Were it
to outweigh all other traffic, no chain could ever move."""

HOTTEST, COLDEST = 0.5, 0.005
"""First and last temperature, in mean flows of a crossbar over one link."""

NEAR = 6
"""In how many of 8 proposals a crossbar is to go beside one that it exchanges something with."""

BLOCK = 128
"""Steps for which chance is drawn at once."""


def annealed(
    flows: Flows, start: Integers, steps: int, each: int, rng: np.random.Generator
) -> Integers:
    """Anneal placements [1]_.

    A crossbar is proposed the core beside one that it exchanges something with, or any core; what
    is there goes back.  An exchange that costs d more at temperature t is made with probability
    exp(-d / t), which is to say, if d / t is below an exponential variate; t falls geometrically.

    Args:
        flows: the traffic.
        start: (placements, count) cores.
        steps: how many.
        each: exchanges that a step proposes in each placement.
        rng: where chance comes from.

    Returns:
        (placements, count) cores after the last step.

    References:
        .. [1] S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by simulated annealing",
           Science 220, 671-680 (1983).
    """
    annealer = _Annealer(flows, start, each)
    annealer.run(steps, rng)
    return annealer.core_of[:, : flows.count].copy()


class _Annealer:
    """Placements of as many things as there are cores: those from `count` on stand for nothing.

    `core_of`, `row_of` and `column_of`, (placements, cores + 1), say where each thing is; the last
    column is for what pads lists of neighbours.  `held_by`, (placements, cores), is the inverse.
    """

    def __init__(self, flows: Flows, start: Integers, each: int) -> None:
        self.flows, self.grid = flows, flows.grid
        placements, cores = len(start), len(self.grid.places)
        self.count = flows.count
        numbers = np.arange(placements)
        self.held_by = np.full((placements, cores), -1, np.int64)
        self.held_by[numbers[:, None], start] = np.arange(flows.count)
        self.core_of = np.zeros((placements, cores + 1), np.int64)
        self.core_of[:, : flows.count] = start
        empty = np.nonzero(self.held_by < 0)[1].reshape(placements, -1)
        self.core_of[:, flows.count : cores] = empty
        self.held_by[numbers[:, None], self.core_of[:, :cores]] = np.arange(cores)
        self.row_of = self.grid.row_of[self.core_of]
        self.column_of = self.grid.column_of[self.core_of]
        self.placement = np.repeat(numbers, each)
        self.batch = len(self.placement)
        self.by_core, self.by_bar = self.placement * cores, self.placement * (cores + 1)
        by_pair, self.ends = flows.neighbours()
        mean = int(flows.values.sum()) // max(len(flows.values), 1)
        weights = np.append(flows.weights(HOP * max(mean, 1)), 0)
        self.weights: Floats = weights.astype(np.float64)[by_pair]
        self.degrees = (self.ends < flows.count).sum(axis=1)
        self.pulls: Floats = np.zeros((flows.count + 1, self.grid.columns))
        self.pulls[: flows.count] = flows.pulls
        self.ties = np.append(flows.ties, -1)
        self.allowed = (self.ties[:, None] < 0) | (
            self.ties[:, None] == np.arange(self.grid.columns)
        )
        # Only crossbars that exchange something need to move.
        self.active = np.flatnonzero((self.degrees[:-1] > 0) | (flows.pulls.max(axis=1) > 0))
        self.claims = np.zeros(placements * cores, np.int64)
        self.numbers = np.arange(self.batch)
        self.is_moving = np.zeros(placements * (cores + 1), np.bool_)

    def run(self, steps: int, rng: np.random.Generator) -> None:
        if not len(self.active):
            return
        scale = float(self.weights.sum() + np.ptp(self.pulls, axis=1).sum()) / len(self.active)
        factor = (COLDEST / HOTTEST) ** (1 / max(steps - 1, 1))
        for first in range(0, steps, BLOCK):
            shape = (min(BLOCK, steps - first), self.batch)
            bars = self.active[rng.integers(len(self.active), size=shape)]
            draws = rng.integers(1 << 30, size=(3, *shape))
            variates = rng.standard_exponential(shape)
            for step in range(shape[0]):
                temperature = HOTTEST * scale * factor ** (first + step)
                self._step(bars[step], draws[:, step], temperature * variates[step])

    def _step(self, bars: Integers, draws: Integers, limits: Floats) -> None:
        rows, columns, inside = self._proposed(bars, draws)
        here = self.core_of.take(self.by_bar + bars)
        there = rows * self.grid.columns + columns
        others = np.minimum(self.held_by.take(self.by_core + there), self.count)
        to = np.concatenate([here, there])
        moving = np.concatenate([others, bars])
        allowed = self.allowed[moving, self.grid.column_of[to]]
        change = self._change(
            moving, np.concatenate([bars, others]), to, np.concatenate([there, here])
        )
        accepted = change[: self.batch] + change[self.batch :] <= limits
        accepted &= allowed[: self.batch] & allowed[self.batch :]
        accepted &= inside & (here != there)
        who = self._apart(np.flatnonzero(accepted), bars, others, here, there)
        self._exchange(who, here[who], there[who])

    def _apart(
        self, who: Integers, bars: Integers, others: Integers, here: Integers, there: Integers
    ) -> Integers:
        """Those exchanges that do not meet, neither at a core nor as neighbours."""
        first, second = self.by_core[who] + here[who], self.by_core[who] + there[who]
        self.claims[first] = who
        self.claims[second] = who
        who = who[(self.claims[first] == who) & (self.claims[second] == who)]
        if len(who) < 2:
            return who
        own = self.by_bar[who]
        one, two = bars[who], others[who]
        moving = np.concatenate([own + one, own + two])
        self.is_moving[moving] = True
        self.is_moving[own + self.count] = False  # stands for no crossbar
        # Crossbars that change places with each other may be neighbours.
        met = np.zeros(len(who), np.bool_)
        for bar, other in ((one, two), (two, one)):
            ends = self.ends[bar]
            near = self.is_moving[own[:, None] + ends] & (ends != other[:, None])
            met |= near.any(axis=1)
        self.is_moving[moving] = False
        return who[~met]

    def _exchange(self, who: Integers, here: Integers, there: Integers) -> None:
        first, held = self.by_core[who], self.held_by.reshape(-1)
        one, other = held[first + here], held[first + there]
        held[first + here], held[first + there] = other, one
        who = self.placement[who]
        self.core_of[who, one], self.core_of[who, other] = there, here
        row, column = self.grid.row_of, self.grid.column_of
        self.row_of[who, one], self.row_of[who, other] = row[there], row[here]
        self.column_of[who, one], self.column_of[who, other] = column[there], column[here]

    def _proposed(
        self, bars: Integers, draws: Integers
    ) -> tuple[Integers, Integers, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Row and column of the core that each crossbar is proposed, and whether it exists."""
        grid, degrees = self.grid, self.degrees[bars]
        partner = self.ends[bars, draws[0] % np.maximum(degrees, 1)]
        near = (degrees > 0) & (draws[1] % 8 < NEAR)
        way, beside = (draws[1] >> 3) % 4, self.by_bar + partner
        down, right = _DOWN[way], _RIGHT[way]
        row, column = draws[2] % grid.rows, (draws[2] >> 15) % grid.columns
        rows = np.where(near, self.row_of.take(beside) + down, row)
        columns = np.where(near, self.column_of.take(beside) + right, column)
        ties = self.ties[bars]
        columns = np.where(ties >= 0, ties, columns)
        inside = (rows >= 0) & (rows < grid.rows) & (columns >= 0) & (columns < grid.columns)
        return np.where(inside, rows, 0), np.where(inside, columns, 0), inside

    def _change(self, bars: Integers, others: Integers, there: Integers, here: Integers) -> Floats:
        """What it costs that crossbars move, all but `others` staying where they are: between
        crossbars that change places the distance stays."""
        grid, ends = self.grid, self.ends[bars]
        at = np.tile(self.by_bar, 2)[:, None] + ends
        weights = np.where(ends == others[:, None], 0.0, self.weights[bars])
        rows, columns = self.row_of.take(at), self.column_of.take(at)
        column, to_column = grid.column_of[here], grid.column_of[there]
        down = np.abs(rows - grid.row_of[there][:, None])
        down -= np.abs(rows - grid.row_of[here][:, None])
        aside = np.abs(columns - to_column[:, None]) - np.abs(columns - column[:, None])
        far = down * grid.down + aside * grid.aside
        pulled = self.pulls[bars, to_column] - self.pulls[bars, column]
        change: Floats = np.einsum("be,be->b", weights, far) + pulled
        return change


_DOWN, _RIGHT = np.array([1, -1, 0, 0]), np.array([0, 0, 1, -1])
