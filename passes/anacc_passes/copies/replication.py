"""How many copies each layer of a pipeline gets so that its slowest stage is as fast as can be.

A layer l has P_l output positions and c_l tiles; a core runs one matrix-vector product (MVM) at a
time.  With r copies, which share the positions, its slowest copy takes f_l(r) MVMs; times are in
MVMs here, for all of them take equally long.  Copies take positions cyclically: of the two
outermost position loops of n0 and n1 rounds, copy (i, j) of r1 x r2 takes the rounds i mod r1 and
j mod r2, so that

    f_l(r) = min over r1 * r2 <= r of ceil(n0 / r1) * ceil(n1 / r2) * (rounds of inner loops).

Here each tile of each copy has a core of its own; `anacc_passes.copies.sharing` packs them
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

MAX_TABLE = 2 * 10**8
"""Steps of the exact second objective beyond which `balance` takes the greedy one."""


@dataclass(frozen=True)
class Split:
    """A way to share out positions.

    Attributes:
        ways: copies along each position loop, outermost first, as many as there are loops.
        positions: those of the copy that has most.
    """

    ways: tuple[int, ...]
    positions: int

    @property
    def copies(self) -> int:
        """How many copies there are."""
        return prod(self.ways)


@dataclass(frozen=True)
class Stage:
    """A layer, as a stage of the pipeline.

    Attributes:
        counts: rounds of its position loops, outermost first; () for a single position.
        cores: c, the tiles of one copy.
        most: copies that it may have at most.
    """

    counts: tuple[int, ...]
    cores: int
    most: int

    @property
    def positions(self) -> int:
        """P, of a sample."""
        return prod(self.counts)

    @property
    def splits(self) -> tuple[Split, ...]:
        """All splits worth their copies, fewest copies first; see `splits`."""
        return splits(self.counts, self.most)


@lru_cache(maxsize=4096)
def splits(counts: tuple[int, ...], most: int) -> tuple[Split, ...]:
    """The splits into up to `most` copies of which none with fewer copies is as fast.

    Copies strictly ascend and positions strictly descend; the first one is a single copy.  Among
    splits of equal copies and positions, the one with fewest ways along the outer loop: its copies
    work side by side within a row.  Only the least r with its ceil(n / r) can be one of them: there
    are at most 2 sqrt(n) along a loop of n rounds.

    Args:
        counts: rounds of the position loops, outermost first.
        most: at least 1.
    """
    outer = [*counts[:2], 1, 1][:2]
    rest = prod(counts[2:])
    found = []
    for first in _ways(outer[0], most):
        for second in _ways(outer[1], most // first):
            ways = (first, second, *(1 for _ in counts[2:]))[: len(counts)]
            found.append(Split(ways, -(-outer[0] // first) * -(-outer[1] // second) * rest))
    found.sort(key=lambda split: (split.copies, split.positions, split.ways))
    kept: list[Split] = []
    for split in found:
        if not kept or split.positions < kept[-1].positions:
            kept.append(split)
    return tuple(kept)


def _ways(count: int, most: int) -> list[int]:
    """The least r <= most with each value of ceil(count / r)."""
    found, ways = [], 1
    while ways <= min(count, most):
        found.append(ways)
        share = -(-count // ways)
        if share == 1:
            break
        ways = -(-count // (share - 1))  # the least one with a smaller share
    return found


def fewest(stage: Stage, limit: int) -> Split | None:
    """The split with fewest copies of which none has more than `limit` positions, if any."""
    return next((split for split in stage.splits if split.positions <= limit), None)


def balance(
    stages: Sequence[Stage], cores: int, *, latency_first: bool = False
) -> tuple[Split, ...] | None:
    """Copies of each layer that minimise the slowest stage, then the sum of all stages.

    The optimum is exact.  Let T be a time of the slowest stage.  f_l does not increase with r, so a
    layer takes at most T if and only if it has at least r_l(T) copies, the least r with
    f_l(r) <= T; as copies of a layer cost c_l cores each, T can be had if and only if
    sum c_l * r_l(T) <= C.  r_l(T) does not increase with T, so if T can be had, any greater time
    can, and bisection finds the least.  It is a value of some f_l, of which there are at most
    4 sqrt(P_l) for each layer: polynomial time.

    Among the optima, the sum of the f_l (what a sample takes that goes through one layer after
    another) is a knapsack over the cores: with L_l(b) the least sum of the first l layers on b
    cores, L_l(b) = min over r of L_(l-1)(b - c_l * r) + f_l(r), r >= r_l(T).  It is solved exactly
    up to `MAX_TABLE` steps.  Beyond, greedily: layers step down the lower convex hull of their
    f_l, the steepest step for its cores first, until none fits.  That solves the linear relaxation
    of this multiple-choice knapsack but for the first step that does not fit [1]_, so the sum
    exceeds the least one by no more than that step's gain.

    Args:
        stages: the layers.
        cores: C, of the chip.
        latency_first: minimise the sum, and then the slowest stage among its optima.

    Returns:
        A split for each layer, None if not even one copy of each fits.

    References:
        .. [1] P. Sinha, A. A. Zoltners, "The multiple-choice knapsack problem", Operations Research
           27, 503-515 (1979).
    """
    if sum(stage.cores for stage in stages) > cores:
        return None
    times = sorted({split.positions for stage in stages for split in stage.splits})
    if not times:
        return ()
    slowest = _least(times, lambda limit: _needed(stages, limit) <= cores)
    if not latency_first:
        return _shortest(stages, cores, slowest)
    best = _shortest(stages, cores, times[-1])
    wanted = _total(best)
    later = [time for time in times if time >= slowest]
    cap = _least(later, lambda limit: _total(_shortest(stages, cores, limit)) <= wanted)
    return _shortest(stages, cores, cap)


def fractional_bound(stages: Sequence[Stage], cores: int) -> float:
    """A time below which no slowest stage is, in MVMs, however layers share cores: all MVMs, dealt
    out evenly to all cores."""
    return sum(stage.cores * stage.positions for stage in stages) / cores


def _least(times: Sequence[int], possible: Callable[[int], bool]) -> int:
    """The least time that is possible; with it, all later ones are, and the last one is."""
    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        if possible(times[middle]):
            high = middle
        else:
            low = middle + 1
    return times[low]


def _needed(stages: Sequence[Stage], limit: int) -> float:
    """Cores for a slowest stage of `limit`; infinite if a layer cannot be as fast."""
    total = 0
    for stage in stages:
        split = fewest(stage, limit)
        if split is None:
            return float("inf")
        total += stage.cores * split.copies
    return total


def _total(chosen: Sequence[Split]) -> int:
    return sum(split.positions for split in chosen)


def _shortest(stages: Sequence[Stage], cores: int, limit: int) -> tuple[Split, ...]:
    """Splits of at most `limit` positions with the least sum; those of `limit` fit."""
    options = [[s for s in stage.splits if s.positions <= limit] for stage in stages]
    options = [
        [split for split in each if (split.copies - each[0].copies) * stage.cores <= cores]
        for stage, each in zip(stages, options, strict=True)
    ]
    spare = cores - sum(s.cores * each[0].copies for s, each in zip(stages, options, strict=True))
    if sum(map(len, options)) * (spare + 1) <= MAX_TABLE:
        return _by_table(stages, options, spare)
    return _by_slope(stages, options, spare)


def _by_table(
    stages: Sequence[Stage], options: Sequence[Sequence[Split]], spare: int
) -> tuple[Split, ...]:
    """The exact solution: dynamic programming over the cores that are left."""
    sums: npt.NDArray[np.int64] = np.zeros(spare + 1, np.int64)
    choices = []
    for stage, splits_of in zip(stages, options, strict=True):
        least = np.full(spare + 1, np.iinfo(np.int64).max)
        choice = np.zeros(spare + 1, np.int32)
        for number, split in enumerate(splits_of):
            cost = (split.copies - splits_of[0].copies) * stage.cores
            if cost > spare:
                break
            reached = sums[: spare + 1 - cost] + split.positions
            better = reached < least[cost:]  # of equal ones the first, with fewest copies
            least[cost:][better] = reached[better]
            choice[cost:][better] = number
        sums = least
        choices.append(choice)
    left = int(np.argmin(sums))  # the fewest cores with the least sum
    chosen: list[Split] = []
    for stage, splits_of, choice in reversed(list(zip(stages, options, choices, strict=True))):
        split = splits_of[choice[left]]
        left -= (split.copies - splits_of[0].copies) * stage.cores
        chosen.append(split)
    return tuple(reversed(chosen))


def _by_slope(
    stages: Sequence[Stage], options: Sequence[Sequence[Split]], spare: int
) -> tuple[Split, ...]:
    """The greedy solution: the steepest steps down the lower convex hulls, as far as they fit."""
    steps = []
    for index, (stage, splits_of) in enumerate(zip(stages, options, strict=True)):
        hull: list[Split] = []
        for split in splits_of:
            while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], split):
                hull.pop()
            hull.append(split)
        for number in range(1, len(hull)):
            before, after = hull[number - 1], hull[number]
            slope = _slope(before, after) / stage.cores
            cost = (after.copies - before.copies) * stage.cores
            steps.append((slope, index, number, cost, after))
    chosen = [splits_of[0] for splits_of in options]
    for _, index, _, cost, after in sorted(steps, key=lambda step: step[:3]):
        if cost > spare:
            break
        spare -= cost
        chosen[index] = after
    return tuple(chosen)


def _slope(before: Split, after: Split) -> float:
    """Positions won (negative) for each copy more."""
    return (after.positions - before.positions) / (after.copies - before.copies)
