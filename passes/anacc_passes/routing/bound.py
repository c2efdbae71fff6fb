"""How long the busiest link is busy at least, wherever crossbars are placed, and when that is long.

1. All that goes to a GDPU, and all that comes from it, crosses one link.
2. Each value that a core gets comes over one of the links that end at it, and each value that it
   sends leaves over one of those that begin there.  A value is not split, so of k n + 1 values over
   n links, k + 1 share one: the smallest k + 1 of the largest k n + 1 are a bound, and so is the
   n-th part of all of them.
3. A value crosses at least one link to each core that reads it, and no more links share the sum
   than the grid has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from anacc.ir import Module
from anacc.ir.chip_rules import channel
from anacc.targets import Target
from anacc_passes.routing.links import BITS
from anacc_passes.routing.sites import chips_of
from anacc_passes.routing.traffic import Sent, Unit, sent


def busiest_link(module: Module, target: Target, busiest_ns: float) -> dict[str, Any]:
    """The busiest link of a routed module beside its bound, in ns per sample, as JSON data.

    Args:
        module: routed.
        target: the chip.
        busiest_ns: how long that link is busy.
    """
    return {
        "value": busiest_ns,
        "bound": least_busy(module, target),
        "meaning": "ns per sample that the busiest link is busy; with these crossbars and GDPUs, "
        "no placement and no routes are below the bound",
    }


def least_busy(module: Module, target: Target) -> float:
    """The bound in ns per sample; see the module."""
    into: dict[Unit, dict[str, float]] = defaultdict(dict)
    out: dict[Unit, dict[str, float]] = defaultdict(dict)
    entered = 0.0
    for each in sent(module, [Unit.of(op) for op in module.ops]):
        time = _time(module, target, each)
        into[each.destination][each.name] = time
        out[each.source][each.name] = time
        entered += time * (each.source.kind == each.destination.kind == "core")
    degree, grid_links = _links_of_grid(target)
    gdpu_links = 1 if target.gdpu.wiring.value == "column" else target.gdpu.count.value
    bounds = [entered / max(grid_links * chips_of(module), 1)]
    for ends in (into, out):
        for unit, values in ends.items():
            links = 1 if unit.kind == "gdpu" else degree + gdpu_links
            bounds.append(shared(list(values.values()), links))
    return max(bounds)


def shared(times: Sequence[float], links: int) -> float:
    """What the busiest of some links bears at least of values that are not split."""
    ordered = sorted(times, reverse=True)
    best = sum(ordered) / max(links, 1)
    for each in range((len(ordered) - 1) // max(links, 1) + 1):
        last = each * links + 1
        best = max(best, sum(ordered[last - each - 1 : last]))
    return best


def _time(module: Module, target: Target, each: Sent) -> float:
    """How long a link is busy with a value, in ns per sample."""
    bits = BITS[channel(module, each.name).format]
    cycles = -(-bits // target.links.bits_per_value.value)
    return each.values * cycles / target.links.values_per_ns.value


def _links_of_grid(target: Target) -> tuple[int, int]:
    """Links that end at one core at most, and all between cores."""
    rows, columns = target.grid.rows.value, target.grid.columns.value
    directions = target.links.directions.value
    degree = total = 0
    if "vertical" in directions:
        degree += min(rows - 1, 2)
        total += 2 * (rows - 1) * columns
    if "horizontal" in directions:
        degree += min(columns - 1, 2)
        total += 2 * rows * (columns - 1)
    return degree, total


def link_warnings(module: Module, target: Target, busiest_ns: float) -> list[str]:
    """A warning if a link is busy longer than the crossbars of any core."""
    modes = [target.read_mode(name) for name in target.read_modes.offered.value]
    latency: dict[int, float] = {mode.phases.value: mode.latency.value for mode in modes}
    busy: dict[Unit, float] = defaultdict(float)
    for op in module.ops:
        if op.kind == "tile":
            tokens = channel(module, next(name for name in op.results if name)).tokens
            busy[Unit.of(op)] += tokens * latency.get(op.integer("phases"), 0.0)
    slowest = max(busy.values(), default=0.0)
    if not busy or busiest_ns <= slowest:
        return []
    return [
        f"a link is busy {busiest_ns:,.0f} ns per sample and the slowest core {slowest:,.0f} ns: "
        "links bound the throughput; a higher `--effort`, or wider links in a target file "
        "(`links.values_per_ns`), may help"
    ]
