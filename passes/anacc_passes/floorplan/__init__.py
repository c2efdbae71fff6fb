"""Crossbars onto the grid: which core holds which packed crossbar.

A partial sum should cross one link, so a hop of one outweighs all other traffic; then traffic x
distance should be least.  That is a quadratic assignment problem, for which no exact method is
fast, so `floorplan` takes the effort that it may make, and `anacc_passes.floorplan.bound` says how
far from the optimum the result can be at most.

0. The best of a few placements along paths that fill the grid (`first`).
1. Exchanges of two cores as long as they help (`descend`), from each of these; then many placements
   at once are annealed (`anneal`) for a short while, from the best of them, and descend again.
2. The same with ten times the steps of annealing,
3. and with forty times.

Everything is deterministic for a seed: budgets are steps, not seconds, and ties go to the lower
number.  Grids too large to anneal are only descended on, which is nearly linear.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from anacc.targets import Target
from anacc_passes.floorplan.anneal import annealed
from anacc_passes.floorplan.bound import distance_bound
from anacc_passes.floorplan.descend import descended
from anacc_passes.floorplan.first import first_placements
from anacc_passes.floorplan.flows import Cost, Flows
from anacc_passes.floorplan.grid import Grid
from anacc_passes.floorplan.traffic import Pull, Traffic, Transfer

__all__ = ["EFFORTS", "Grid", "Pull", "Traffic", "Transfer", "floorplan"]

EFFORTS = (0, 1, 2, 3)

PLACEMENTS = 64
"""Placements that are annealed at once."""

STEPS = (0, 1_000, 10_000, 40_000)
"""Steps of annealing by effort, each of which proposes one exchange in each placement."""

TRIALS = (0, 40, 160, 640)
"""Exchanges that a descent may try, for each crossbar, by effort."""

FULL = 32
"""Crossbars from which on there are as many steps; fewer need fewer."""

STARTS, FINISHES = 4, 16
"""Placements that descend before and after annealing."""

ANNEALED = 1_024
"""Crossbars above which there is no annealing: each would be proposed too few cores."""


def floorplan(target: Target, traffic: Traffic, effort: int = 1, seed: int = 0) -> list[int]:
    """The core of each crossbar, all different.

    Args:
        target: the chip; it has a core for each crossbar, and in each column enough for those that
            are tied to it.
        traffic: the crossbars.
        effort: one of `EFFORTS`; more is never worse.
        seed: of the chance in annealing.
    """
    if not traffic.columns:
        return []
    flows = Flows(Grid(target), traffic)
    found = _distinct(flows, first_placements(flows.grid, traffic))
    if effort == 0:
        return found[0]
    least = int(flows.partials.sum()), distance_bound(flows)
    for level in range(1, effort + 1):
        found = _improved(flows, found, least, level, seed)
        if flows.cost(found[0]) <= least:
            break
    return found[0]


def _improved(
    flows: Flows, found: list[list[int]], least: Cost, level: int, seed: int
) -> list[list[int]]:
    """Placements, best first, of which the first is at least as good as the first one given."""
    trials = TRIALS[level] * flows.count
    found = _distinct(flows, (descended(flows, each, trials) for each in found[:STARTS]))
    if flows.count > ANNEALED or flows.cost(found[0]) <= least:
        return found
    starts = np.array([found[number % len(found)] for number in range(PLACEMENTS)], np.int64)
    chance = np.random.default_rng([seed, level])
    steps = STEPS[level] * min(flows.count, FULL) // FULL
    ends = _distinct(flows, annealed(flows, starts, steps, chance).tolist())
    return _distinct(
        flows, [found[0], *(descended(flows, each, trials) for each in ends[:FINISHES])]
    )


def _distinct(flows: Flows, placements: Iterable[list[int]]) -> list[list[int]]:
    """Different placements, cheapest first."""
    return sorted(map(list, dict.fromkeys(map(tuple, placements))), key=flows.cost)
