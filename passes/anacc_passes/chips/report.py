"""How a placed module uses its chips and rounds, as JSON data."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from anacc.ir import Module, Op
from anacc.ir.chip_rules import values_of
from anacc.targets import Target, programming_time
from anacc_passes.chips.bound import traffic_bound
from anacc_passes.chips.divide import contracted, group_numbers
from anacc_passes.chips.stream_graph import HOST, StreamGraph, stream_graph
from anacc_passes.routing.sites import between_chips, chip_of, chips_of, round_of


def chip_report(module: Module, target: Target) -> dict[str, Any]:
    """What each chip and round holds, what passes between them, and what programming takes.

    Returns:
        - `chips`: for each chip its number (`chip`), `cores` and `cells` in use, its `layers`, and
          values per sample that go `to_next` and `to_previous` chip, its own or on their way.
        - `rounds`: for each round its number (`round`), `cores`, `cells`, the time `ns` to program
          them and the values per sample that are `waiting` when it ends.
        - `programming`: `ns_before`, to program all crossbars of all rounds once; `ns_per_batch`,
          to program anew those that hold weights of several rounds, as each batch needs;
          `cells_per_batch`, that are programmed for it; `most_per_batch`, how often one crossbar
          is; `meaning`.
        - `bounds`: as in `anacc_passes.place.placement_report`, where there are several chips or
          rounds.

    Times are upper bounds: each device takes `programming.max_iterations` iterations, and each core
    writes `programming.write_heads` devices at a time.  That all cores of a round are programmed
    at the same time is assumed.
    """
    tiles = [op for op in module.ops if op.kind == "tile"]
    chips = _chips(module, tiles)
    rounds = _rounds(module, target, tiles)
    return {
        "chips": chips,
        "rounds": rounds,
        "programming": _programming(module, target, tiles, rounds),
        "bounds": _bounds(module, target, tiles) if len(chips) > 1 or len(rounds) > 1 else {},
    }


def _chips(module: Module, tiles: list[Op]) -> list[dict[str, Any]]:
    by_chip: dict[int, list[Op]] = defaultdict(list)
    for op in tiles:
        by_chip[chip_of(op)].append(op)
    forth, back = _passing(module)
    return [
        {
            "chip": chip,
            "cores": len({str(op.unit) for op in by_chip[chip]}),
            "cells": sum(op.integer("cells") for op in by_chip[chip]),
            "layers": list(dict.fromkeys(op.text("layer") for op in by_chip[chip])),
            "to_next": forth[chip],
            "to_previous": back[chip],
        }
        for chip in range(chips_of(module))
    ]


def _passing(module: Module) -> tuple[Counter[int], Counter[int]]:
    """Values per sample from each chip to the next one, and to the one before."""
    forth: Counter[int] = Counter()
    back: Counter[int] = Counter()
    consumers = module.consumers()
    for op in module.ops:
        for name in filter(None, op.results):
            first, last = between_chips(op, consumers[name])
            here = chip_of(op)
            for chip in range(here, last):
                forth[chip] += values_of(module, name)
            for chip in range(first + 1, here + 1):
                back[chip] += values_of(module, name)
    return forth, back


def _rounds(module: Module, target: Target, tiles: list[Op]) -> list[dict[str, Any]]:
    count = 1 + max(map(round_of, module.ops), default=0)
    waiting = Counter[int]()
    consumers = module.consumers()
    for op in module.ops:
        if op.kind not in HOST:
            for name in filter(None, op.results):
                readers = [each for each in consumers[name] if each.kind not in HOST]
                for number in range(round_of(op), max(map(round_of, readers), default=0)):
                    waiting[number] += values_of(module, name)
    return [
        {
            "round": number,
            "cores": len(cells := _cells(module, [t for t in tiles if round_of(t) == number])),
            "cells": sum(cells.values()),
            "ns": programming_time(target, max(cells.values(), default=0)),
            "waiting": waiting[number],
        }
        for number in range(count)
    ]


def _cells(module: Module, tiles: list[Op]) -> Counter[str]:
    """Cells that are programmed on each core: those of whole blocks, whether weights or zeros."""
    cells: Counter[str] = Counter()
    for op in tiles:
        rows, columns = module.tensor(op.operands[0]).dims
        cells[str(op.unit)] += rows * columns
    return cells


def _programming(
    module: Module, target: Target, tiles: list[Op], rounds: list[dict[str, Any]]
) -> dict[str, Any]:
    held: dict[str, set[int]] = defaultdict(set)
    for op in tiles:
        held[str(op.unit)].add(round_of(op))
    again = [op for op in tiles if len(held[str(op.unit)]) > 1]
    per_round: dict[int, list[Op]] = defaultdict(list)
    for op in again:
        per_round[round_of(op)].append(op)
    cells = [_cells(module, ops) for ops in per_round.values()]
    return {
        "ns_before": sum(entry["ns"] for entry in rounds),
        "ns_per_batch": sum(programming_time(target, max(each.values())) for each in cells),
        "cells_per_batch": sum(sum(each.values()) for each in cells),
        "most_per_batch": max((len(found) for found in held.values() if len(found) > 1), default=0),
        "meaning": "worst case: every device of a cell (two polarities of "
        f"{target.crossbar.devices_per_polarity.value}) takes "
        f"{target.programming.max_iterations.value} iterations of "
        f"{target.programming.iteration_time.value:g} ns, "
        f"{target.programming.write_heads.value} devices of a core at a time; that all cores of a "
        "round are programmed side by side is assumed",
    }


def _bounds(module: Module, target: Target, tiles: list[Op]) -> dict[str, Any]:
    graph = stream_graph(module, target)
    cells: Counter[int] = Counter()
    node_of = {op: node for node, ops in enumerate(graph.nodes) for op in ops}
    for position, op in enumerate(module.ops):
        if op.kind == "tile":
            rows, columns = module.tensor(op.operands[0]).dims
            cells[node_of[position]] += rows * columns
    weights = [float(cells[node]) for node in range(len(graph.nodes))]
    chips, rounds = chips_of(module), 1 + max(map(round_of, module.ops))
    room = target.cores * target.cells_per_core
    found: dict[str, Any] = {}
    if chips > 1 and rounds == 1:
        found["chips"] = _bound(chips, -(-int(sum(weights)) // room),
                                "chips in use; no cut needs fewer for these cells")  # fmt: skip
        forth, back = _passing(module)
        found["chip_traffic"] = _bound(
            sum(forth.values()) + sum(back.values()),
            traffic_bound(graph.nets, weights, room),
            "values per sample times links between chips that they cross; no cut of any order, "
            "however it is packed, needs fewer than the bound",
        )
    if rounds > 1:
        found["rounds"] = _bound(rounds, -(-int(sum(weights)) // (room * chips)),
                                 "rounds; no cut needs fewer for these cells")  # fmt: skip
        found["waiting_values"] = _bound(
            sum(entry["waiting"] for entry in _rounds(module, target, tiles)),
            _waiting_bound(graph, weights, room * chips),
            "values per sample that wait for a later round, counted once for each round that ends "
            "meanwhile; no cut of any order needs fewer than the bound",
        )
    return found


def _waiting_bound(graph: StreamGraph, weights: list[float], capacity: float) -> int:
    groups = group_numbers(graph)
    nets = contracted(graph.nets, groups)
    mass = [0.0] * len(graph.groups)
    for node, group in enumerate(groups):
        mass[group] += weights[node]
    return traffic_bound(nets, mass, capacity)


def _bound(value: int, bound: int, meaning: str) -> dict[str, Any]:
    return {"value": value, "bound": bound, "meaning": meaning}
