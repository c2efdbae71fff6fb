"""How a placed module lies on the chip, beside what bounds it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from anacc.ir import Module, Op
from anacc.targets import Target
from anacc_passes.floorplan.report import placement_bounds
from anacc_passes.packing.crossbars import products_of, size_of
from anacc_passes.packing.rectangles import lower_bound
from anacc_passes.routing.sites import chip_of, chips_of, round_of


def placement_report(module: Module, target: Target) -> dict[str, Any]:
    """How a placed module lies on the chip, as JSON data.

    Returns:
        - `cores_used`, `cores_available`; `cells_used`, `cells_available` (of the cores in use).
        - `packed_cores`: for each core that holds several tiles its `core`, its `tiles` (layers),
          `mvms` (products per sample, which run one after another) and `longest` (those of the
          tile that has most, which is what a core of its own for each tile would take).
        - `bounds`: `cores`, and for a program of one round what
          `anacc_passes.floorplan.report.placement_bounds` gives, each with its `value`, a lower
          `bound` and its `meaning`.
    """
    tiles = [op for op in module.ops if op.kind == "tile"]
    sizes = [size_of(module, op) for op in tiles]
    by_core: dict[tuple[int, int, int], list[Op]] = defaultdict(list)
    for op in tiles:
        by_core[chip_of(op), core_of(op), round_of(op)].append(op)
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    packed = []
    for (chip, core, _), members in sorted(by_core.items()):
        if len(members) > 1:
            products = [products_of(module, op) for op in members]
            layers = [op.text("layer") for op in members]
            packed.append(
                {
                    "core": core,
                    **({"chip": chip} if chip else {}),
                    "tiles": layers,
                    "mvms": sum(products),
                    "longest": max(products),
                }
            )
    rounds = 1 + max((round_of(op) for op in module.ops), default=0)
    counted = "cores in use" if rounds == 1 else "crossbars programmed, in all rounds"
    return {
        "cores_used": len({str(op.unit) for op in tiles}),
        "cores_available": chips_of(module) * target.cores,
        "cells_used": sum(op.integer("cells") for op in tiles),
        "cells_available": len(by_core) * rows * columns,
        "packed_cores": packed,
        "bounds": {
            "cores": {
                "value": len(by_core),
                "bound": lower_bound(sizes, rows, columns),
                "meaning": f"{counted}; no packing of these tiles needs fewer than the bound",
            },
            **(placement_bounds(module, target) if rounds == 1 else {}),
        },
    }


def core_of(op: Op) -> int:
    """The core of a placed tile."""
    return int(str(op.unit).rpartition(".")[2])
