"""What the mapper decided, as the report shows it: JSON data of the program file."""

from __future__ import annotations

from collections import Counter
from typing import Any

from anacc.frontend import SourceModel
from anacc.frontend.parameters import parameters_of
from anacc.ir import Module, Op
from anacc.ir.chip_rules import block, channel, copies, replica
from anacc.targets import Target
from anacc_backends.nodes import node_table
from anacc_backends.performance import performance
from anacc_backends.traffic import border_traffic
from anacc_passes.chips.report import chip_report
from anacc_passes.placement_report import placement_report
from anacc_passes.routing.bound import busiest_link
from anacc_passes.routing.report import link_report


def mapping(module: Module, target: Target, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Layers, tiles, units, host reasons, links, bounds, nodes, borders of a routed module."""
    placed, chips = placement_report(module, target), chip_report(module, target)
    hosted = [op for op in module.ops if op.kind == "host"]
    links = link_report(module, target)
    if len(chips["rounds"]) == 1:
        placed["bounds"]["busiest_link"] = busiest_link(module, target, links["busiest_ns"])
    return {
        **placed,
        "chips": chips["chips"],
        "rounds": chips["rounds"],
        "programming": chips["programming"],
        "bounds": {**placed["bounds"], **chips["bounds"]},
        "layers": _layers(module),
        "tiles": [_tile(module, op) for op in module.ops if op.kind == "tile"],
        "units": [
            {"stream": number, "unit": op.unit, "kind": op.kind, "nodes": list(op.origins)}
            for number, op in enumerate(module.ops)
        ],
        "host": [
            {
                "nodes": list(op.nested("nodes")),
                "reasons": list(op.nested("reasons")),
                "hints": list(op.nested("hints")),
            }
            for op in hosted
        ],
        "links": links,
        "performance": performance(module, target, links),
        "macs": {
            "crossbar": sum(_products(module, op) for op in module.ops),
            "host": sum(op.integer("products") for op in hosted),
            "host_activations": sum(int(op.number("activation_products")) for op in hosted),
        },
        "nodes": node_table(module),
        "borders": border_traffic(module),
        "quantisation": [
            {
                "tensor": each.tensor,
                "kind": each.kind,
                "bits_lost": round(each.bits, 3),
                "codes_saturated": each.saturated,
            }
            for each in module.recoded
        ],
        "warnings": list(warnings),
    }


LEAST_SNR = 20.0  # dB of a conversion, below which a warning is due
LAYERS_NAMED = 5


def conversion_warnings(module: Module) -> list[str]:
    """A warning if the converted products of some layers are poor on the calibration data."""
    worst: dict[str, float] = {}
    for op in module.ops:
        if op.kind == "tile" and "snr" in op.attributes:
            layer = op.text("layer")
            worst[layer] = min(worst.get(layer, LEAST_SNR), op.number("snr"))
    poor = sorted((snr, layer) for layer, snr in worst.items() if snr < LEAST_SNR)
    if not poor:
        return []
    named = ", ".join(f"`{layer}` ({snr:.0f} dB)" for snr, layer in poor[:LAYERS_NAMED])
    if len(poor) > LAYERS_NAMED:
        named += f" and {len(poor) - LAYERS_NAMED} more"
    return [
        "codes and converters lose much on the calibration data in these layers (signal-to-noise "
        f"ratio): {named}; `anacc run --compare MODEL --layers` shows what it comes to, and other "
        "`adc.full_scale_cells` in a target file may help"
    ]


def table_warnings(module: Module) -> list[str]:
    """A warning if functions are tables, which know only the range that calibration saw."""
    tabled = [op for op in module.ops if op.kind == "pointwise" and op.text("function") == "table"]
    nodes = list(dict.fromkeys(op.origins[-1] for op in tabled if op.origins))
    if not nodes:
        return []
    named = ", ".join(f"`{node}`" for node in nodes[:LAYERS_NAMED])
    if len(nodes) > LAYERS_NAMED:
        named += f" and {len(nodes) - LAYERS_NAMED} more"
    return [
        f"these nodes are function tables over the range of the calibration data: {named}; beyond "
        "it, the outermost sample holds"
    ]


def origin(module: Module) -> dict[str, Any]:
    """For each stream and weight block, where it came from; for each ONNX tensor, where it is."""
    numbers = {name: number for number, name in enumerate(module.values)}
    return {
        "streams": [list(op.origins) for op in module.ops],
        "weights": [
            {
                "layer": op.text("layer"),
                "nodes": list(op.origins),
                "rows": list(op.integers("weight_rows")),
                "columns": list(op.integers("weight_columns")),
                # What corrections added to the model's offsets, in codes of the result.
                **_listed(op, "correction"),
            }
            # Copies of a layer install the same block.
            for op in {block(op): op for op in module.ops if op.kind == "tile"}.values()
        ],
        "tensors": [
            {
                "tensor": held.tensor,
                "shape": [module.batch if size == -1 else size for size in held.shape],
                "batch_axis": held.batch_axis,
                "permutation": list(held.permutation),
                "channels": {
                    form: [numbers[part] for part in parts] for form, parts in held.parts.items()
                },
                "scale": held.scale,
                "zero": held.zero,
                "factors": list(held.factors),
                **({"grid": list(held.grid)} if held.grid else {}),
            }
            for held in module.held
        ],
    }


def _listed(op: Op, name: str) -> dict[str, list[float]]:
    """An attribute of numbers, if the op has it."""
    found = op.nested(name)
    return {name: list(found)} if found else {}


def _tokens(module: Module, op: Op) -> int:
    return channel(module, next(name for name in op.results if name)).tokens


def _products(module: Module, op: Op) -> int:
    """Multiply-adds of one sample on the crossbar cells that hold weights."""
    if op.kind != "tile":
        return 0
    return op.integer("cells") // copies(op) * _tokens(module, op)


def _tile(module: Module, op: Op) -> dict[str, Any]:
    rows, columns = module.constants[op.operands[0]].shape
    return {
        "core": op.unit,
        "row": op.integer("row"),
        "column": op.integer("column"),
        "rows": int(rows),
        "columns": int(columns),
        "layer": op.text("layer"),
        "weight_rows": list(op.integers("weight_rows")),
        "weight_columns": list(op.integers("weight_columns")),
        "copies": copies(op),
        "replica": replica(op),
        "cells_used": op.integer("cells"),
        "conversion_snr_db": op.attributes.get("snr"),
    }


def _layers(module: Module) -> list[dict[str, Any]]:
    """One entry for each layer with a matrix and each stream of another kind, in order."""
    found: dict[str, dict[str, Any]] = {}
    units: dict[str, Counter[str]] = {}
    positions: Counter[tuple[object, ...]] = Counter()  # of all copies of a tile
    for op in module.ops:
        if op.kind in ("input", "output", "host", "regroup", "merge"):
            continue
        name = op.text("layer") if op.kind == "tile" else f"{op.kind} {op.results[0][1:]}"
        entry = found.setdefault(
            name,
            {
                "name": name,
                "nodes": list(op.origins),
                "kind": "crossbar" if op.kind == "tile" else op.kind,
                "matrix": [0, 0],
                "tiles": 0,
                "cores": [],
                "replicas": 1,
                "positions": _tokens(module, op),
                **_parameters(module, op),
            },
        )
        units.setdefault(name, Counter())[str(op.unit)] += 1
        if op.kind == "tile":
            entry["tiles"] += 1
            positions[block(op)] += _tokens(module, op)
            entry["positions"] = max(entry["positions"], positions[block(op)])
            entry["replicas"] = max(entry["replicas"], replica(op) + 1)
            bottom, right = op.integers("weight_rows")[1], op.integers("weight_columns")[1]
            entry["matrix"] = [max(entry["matrix"][0], bottom), max(entry["matrix"][1], right)]
    for name, entry in found.items():
        entry["cores"] = sorted(unit for unit in units[name] if unit.startswith("core"))
        entry["unit"] = ", ".join(sorted({unit.split()[0] for unit in units[name]}))
    return list(found.values())


def _parameters(module: Module, op: Op) -> dict[str, Any]:
    """The ONNX operator and parameters of the layer of a tile; nothing for another op."""
    if op.kind != "tile" or not isinstance(module.source, SourceModel):
        return {}
    found = parameters_of(module.source, op.origins)
    return {
        "operator": found.operator or None,
        "weight": found.weight or None,
        "bias": found.bias or None,
        "weight_shape": list(found.shape),
        "groups": found.group,
    }
