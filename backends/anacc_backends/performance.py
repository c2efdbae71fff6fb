"""How fast a program is, estimated from the target's figures: JSON data of the mapping report.

Nothing is simulated here.  Each unit is busy with its own work only, per sample:

- `core`: a matrix-vector product (MVM) for each token of its tiles, one at a time;
- `ldpu`: each column of these, in the LDPU of the core;
- `gdpu`: each element of a token or hidden unit;
- `bridge`: each token that a bridge stream sends;
- `link`: each value, see `anacc_passes.route`.

The slowest stage is the busiest core: this is what copies of layers balance, and what the bound is
for.  `busy` says whether, by the assumed figures, another kind of unit would be slower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.ir.chip_rules import channel, values_of
from anacc.targets import Target
from anacc_backends.latency import Pace, latency, rounds
from anacc_passes.copies.sharing import slowest_bound
from anacc_passes.packing.loads import Room
from anacc_passes.replicate import layers_of
from anacc_passes.routing.sites import round_of

MODES = {1: "1-phase", 4: "4-phase"}

LAYERS_NAMED = 8
"""How many layers of a unit are named."""


def performance(module: Module, target: Target, link_load: Mapping[str, Any]) -> dict[str, Any]:
    """Estimates for one sample.

    Args:
        module: placed and routed.
        target: the chip.
        link_load: what `anacc_passes.routing.report.link_report` returned.

    Returns:
        - `slowest_ns`: MVM time of the busiest core; `slowest`: its `unit` and `layers`.
        - `bound_ns`: what the busiest core takes at least on these cores, however layers are
          copied, packed and dealt out to rounds (`_bound`); `fractional_ns`: all MVMs dealt out
          evenly to all cores.
        - `latency_ns`: of one sample: its way through the streams (`anacc_backends.latency`), or
          what the busiest unit works on it if that is more, for units that streams share;
          `mvm_latency_ns`: the same if only MVMs took time.  Programming between rounds is not in
          it.
        - `mvms`: of all cores; `mvm_energy_nj`: of these.
        - `busy`: for each kind of unit the busiest one: `ns`, `unit`, `layers`.
        - `figures`: the target's figures behind all this: `key`, `value`, `unit`, `source`.
    """
    tiles = [op for op in module.ops if op.kind == "tile"]
    busy = _busy(module, target)
    for link in link_load.get("links") or []:
        busy["link"][f"link {link['link']}"] = link["ns"]
    names = _layers_by_unit(module)
    kinds = {kind: _busiest(kind, times, names) for kind, times in busy.items() if times}
    cores = len({_chip(op) for op in tiles}) * target.cores if tiles else target.cores
    order = rounds(module)
    core = kinds.get("core", {"ns": 0.0, "unit": None, "layers": []})
    return {
        "slowest_ns": core["ns"],
        "slowest": {"unit": core["unit"], "layers": core["layers"]},
        "bound_ns": _bound(module, target, tiles, cores),
        "fractional_ns": sum(busy["core"].values()) / cores,
        "latency_ns": max(
            (
                latency(module, order, lambda op: _pace(module, op, target)),
                *(each["ns"] for each in kinds.values()),
            )
        ),
        "mvm_latency_ns": max(
            latency(module, order, lambda op: _mvm_pace(op, target)), float(core["ns"])
        ),
        "mvms": sum(_tokens(module, op) for op in tiles),
        "mvm_energy_nj": sum(_tokens(module, op) * _energy(op, target) for op in tiles),
        "busy": kinds,
        "figures": _figures(target, tiles),
    }


def _bound(module: Module, target: Target, tiles: Sequence[Op], cores: int) -> float:
    """MVM time in ns that the busiest core has at least.

    Of the work in R rounds on C cores, that of one core in one round is that of one of C * R cores
    that are programmed once, which `anacc_passes.copies.sharing.slowest_bound` bounds; and no core
    of C does less than all MVMs over C.
    """
    if not tiles:
        return 0.0
    rounds_used = 1 + max(map(round_of, tiles))
    apart = slowest_bound(layers_of(module, target), Room.of(target, cores * rounds_used))
    evenly = -(-sum(_tokens(module, op) for op in tiles) // cores)
    return max(apart, evenly) * min(_mvm(op, target) for op in tiles)


def _busy(module: Module, target: Target) -> dict[str, dict[str, float]]:
    """How long each unit works on a sample, by kind of work."""
    busy: dict[str, dict[str, float]] = {
        kind: defaultdict(float) for kind in ("core", "ldpu", "gdpu", "bridge", "link")
    }
    for op in module.ops:
        unit = str(op.unit)
        kind = unit.split()[0]
        if kind == "host":
            continue
        tokens = _tokens(module, op)
        if op.kind == "tile":
            busy["core"][unit] += tokens * _mvm(op, target)
            busy["ldpu"][unit] += tokens * _digital(module, op, target)
        elif kind == "core":
            busy["ldpu"][unit] += tokens * _digital(module, op, target)
        else:
            busy[kind][unit] += tokens * _digital(module, op, target)
    return busy


def _layers_by_unit(module: Module) -> dict[str, list[str]]:
    """The layers on each unit, or the nodes where there is no layer."""
    found: dict[str, dict[str, None]] = {}
    for op in module.ops:
        names = [op.text("layer")] if op.kind == "tile" else list(op.origins[:1])
        found.setdefault(str(op.unit), {}).update(dict.fromkeys(names))
    return {unit: list(names) for unit, names in found.items()}


def _busiest(kind: str, times: Mapping[str, float], names: Mapping[str, list[str]]) -> Any:
    unit = max(times, key=lambda each: times[each])  # the first of several
    return {"ns": times[unit], "unit": unit, "layers": names.get(unit, [])[:LAYERS_NAMED]}


def _pace(module: Module, op: Op, target: Target) -> Pace:
    """By all figures of the target.  A core's LDPU works on one product while the next one runs."""
    if op.kind in ("input", "output", "host"):
        values = sum(values_of(module, name) for name in (*op.operands, *op.results) if name)
        rate, fixed = target.host.values_per_ns.value, target.host.transfer_latency.value
        return Pace(fixed + values / rate, 0.0) if values else Pace(0.0, 0.0)
    digital = _digital(module, op, target)
    if op.kind != "tile":
        return Pace(digital, digital)
    mvm = _mvm(op, target)
    hops = sum(map(len, op.nested("routes")))
    sent = _columns(module, op) / target.links.values_per_ns.value if hops else 0.0
    way = sent + hops * target.links.hop_latency.value
    return Pace(mvm + digital + way, max(mvm, digital))


def _mvm_pace(op: Op, target: Target) -> Pace:
    mvm = _mvm(op, target) if op.kind == "tile" else 0.0
    return Pace(mvm, mvm)


def _digital(module: Module, op: Op, target: Target) -> float:
    """Time of a token in the digital unit of an op, ns."""
    times = target.latency
    kind = str(op.unit).split()[0]
    if kind == "bridge":
        return times.bridge_per_step.value
    if op.kind in CELLS:
        return op.integer("units") * times.gdpu_per_unit.value
    if kind == "gdpu":
        return _columns(module, op) * times.gdpu_per_unit.value
    return _columns(module, op) * times.ldpu_per_column.value


def _mvm(op: Op, target: Target) -> float:
    """Time of an MVM of a tile, ns."""
    return target.read_mode(MODES[op.integer("phases")]).latency.value


def _energy(op: Op, target: Target) -> float:
    """Energy of an MVM of a tile, nJ."""
    whole = target.read_mode(MODES[op.integer("phases")]).energy.value
    if target.energy.mvm_scaling.value == "core":
        return whole
    return whole * op.integer("cells") / target.cells_per_core


def _tokens(module: Module, op: Op) -> int:
    """Tokens that an op makes per sample, steps of cells."""
    if op.kind in CELLS:
        return op.integer("steps")
    return channel(module, next(name for name in op.results if name)).tokens


def _columns(module: Module, op: Op) -> int:
    return channel(module, next(name for name in op.results if name)).token_size


def _chip(op: Op) -> str:
    return str(op.unit).split()[1].split(".")[0]


def _figures(target: Target, tiles: Sequence[Op]) -> list[dict[str, Any]]:
    """The figures that estimates rest on, and where they are from; those of links between chips and
    of programming where there are several chips or rounds."""
    used: dict[str, Any] = {}
    for number in sorted({op.integer("phases") for op in tiles}):
        for key, mode in target.read_modes.tables().values():
            if mode is not None and mode.phases.value == number:
                used |= {f"{key}.latency": mode.latency, f"{key}.energy": mode.energy}
    used |= {
        "energy.mvm_scaling": target.energy.mvm_scaling,
        "latency.ldpu_per_column": target.latency.ldpu_per_column,
        "latency.gdpu_per_unit": target.latency.gdpu_per_unit,
        "latency.bridge_per_step": target.latency.bridge_per_step,
        "links.values_per_ns": target.links.values_per_ns,
        "links.hop_latency": target.links.hop_latency,
        "host.values_per_ns": target.host.values_per_ns,
        "host.transfer_latency": target.host.transfer_latency,
    }
    if len(set(map(_chip, tiles))) > 1:
        used["links.chip_values_per_ns"] = target.links.chip_values_per_ns
    if any(map(round_of, tiles)):
        programming = target.programming
        used |= {
            "programming.max_iterations": programming.max_iterations,
            "programming.iteration_time": programming.iteration_time,
            "programming.write_heads": programming.write_heads,
        }
    return [
        {"key": key, "value": each.value, "unit": each.unit, "source": each.source}
        for key, each in used.items()
    ]
