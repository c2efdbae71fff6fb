"""Crossbars onto the grid: which core holds which packed crossbar.

A partial sum should cross one link, so a hop of one outweighs all other traffic; then traffic x
distance should be least.  That is a quadratic assignment problem, for which no exact method is
fast, so `floorplan` takes the effort that it may make, and `anacc_passes.floorplan.bound` says how
far from the optimum the result can be at most.

0. The best of a few placements along paths that fill the grid (`first`).
1. Exchanges of two cores as long as they help (`descend`), from each of these; then many placements
   at once are annealed (`anneal`), from the best of them, and descend again.
2. After that, the same with ten times the steps,
3. and with forty times.

A placement that meets its bound is returned at once.  Everything is deterministic for a seed:
budgets are steps, not seconds, and ties go to the lower number.  Thousands of crossbars are only
descended on, which is nearly linear.
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

PROPOSALS, SHARE, PLACEMENTS = 256, 4, 64
"""Exchanges proposed in one step of annealing at least; crossbars to one of them in a placement;
and placements at most."""

STEPS = (0, 500, 5_000, 20_000)
"""Steps of annealing by effort."""

TRIALS = (0, 16, 64, 256)
"""Exchanges that a descent may try, for each crossbar, by effort."""

FULL = 32
"""Crossbars from which on there are as many steps; fewer need fewer."""

STARTS, FINISHES = 4, 16
"""Placements that descend before and after annealing, on small grids."""

ANNEALED = 4_096
"""Crossbars above which there is no annealing, which would take too many steps."""

DESCENDING = 4_096
"""Crossbars that descend at a time, in all placements; one placement does in any case."""


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
    least = int(flows.partials.sum()), distance_bound(flows, partials_adjacent=True)
    for level in range(1, effort + 1):
        found = _improved(flows, found, least, level, seed)
        if flows.cost(found[0]) <= least:
            break
    return found[0]


def _improved(
    flows: Flows, found: list[list[int]], least: Cost, level: int, seed: int
) -> list[list[int]]:
    """Placements, best first, of which the first is at least as good as the first one given."""
    trials, room = TRIALS[level] * flows.count, max(1, DESCENDING // flows.count)
    few = found[: min(STARTS, room)]
    found = _distinct(flows, (descended(flows, each, trials) for each in few))
    if flows.cost(found[0]) <= least:
        return found
    each = max(1, flows.count // SHARE)
    placements = max(1, min(PLACEMENTS, PROPOSALS // each))
    if flows.count > ANNEALED:
        return found
    starts = np.array([found[number % len(found)] for number in range(placements)], np.int64)
    chance = np.random.default_rng([seed, level])
    steps = STEPS[level] * min(flows.count, FULL) // FULL
    ends = _distinct(flows, annealed(flows, starts, steps, each, chance).tolist())
    few = ends[: min(FINISHES, room)]
    return _distinct(flows, [found[0], *(descended(flows, each, trials) for each in few)])


def _distinct(flows: Flows, placements: Iterable[list[int]]) -> list[list[int]]:
    """Different placements, cheapest first."""
    return sorted(map(list, dict.fromkeys(map(tuple, placements))), key=flows.cost)
