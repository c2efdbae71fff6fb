"""Cutting a sequence into parts of bounded weight, exactly.

A boundary at a position costs what crosses there, whatever the other boundaries are: where things
have a first and a last position, as the nets of `anacc_passes.chips.stream_graph` do, the sum over
all boundaries is values times boundaries between both.  So the least cost is a shortest path [1]_:
with f(k, j) that of the first j things in k parts,

    f(k, j) = crossing(j) + min over i < j, weight(i ... j) <= capacity of f(k - 1, i)

Two things make it near linear.  Boundaries between the same two things that have weight differ in
cost only, so the cheapest of them stands for all.  And with K parts in all, f(k, j) matters only
where k parts hold what comes before and K - k what comes behind, which is a narrow band where K is
near the least number.  No more than 2 * weight / capacity + 1 parts are ever of use: two
neighbours that fit one part can be joined, which saves a boundary.

Of the cuts of least cost, one whose heaviest part is the lightest, to 1/64 of a `UNIT`, is found by
bisection of the capacity, for the cost does not rise with it.

References:
    .. [1] B. W. Kernighan, "Optimal sequential partitions of graphs", J. ACM 18, 34-40 (1971).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_NEVER = np.int64(2**62)

UNIT = 1 << 16
"""Weights are integers; callers count fractions in units of 1 / UNIT."""


def cut(
    weights: Sequence[int], crossings: Sequence[int], capacity: int, parts: int | None
) -> list[int] | None:
    """Positions at which to cut so that no part is heavier than the capacity: those of least
    cost, then with the lightest heaviest part.

    Args:
        weights: of each thing, not negative.
        crossings: cost of a boundary before each thing, and behind the last; len(weights) + 1.
        capacity: of a part.
        parts: how many there may be at most; None: the fewest that hold all.

    Returns:
        Rising positions, 0 and len(weights) excepted; None if there is no such cut.
    """
    heavy = [position for position, weight in enumerate(weights) if weight]
    if not heavy:
        return []
    # The cheapest boundary between each two heavy things.
    positions = [
        min(range(left + 1, right + 1), key=lambda position: (crossings[position], position))
        for left, right in pairwise(heavy)
    ]
    sums = np.concatenate(
        ([0], np.cumsum(np.array([weights[position] for position in heavy], np.int64)))
    )
    costs = np.array([0, *(crossings[position] for position in positions), 0], np.int64)
    fewest = _fewest(sums, capacity)
    if fewest is None or parts is not None and fewest > parts:
        return None
    most = fewest if parts is None else min(parts, 2 * int(sums[-1]) // capacity + 1)
    found = _least(sums, costs, capacity, most)
    if found is None:
        return None
    least, best = found
    low, high = -(-int(sums[-1]) // most), int(np.diff(sums[[0, *best, len(heavy)]]).max())
    while low < high - UNIT // 64:
        middle = (low + high) // 2
        tighter = _least(sums, costs, middle, most)
        if tighter is None or tighter[0] > least:
            low = middle + 1
        else:
            best = tighter[1]
            high = int(np.diff(sums[[0, *best, len(heavy)]]).max())
    return [positions[boundary - 1] for boundary in best]


def numbered(boundaries: Sequence[int], count: int) -> list[int]:
    """The part of each of `count` things, for boundaries as `cut` returns them."""
    ends = [0, *boundaries, count]
    lengths = [last - first for first, last in pairwise(ends)]
    return [part for part, length in enumerate(lengths) for _ in range(length)]


def _fewest(sums: Integers, capacity: int) -> int | None:
    """The fewest parts, by filling one after the other; None if a thing exceeds the capacity."""
    parts, start, end = 0, 0, len(sums) - 1
    while start < end:
        reach = int(np.searchsorted(sums, sums[start] + capacity, side="right")) - 1
        if reach == start:
            return None
        start, parts = reach, parts + 1
    return parts


def _least(
    sums: Integers, costs: Integers, capacity: int, parts: int
) -> tuple[int, list[int]] | None:
    """The least cost of at most `parts` parts, and the boundaries, as numbers of things before."""
    end = len(sums) - 1
    first = np.searchsorted(
        sums, sums - capacity, side="left"
    )  # where a part that ends here may begin
    if (first[1:] >= np.arange(1, end + 1)).any():
        return None
    layers: list[tuple[int, Integers]] = [(0, np.zeros(1, np.int64))]
    best: tuple[int, int] | None = None
    for part in range(1, parts + 1):
        offset, before = layers[-1]
        # What `part` parts can hold, and what leaves no more than the others can.
        high = int(np.searchsorted(sums, part * capacity, side="right")) - 1
        low = int(np.searchsorted(sums, sums[-1] - (parts - part) * capacity, side="left"))
        low = max(low, 1)
        ends = np.arange(low, min(high, end) + 1)
        if not len(ends):
            return None
        starts = np.maximum(first[ends], offset)
        stops = np.minimum(ends, offset + len(before))  # exclusive
        reached = _window_minima(before, starts - offset, stops - offset)
        layers.append((low, np.minimum(reached + costs[ends], _NEVER)))
        if ends[-1] == end and reached[-1] < _NEVER and (best is None or reached[-1] < best[0]):
            best = int(reached[-1]), part
    if best is None:
        return None
    return best[0], _boundaries(layers, first, best[1], end)


def _boundaries(
    layers: list[tuple[int, Integers]], first: Integers, parts: int, end: int
) -> list[int]:
    """The way back from the end."""
    found: list[int] = []
    here = end
    for part in range(parts - 1, 0, -1):
        offset, values = layers[part]
        start, stop = max(int(first[here]), offset), min(here, offset + len(values))
        here = start + int(np.argmin(values[start - offset : stop - offset]))
        found.append(here)
    return found[::-1]


def _window_minima(values: Integers, starts: Integers, stops: Integers) -> Integers:
    """The least of values[start:stop] for each window, from minima of powers of two; a window that
    is empty has `_NEVER`."""
    widths = stops - starts
    result = np.full(len(starts), _NEVER)
    level, table = 0, values
    while (widths >> level).any():
        here = (widths >> level) == 1
        if here.any():
            left, right = starts[here], stops[here] - (1 << level)
            result[here] = np.minimum(table[left], table[right])
        half = 1 << level
        level += 1
        if len(table) <= half:
            break
        table = np.minimum(table[:-half], table[half:])
    return result
