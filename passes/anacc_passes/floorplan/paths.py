"""The cheapest path of neighbouring cores for a chain whose crossbars have costs of their own.

Paths that may not visit a core twice are hard to search.  Those that never turn back from the side
that they go to, and within a column do not turn, cannot visit one twice; among them the cheapest
follows from the cheapest ones to each core, one crossbar after the other: dynamic programming over
the core and the direction of the last step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ASIDE, _DOWN, _UP = range(3)
_BEFORE = ((_ASIDE, _DOWN, _UP), (_ASIDE, _DOWN), (_ASIDE, _UP))
"""Directions that the step before one of each direction may have had."""


def cheapest_path(costs: Floats) -> list[tuple[int, int]] | None:
    """The cheapest path among those that the module describes.

    Args:
        costs: (length, rows, columns) what each crossbar costs on each core; inf where it may not
            be.

    Returns:
        (row, column) of each crossbar in turn; of equally cheap paths one that goes to the right,
        and ends uppermost, then leftmost; None if there is none.
    """
    length, rows, columns = costs.shape
    right, left = (_reached(each) for each in (costs, costs[:, :, ::-1]))
    ends = [each[-1].min() for each in (right, left)]
    if min(ends) == np.inf:
        return None
    mirrored = bool(ends[1] < ends[0])
    table = left if mirrored else right
    row, column = divmod(int(table[-1].min(axis=0).argmin()), columns)
    way = int(table[-1][:, row, column].argmin())
    path = [(row, column)]
    for step in range(length - 2, -1, -1):
        row, column = row - (way == _DOWN) + (way == _UP), column - (way == _ASIDE)
        way = min(_BEFORE[way], key=lambda before: table[step][before, row, column])
        path.append((row, column))
    return [(r, columns - 1 - c if mirrored else c) for r, c in reversed(path)]


def _reached(costs: Floats) -> list[Floats]:
    """For each crossbar (3, rows, columns): what the cheapest path to there costs that goes to the
    right, by the direction of its last step."""
    first = np.full((3, *costs.shape[1:]), np.inf)
    first[_ASIDE] = costs[0]
    table = [first]
    for cost in costs[1:]:
        before = table[-1]
        aside, down, up = (before[list(ways)].min(axis=0) for ways in _BEFORE)
        after = np.full_like(before, np.inf)
        after[_ASIDE, :, 1:] = aside[:, :-1]
        after[_DOWN, 1:] = down[:-1]
        after[_UP, :-1] = up[1:]
        table.append(after + cost)
    return table
