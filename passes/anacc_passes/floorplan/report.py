"""What a placement costs beside what any placement costs at least, as JSON data."""

from __future__ import annotations

from typing import Any

from anacc.ir import Module
from anacc.targets import Target
from anacc_passes.floorplan.bound import distance_bound
from anacc_passes.floorplan.flows import Flows
from anacc_passes.floorplan.grid import Grid
from anacc_passes.routing.traffic import placed_traffic


def placement_bounds(module: Module, target: Target) -> dict[str, Any]:
    """Costs of a placed module, summed over its chips.

    Returns:
        `partial_sum_hops` (links that partial sums cross, a transfer counted once however many
        values it carries) and `traffic_distance` (values per sample times links that they cross
        at least), each with its `value`, a lower `bound` of it and its `meaning`.  Partial sums go
        first: the second bound is for placements in which they cross no more links.
    """
    grid = Grid(target)
    chips = [
        (Flows(grid, traffic), cores) for traffic, cores in placed_traffic(module, target).values()
    ]
    costs = [flows.cost(cores) for flows, cores in chips]
    hops, distance = (sum(cost[part] for cost in costs) for part in (0, 1))
    least_hops = sum(int(flows.partials.sum()) for flows, _ in chips)
    least_distance = sum(distance_bound(flows, hops == least_hops) for flows, _ in chips)
    return {
        "partial_sum_hops": {
            "value": hops,
            "bound": least_hops,
            "meaning": "links that partial sums cross; one for each pair of cores is least",
        },
        "traffic_distance": {
            "value": distance,
            "bound": least_distance,
            "meaning": "values per sample times links between writer and reader; no placement of "
            "these crossbars in which partial sums cross as few links is below the bound",
        },
    }
