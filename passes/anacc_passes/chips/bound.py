"""How little must cross the boundaries of any cut of a stream graph, contiguous or not.

Let x(v) values flow from each node v to a root r at once, over the nets, and let no net carry more
than its values.  Put the nodes on a chain of parts in any way.  A value that flows from v to r
crosses each boundary between their parts, and what flows over a boundary is no more than what the
nets there carry, each once.  Summed over all boundaries:

    traffic >= sum over v of x(v) * |part(v) - part(r)|

One part is at distance 0 from that of r and two are at each distance from 1 on, and a part holds
`capacity` of weight.  So the right side is at least what comes out if nodes, taken as divisible,
fill the parts from the nearest on, those of the largest x(v) / weight(v) first (the fractional
knapsack [1]_).  Every flow gives a bound; those tried are maximum flows of equal demands per weight
to a few roots, and the best one counts.

References:
    .. [1] G. B. Dantzig, "Discrete-variable extremum problems", Operations Research 5, 266-288
       (1957).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, maximum_flow

from anacc_passes.chips.stream_graph import Net

ROOTS = 5
"""Roots that are tried: of so many stretches of equal weight, the node that most could flow to."""

DEMANDS = 3
"""Demands that are tried for each root: what could flow to it at most, then what did."""

MAX_ENDS = 100_000
"""Ends of nets up to which flows are computed; the bound of a larger graph is 0."""

_LARGEST = 2**30
"""SciPy's capacities and flows have 32 bits."""

Reals = npt.NDArray[np.float64]


def traffic_bound(nets: Sequence[Net], weights: Sequence[float], capacity: float) -> int:
    """Values times boundaries that any cut needs at least.

    Args:
        nets: see `Net`.
        weights: of the nodes, not negative.
        capacity: of a part.

    Returns:
        The bound; 0 where one part holds everything, or where the graph is too large.
    """
    mass = np.array(weights, np.float64)
    if mass.sum() <= capacity or not nets or sum(len(net.nodes) for net in nets) > MAX_ENDS:
        return 0
    links = [(net.nodes[0], node) for net in nets for node in net.nodes]
    ones = np.ones(len(links), np.int8)
    joined = csr_array((ones, tuple(zip(*links, strict=True))), shape=(len(mass), len(mass)))
    _, labels = connected_components(joined, directed=False)
    apart: dict[int, list[Net]] = defaultdict(list)
    for net in nets:
        apart[int(labels[net.nodes[0]])].append(net)
    return int(sum(_component(own, mass, capacity) for own in apart.values()))


def _component(nets: Sequence[Net], mass: Reals, capacity: float) -> float:
    """The bound of the nodes of some nets alone: what lies apart crosses by itself."""
    nodes = sorted({node for net in nets for node in net.nodes})
    place = {node: position for position, node in enumerate(nodes)}
    inner = [Net(net.values, tuple(place[node] for node in net.nodes)) for net in nets]
    return _bound(inner, mass[nodes], capacity)


def _bound(nets: Sequence[Net], mass: Reals, capacity: float) -> float:
    """The bound of nodes that hang together, each an end of a net."""
    total = mass.sum()
    if total <= capacity:
        return 0.0
    incident = np.zeros(len(mass))
    for net in nets:
        incident[list(net.nodes)] += net.values
    place = np.minimum(np.cumsum(mass) * ROOTS / total, ROOTS - 1e-9)
    stretch = np.floor(place)
    incident -= np.abs(place - stretch - 0.5)  # of equal ones, that in the middle
    roots = {int(np.argmax(np.where(stretch == k, incident, -1.0))) for k in set(stretch)}
    best = 0.0
    for root in sorted(roots):
        demand = incident[root] / total
        for _ in range(DEMANDS):
            sent = _flow(nets, mass, root, demand)
            best = max(best, _least(sent, mass, capacity))
            demand = sent.sum() / total
    return best


def _flow(nets: Sequence[Net], mass: Reals, root: int, demand: float) -> Reals:
    """What flows from each node to the root, if each offers its weight times `demand`."""
    count = len(mass)
    wanted = mass * demand
    wanted[root] = 0
    # In units of `scale`, rounded down, a flow is one of the true capacities too.
    scale = max(wanted.sum(), float(sum(net.values for net in nets))) / _LARGEST
    sources: list[int] = []
    sinks: list[int] = []
    room: list[int] = []
    for number, net in enumerate(nets):
        inlet = count + 2 * number  # a net is an edge from its inlet to its outlet
        values = int(net.values / scale)
        sources += [inlet, *net.nodes, *[inlet + 1] * len(net.nodes)]
        sinks += [inlet + 1, *[inlet] * len(net.nodes), *net.nodes]
        room += [values] * (1 + 2 * len(net.nodes))
    start = count + 2 * len(nets)
    nodes = [int(node) for node in np.flatnonzero(wanted)]
    sources += [start] * len(nodes)
    sinks += nodes
    room += [int(wanted[node] / scale) for node in nodes]
    shape = (start + 1, start + 1)
    graph = csr_array((np.array(room, np.int32), (sources, sinks)), shape=shape)
    flow = maximum_flow(graph, start, root).flow
    sent = np.zeros(count)
    sent[nodes] = np.asarray(flow[[start], :].todense()).ravel()[nodes] * scale
    return sent


def _least(sent: Reals, mass: Reals, capacity: float) -> float:
    """The least sum of flow times distance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(sent > 0, sent / mass, 0)
    order = np.argsort(-density, kind="stable")
    # Weight before each node, of those nearer to the root, and the distance to which it reaches.
    filled = np.cumsum(mass[order])
    first, last = filled - mass[order], filled
    with np.errstate(divide="ignore", invalid="ignore"):
        moment = (_moment(last, capacity) - _moment(first, capacity)) * density[order]
    return float(moment.sum())


def _moment(weight: Reals, capacity: float) -> Reals:
    """Sum of weight times distance of a weight that fills the parts from the nearest on."""
    beyond = np.maximum(weight / capacity - 1, 0) / 2  # parts on each side
    whole = np.floor(beyond)
    moment: Reals = (whole * (whole + 1) + 2 * (beyond - whole) * (whole + 1)) * capacity
    return moment
