"""What a placement costs beside what any placement costs at least, as JSON data."""

from __future__ import annotations

from typing import Any

from anacc.ir import Module
from anacc.targets import Target
from anacc_passes.floorplan.bound import distance_bound
from anacc_passes.floorplan.flows import Flows
from anacc_passes.floorplan.grid import Grid
from anacc_passes.traffic import placed_traffic


def placement_bounds(module: Module, target: Target) -> dict[str, Any]:
    """Costs of a placed module, summed over its chips.

    Returns:
        `partial_sum_hops` (links that partial sums cross, a transfer counted once however many
        values it carries) and `traffic_distance` (values per sample times links that they cross
        at least), each with its `value`, a lower `bound` of it and its `meaning`.
    """
    grid = Grid(target)
    hops = distance = least_hops = least_distance = 0
    for traffic, cores in placed_traffic(module, target).values():
        flows = Flows(grid, traffic)
        chip_hops, chip_distance = flows.cost(cores)
        hops, distance = hops + chip_hops, distance + chip_distance
        least_hops += int(flows.partials.sum())
        least_distance += distance_bound(flows)
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
            "these crossbars is below the bound",
        },
    }
