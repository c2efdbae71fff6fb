"""Give each stream a unit, and each tile its place on a crossbar.

Before: chip ops without units.  After: every op has a unit of chip 0, every tile a `row` and a
`column`; tiles of one core do not overlap; where a core is wired only to the GDPU of its grid
column, a tile that feeds a GDPU lies in that column.  Nothing else changes.

1. Ops of GDPUs get theirs, which ties the tiles that feed them to a column (`anacc_passes.wiring`).
2. Tiles share crossbars as the packing policy says (`Place.packing`).  Tiles on one core run one
   after another: sharing saves cores and costs time.
3. Crossbars get cores, with partial sums between neighbours (`anacc_passes.floorplan`).
4. What no GDPU computes and an LDPU does goes to the core where its operand is made, or the idlest.
5. Bridge units are dealt out in turn; borders and host segments are the host's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from anacc.errors import CompileError, UsageError
from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel
from anacc.targets import Target
from anacc_passes.floorplan import EFFORTS, floorplan
from anacc_passes.floorplan.report import placement_bounds
from anacc_passes.packing import Rect, Spot, lower_bound, pack
from anacc_passes.traffic import Unit, traffic
from anacc_passes.units import CORE, GDPU
from anacc_passes.wiring import Wiring, runs_on, wire

PACKINGS = ("auto", "always", "never")

LAYERS_NAMED = 5
"""How many layers the error of a model that does not fit names."""

_BRIDGE_KINDS = ("gather", "regroup")


@dataclass(frozen=True)
class Place:
    """Chip to placed chip.

    Attributes:
        target: the chip.
        packing: `never`: a core for each tile.  `always`: as few cores as packing finds.  `auto`:
            the blocks of a grouped layer share cores with each other, and tiles of at most half the
            rows and half the columns with each other; all others get a core of their own; if
            the chip has too few cores for that, as `always`.
        effort: 0 to 3, how long to look for a better place of each crossbar; see
            `anacc_passes.floorplan`.
        seed: of the chance in that search.
    """

    target: Target
    packing: str = "auto"
    effort: int = 1
    seed: int = 0
    name = "place"

    def __post_init__(self) -> None:
        if self.packing not in PACKINGS:
            raise UsageError(
                f"there is no packing `{self.packing}`",
                f"choose one of {', '.join(f'`{name}`' for name in PACKINGS)}",
            )
        if self.effort not in EFFORTS:
            raise UsageError(f"there is no effort {self.effort}", "choose one from 0 to 3")

    def __call__(self, module: Module) -> Module:
        """Place every op.

        Raises:
            CompileError: if the chip has too few cores, or lacks a kind of unit.
        """
        wiring = wire(module, self.target)
        spots = _crossbars(module, self.target, self.packing, wiring)
        crossbars = 1 + max((spot.crossbar for spot in spots.values()), default=-1)
        exchanged = traffic(
            module, self.target, _units(module, wiring, spots, self.target), crossbars
        )
        cores = floorplan(self.target, exchanged, self.effort, self.seed)
        placed = []
        bridged = 0
        units: dict[str, str] = {}  # where each value is made
        load: Counter[str] = Counter()  # streams of each unit
        for index, op in enumerate(module.ops):
            if op.kind == "tile":
                spot = spots[index]
                unit = f"core 0.{cores[spot.crossbar]}"
                op = replace(
                    op, attributes={**op.attributes, "row": spot.row, "column": spot.column}
                )
            elif runs_on(op, self.target) == GDPU:
                unit = f"gdpu 0.{wiring.gdpus[index]}"
            elif runs_on(op, self.target) == CORE:
                unit = f"core 0.{self._ldpu(op, units, load)}"
            elif op.kind == "pointwise":
                node = op.origins[0] if op.origins else op.kind
                raise CompileError(
                    f"node `{node}` needs {op.text('function')} and no unit of the target has it",
                    "add it to `gdpu.functions` in a target file and give it with --target",
                )
            elif op.kind in _BRIDGE_KINDS:
                unit = f"bridge 0.{self._bridge(bridged, op)}"
                bridged += 1
            else:
                unit = "host 0.0"
            load[unit] += 1
            units.update(dict.fromkeys(op.results, unit))
            placed.append(replace(op, unit=unit))
        return replace(module, ops=tuple(placed))

    def _ldpu(self, op: Op, units: Mapping[str, str], load: Counter[str]) -> int:
        """The core whose LDPU computes an op: where an operand is made, or the idlest."""
        for name in op.operands:
            if units.get(name, "").startswith("core "):
                return int(units[name].rpartition(".")[2])
        return min(range(self.target.cores), key=lambda core: (load[f"core 0.{core}"], core))

    def _bridge(self, turn: int, op: Op) -> int:
        count = self.target.bridge.count.value
        if count == 0:
            node = op.origins[0] if op.origins else op.kind
            raise CompileError(
                f"node `{node}` needs its data moved and the target has no bridge unit",
                "raise `bridge.count` in a target file and give it with --target",
            )
        return turn % count


def size_of(module: Module, op: Op) -> Rect:
    """The cells of a tile."""
    rows, columns = module.tensor(op.operands[0]).dims
    return Rect(rows, columns)


def _crossbars(module: Module, target: Target, packing: str, wiring: Wiring) -> dict[int, Spot]:
    """The place of each tile (by position of the op) on crossbars that are not yet cores.

    Raises:
        CompileError: if they are more than the target has.
    """
    tiles = [index for index, op in enumerate(module.ops) if op.kind == "tile"]
    policies = {"never": ["never"], "always": ["always"], "auto": ["auto", "always"]}[packing]
    spots: dict[int, Spot] = {}
    for policy in policies:
        spots = _packed(module, target, wiring, _pools(module, target, tiles, policy))
        if _overflow(target, wiring, spots) is None:
            return spots
    reason = _overflow(target, wiring, spots)
    layers = _layers_by_crossbars(module, spots)
    most = ", ".join(f"`{name}` ({count})" for name, count in layers[:LAYERS_NAMED])
    hint = "raise `grid.rows` or `grid.columns` in a target file and give it with --target"
    if packing == "never":
        hint += ", or let layers share cores with --packing always"
    raise CompileError(f"{reason}; the layers that take the most cores are {most}", hint)


def _pools(module: Module, target: Target, tiles: Sequence[int], policy: str) -> list[list[int]]:
    """Which tiles may share crossbars: each pool with itself only."""
    if policy == "always":
        return [list(tiles)]
    if policy == "never":
        return [[index] for index in tiles]
    grouped = _grouped_layers(module.ops[index] for index in tiles)
    half = Rect(target.crossbar.rows.value // 2, target.crossbar.columns.value // 2)
    pools: dict[tuple[str, object], list[int]] = defaultdict(list)
    for index in tiles:
        size, layer = size_of(module, module.ops[index]), module.ops[index].text("layer")
        if layer in grouped:
            pools["layer", layer].append(index)
        elif size.rows <= half.rows and size.columns <= half.columns:
            pools["small", None].append(index)
        else:
            pools["own", index].append(index)
    return list(pools.values())


def _grouped_layers(tiles: Iterable[Op]) -> set[str]:
    """Layers whose tiles fall into blocks that have neither rows nor columns in common."""
    matrices: dict[str, nx.Graph[tuple[str, object]]] = defaultdict(nx.Graph)
    for op in tiles:
        rows, columns = op.integers("weight_rows"), op.integers("weight_columns")
        matrices[op.text("layer")].add_edge(("rows", rows), ("columns", columns))
    return {name for name, matrix in matrices.items() if nx.number_connected_components(matrix) > 1}


def _packed(
    module: Module, target: Target, wiring: Wiring, pools: Sequence[Sequence[int]]
) -> dict[int, Spot]:
    spots: dict[int, Spot] = {}
    first = 0
    for pool in pools:
        found = pack(
            [size_of(module, module.ops[index]) for index in pool],
            target.crossbar.rows.value,
            target.crossbar.columns.value,
            [wiring.columns.get(index) for index in pool],
            target.grid.rows.value,
        )
        for index, spot in zip(pool, found, strict=True):
            spots[index] = replace(spot, crossbar=first + spot.crossbar)
        first += len({spot.crossbar for spot in found})
    return spots


def _ties(wiring: Wiring, spots: Mapping[int, Spot]) -> dict[int, int]:
    """The grid column of each crossbar that is tied to one."""
    return {spots[index].crossbar: column for index, column in wiring.columns.items()}


def _overflow(target: Target, wiring: Wiring, spots: Mapping[int, Spot]) -> str | None:
    """Why the crossbars have no place on the chip, or None."""
    needed = len({spot.crossbar for spot in spots.values()})
    name = target.chip.name.value
    if needed > target.cores:
        return f"the model needs {needed} cores and target `{name}` has {target.cores}"
    by_column = Counter(_ties(wiring, spots).values())
    column, tied = max(by_column.items(), key=lambda item: item[1], default=(0, 0))
    if tied > target.grid.rows.value:
        return (
            f"the model needs {tied} cores wired to GDPU {column} and target `{name}` has "
            f"{target.grid.rows.value}"
        )
    return None


def _layers_by_crossbars(module: Module, spots: Mapping[int, Spot]) -> list[tuple[str, int]]:
    """Each layer with the number of crossbars that it lies on, most first."""
    found: dict[str, set[int]] = defaultdict(set)
    for index, spot in spots.items():
        found[module.ops[index].text("layer")].add(spot.crossbar)
    return sorted(((name, len(bars)) for name, bars in found.items()), key=lambda x: (-x[1], x[0]))


def _units(
    module: Module, wiring: Wiring, spots: Mapping[int, Spot], target: Target
) -> list[Unit | None]:
    """The GDPU or the crossbar (as a core) of each op that uses links, as far as it is settled."""
    made_on: dict[str, Unit] = {}
    units: list[Unit | None] = []
    for index, op in enumerate(module.ops):
        unit = None
        if index in spots:
            unit = Unit("core", 0, spots[index].crossbar)
        elif index in wiring.gdpus:
            unit = Unit("gdpu", 0, wiring.gdpus[index])
        elif runs_on(op, target) == CORE:
            unit = next((made_on[name] for name in op.operands if name in made_on), None)
        if unit is not None and unit.kind == "core":
            made_on.update(dict.fromkeys(op.results, unit))
        units.append(unit)
    return units


def placement_report(module: Module, target: Target) -> dict[str, Any]:
    """How a placed module lies on the chip, as JSON data.

    Returns:
        - `cores_used`, `cores_available`; `cells_used`, `cells_available` (of the cores in use).
        - `packed_cores`: for each core that holds several tiles its `core`, its `tiles` (layers),
          `mvms` (products per sample, which run one after another) and `longest` (those of the
          tile that has most, which is what a core of its own for each tile would take).
        - `bounds`: `cores`, and what `anacc_passes.floorplan.report.placement_bounds` gives, each
          with its `value`, a lower `bound` and its `meaning`.
    """
    tiles = [op for op in module.ops if op.kind == "tile"]
    sizes = [size_of(module, op) for op in tiles]
    by_core: dict[int, list[Op]] = defaultdict(list)
    for op in tiles:
        by_core[core_of(op)].append(op)
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    packed = []
    for core, members in sorted(by_core.items()):
        if len(members) > 1:
            products = [_products(module, op) for op in members]
            layers = [op.text("layer") for op in members]
            packed.append(
                {"core": core, "tiles": layers, "mvms": sum(products), "longest": max(products)}
            )
    return {
        "cores_used": len(by_core),
        "cores_available": target.cores,
        "cells_used": sum(op.integer("cells") for op in tiles),
        "cells_available": len(by_core) * rows * columns,
        "packed_cores": packed,
        "bounds": {
            "cores": {
                "value": len(by_core),
                "bound": lower_bound(sizes, rows, columns),
                "meaning": "cores in use; no packing of these tiles needs fewer than the bound",
            },
            **placement_bounds(module, target),
        },
    }


def core_of(op: Op) -> int:
    """The core of a placed tile."""
    return int(str(op.unit).rpartition(".")[2])


def _products(module: Module, op: Op) -> int:
    """Matrix-vector products of a tile per sample."""
    return channel(module, next(name for name in op.results if name)).tokens
