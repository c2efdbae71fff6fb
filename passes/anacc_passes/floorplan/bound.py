"""What any placement costs at least.

Let w(i, j) be the flow between crossbars i and j, d the distance of cores, p(i) the core of i and
u(i, k) what i pulls from GDPUs when it is on core k.  A placement costs

    sum over pairs of w(i, j) d(p(i), p(j)) + sum over i of u(i, p(i)).

Gilmore and Lawler [1]_ [2]_ bound it so.  Share each flow between its two ends, w(i, j) =
a(i, j) + a(j, i) with neither below 0; the cost is then a sum over crossbars,

    sum over i of (sum over j of a(i, j) d(p(i), p(j)) + u(i, p(i))).

The partners of i are on different cores, none of them its own.  By the rearrangement inequality
the inner sum is at least l(i, k), k = p(i): its shares, largest first, times the distances from k
to all other cores, nearest first.  Where partners are tied to columns, each lot that is tied to the
same one may be taken by itself, with the distances to that column only; the larger of both sums
counts.  Cores are all different, so the cheapest assignment of crossbars to cores at cost l + u is
a bound: a linear assignment problem, in which a crossbar that is tied to a column may take no core
of another.

Where each partial sum is to cross one link, those that a crossbar exchanges one with lie beside it,
and so come before all others, whatever their shares; the inner sum is larger for that.

Any shares give a bound.  Halves are usual; but a crossbar that exchanges something with many should
have the larger share, for it is the one that cannot be next to all of them.  The bound is concave
in the shares (a minimum of linear functions), so they follow a supergradient: if i, on the core
that the assignment gives it, meets w(i, j) at a longer distance than j does, a(i, j) grows.

On grids too large for the assignment problem l(i, k) is replaced by its least value over all k, for
which the nearest distances in a grid without end serve.  The sum over i is a bound, of the same
kind.

References:
    .. [1] P. C. Gilmore, "Optimal and suboptimal algorithms for the quadratic assignment problem",
       J. SIAM 10(2), 305-313 (1962).
    .. [2] E. L. Lawler, "The quadratic assignment problem", Management Science 9(4), 586-599
       (1963).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from anacc_passes.floorplan.flows import Flows
from anacc_passes.floorplan.grid import Integers

SHARES = 64
"""A share of a flow is a multiple of one part in so many, so that all sums are exact."""

ROUNDS, SHORTER = 40, 0.93
"""Steps along the supergradient, the first of half a flow, and how much shorter each one is."""

QUICK, ASSIGNED = 64 * 144, 512 * 1024
"""Crossbars times cores up to which the assignment problem is solved for all shares, and for the
best ones."""


def distance_bound(flows: Flows, partials_adjacent: bool = False) -> int:
    """A number that traffic x distance of no placement is below; see the module.

    Args:
        flows: the traffic.
        partials_adjacent: whether only placements are meant in which each partial sum crosses one
            link.

    Returns:
        The bound, rounded up.  Sums stay below 2**53, where binary64 is exact: flows that are too
        large lose their last bits first, which makes the bound smaller.
    """
    shift = max(0, (flows.dominant() * SHARES).bit_length() - 53)
    full = (flows.values >> shift) * SHARES
    given = np.concatenate([full // 2, full - full // 2])
    size, best = flows.count * len(flows.grid.places), 0
    if size > QUICK:
        best, given = _climbed(_Bound(flows, shift, False, partials_adjacent), given, ROUNDS)
    if size <= ASSIGNED:
        rounds = ROUNDS if size <= QUICK else 1
        found, _ = _climbed(_Bound(flows, shift, True, partials_adjacent), given, rounds)
        best = max(best, found)
    return -(-best // SHARES) << shift


def _climbed(bound: _Bound, given: Integers, rounds: int) -> tuple[int, Integers]:
    """The best bound on the way along the supergradient, and its shares."""
    best, shares, step = -1, given, 0.5
    pairs, full = bound.pairs, bound.full
    for _ in range(rounds):
        value, far = bound.value(given)
        if value > best:
            best, shares = value, given
        change = np.sign(far[:pairs] - far[pairs:])
        if not change.any():
            break
        moved = np.clip(given[:pairs] + change * (full * step).astype(np.int64), 0, full)
        given = np.concatenate([moved, full - moved])
        step *= SHORTER
    return best, shares


class _Bound:
    """The bound for any shares.

    Each pair has two ends: those of pair p are entries p and p + pairs of arrays of ends, of which
    `owner` is the crossbar, `other` its partner and `lot` the column that the partner is tied to.
    `full` are the flows, (pairs,), in units of one share of one value.
    """

    def __init__(
        self, flows: Flows, shift: int, is_assigned: bool, partials_adjacent: bool
    ) -> None:
        self.flows = flows
        self.pairs = len(flows.ends)
        self.full: Integers = (flows.values >> shift) * SHARES
        self.pulls: Integers = (flows.pulls >> shift) * SHARES
        self.owner = np.concatenate([flows.ends[:, 0], flows.ends[:, 1]])
        self.other = np.concatenate([flows.ends[:, 1], flows.ends[:, 0]])
        self.lot = flows.ties[self.other]
        # Ends that lie nearer than all others of their crossbar.
        self.is_adjacent = np.tile((flows.partials > 0) & partials_adjacent, 2)
        degrees = np.bincount(self.owner, minlength=flows.count)
        self.first = np.cumsum(degrees) - degrees
        self.width = int(degrees.max(initial=0))
        self.is_assigned = is_assigned
        self.every = self._nearest(-1) if self.is_assigned else self._unbounded()
        tied = np.unique(self.lot[self.lot >= 0]).tolist() if self.is_assigned else []
        self.near = {column: self._nearest(column) for column in tied}

    def _nearest(self, column: int) -> Integers:
        """(cores, width): distances from each core to others, of a column or (-1) of all, nearest
        first; zeros where there are fewer."""
        grid = self.flows.grid
        among = np.arange(len(grid.places))
        if column >= 0:
            among = among[grid.column_of == column]
        far = grid.distances[:, among].copy()
        far[among, np.arange(len(among))] = _ITSELF
        far = np.sort(far, axis=1)[:, : self.width]
        far[far == _ITSELF] = 0
        return np.pad(far, ((0, 0), (0, self.width - far.shape[1])))

    def _unbounded(self) -> Integers:
        """(1, width): distances in a grid without end, nearest first, as far as this one goes: no
        core of this one has nearer ones."""
        grid = self.flows.grid
        reach = min(grid.rows, grid.columns) - 1
        # There are 2 r (r + 1) places within r links, as long as the grid goes as far.
        reach = next((r for r in range(1, reach + 1) if 2 * r * (r + 1) >= self.width), 0)
        if not reach or grid.down != 1 or grid.aside != 1:
            reach = grid.rows + grid.columns
        down, right = (min(reach, size - 1) for size in (grid.rows, grid.columns))
        rows, columns = (np.abs(np.arange(-size, size + 1)) for size in (down, right))
        far = np.sort(np.add.outer(rows * grid.down, columns * grid.aside), axis=None)
        return far[None, 1 : self.width + 1]

    def value(self, given: Integers) -> tuple[int, Integers]:
        """The bound for shares, in their unit, and the distance at which each end meets its
        partner; `given`: (2 pairs,)."""
        ranks, shares = self._sorted(given, ~self.is_adjacent)
        cost = shares @ self.every.T
        if not self.is_assigned:
            least = int(cost.sum()) + int(self.pulls.min(axis=1).sum())
            return least, self.every[0][ranks]
        lots = {
            column: (
                near,
                *self._sorted(np.where(self.lot == column, given, 0), self.lot != column),
            )
            for column, near in {-1: self.every, **self.near}.items()
        }
        apart: Integers = sum((shares @ near.T for near, _, shares in lots.values()), 0 * cost)
        at, least = self._assigned(np.maximum(cost, apart))
        far = self.every[at[self.owner], ranks]
        is_apart = (apart > cost)[self.owner, at[self.owner]]
        for column, (near, of_lot, _) in lots.items():
            here = is_apart & (self.lot == column)
            far[here] = near[at[self.owner[here]], of_lot[here]]
        return least, far

    def _assigned(self, cost: Integers) -> tuple[Integers, int]:
        """The core of each crossbar in the cheapest assignment, and what it costs; `cost`:
        (count, cores), to which pulls are added."""
        flows, column_of = self.flows, self.flows.grid.column_of
        costs = (cost + self.pulls[:, column_of]).astype(np.float64)
        costs[(flows.ties >= 0)[:, None] & (flows.ties[:, None] != column_of)] = np.inf
        bars, cores = linear_sum_assignment(costs)  # bars are 0, 1, ...
        return cores, int(costs[bars, cores].sum())

    def _sorted(self, given: Integers, last: npt.NDArray[Any]) -> tuple[Integers, Integers]:
        """The rank of each end among those of its crossbar, largest share first and those marked
        `last` behind all others; and (count, width) the shares in that order."""
        order = np.lexsort((-given, last, self.owner))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - self.first[self.owner[order]]
        table = np.zeros((self.flows.count, self.width), np.int64)
        table[self.owner, ranks] = given
        return ranks, table


_ITSELF = np.iinfo(np.int64).max
