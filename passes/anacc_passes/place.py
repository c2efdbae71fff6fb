"""Give each stream a unit, and each tile its place on a crossbar.

Before: chip ops without units.  After: every op has a unit, every tile a `row` and a `column`;
tiles of one core and round do not overlap; where a core is wired only to the GDPU of its grid
column, a tile that feeds a GDPU lies in that column.  Ops of later rounds have a `round`, and where
several chips or rounds read the windows of a gather, each has a copy of it.  Nothing else changes.

0. Where one chip is not enough, ops are divided over chips and rounds (`anacc_passes.chips`); each
   chip of each round then is placed by itself.
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
from anacc_passes.chips import Pack, Packed, divide
from anacc_passes.floorplan import Grid, Pull, Traffic, Transfer, floorplan
from anacc_passes.packing import Rect, Spot, lower_bound, pack
from anacc_passes.refusal import refusal
from anacc_passes.route import chip_of, chips_of, round_of
from anacc_passes.units import CORE, GDPU
from anacc_passes.windows import copied
from anacc_passes.wiring import Wiring, runs_on, tied_groups, wire

PACKINGS = ("auto", "always", "never")

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
        chips: how many chips there are at most; None: as many as it takes.
        reload: whether crossbars may be programmed anew, where the chips do not hold the model.
    """

    target: Target
    packing: str = "auto"
    chips: int | None = 1
    reload: bool = False
    name = "place"

    def __post_init__(self) -> None:
        if self.packing not in PACKINGS:
            raise UsageError(
                f"there is no packing `{self.packing}`",
                f"choose one of {', '.join(f'`{name}`' for name in PACKINGS)}",
            )

    def __call__(self, module: Module) -> Module:
        """Place every op.

        Raises:
            CompileError: if the chips have too few cores, or lack a kind of unit.
        """
        if self.chips == 1 and not self.reload:
            return replace(module, ops=tuple(self._placed(module, 0)))
        division = divide(module, self.target, self._pack(module), self.chips, self.reload)
        if division is None:
            spots, _ = _packing(module, self.target, self.packing, Wiring({}, {}))
            how = self.packing, self.chips, self.reload
            raise refusal(module, self.target, spots, None, *how)
        parts: dict[tuple[int, int], list[int]] = defaultdict(list)
        module, sites = copied(module, division.sites)
        for index, site in enumerate(sites):
            parts[site].append(index)
        placed = list(module.ops)
        for (number, chip), members in parts.items():
            inner = replace(module, ops=tuple(module.ops[index] for index in members))
            for index, op in zip(members, self._placed(inner, chip), strict=True):
                added = {"round": number} if number else {}
                placed[index] = replace(op, attributes={**op.attributes, **added})
        return replace(module, ops=tuple(placed))

    def _pack(self, module: Module) -> Pack:
        """How the tiles of some ops lie on crossbars, and whether a chip has as many."""

        def pack_some(members: Sequence[int]) -> Packed:
            inner = replace(module, ops=tuple(module.ops[index] for index in members))
            alone = [index for index in members if module.ops[index].kind == "tile"]
            if len(alone) <= self.target.cores and not tied_groups(inner.ops, self.target):
                # A core for each will do.
                return Packed({tile: tile for tile in alone}, dict.fromkeys(alone, 1), True)
            spots, reason = _packing(inner, self.target, self.packing, wire(inner, self.target))
            sizes = {tile: size_of(inner, inner.ops[tile]) for tile in spots}
            return Packed(
                {members[tile]: spot.crossbar for tile, spot in spots.items()},
                {members[tile]: size.rows * size.columns for tile, size in sizes.items()},
                reason is None,
            )

        return pack_some

    def _placed(self, module: Module, chip: int) -> list[Op]:
        """The ops of one chip with their units."""
        wiring = wire(module, self.target)
        spots, reason = _packing(module, self.target, self.packing, wiring)
        if reason is not None:
            raise refusal(module, self.target, spots, reason, self.packing)
        cores = floorplan(self.target, _traffic(module, self.target, wiring, spots))
        placed = []
        bridged = 0
        units: dict[str, str] = {}  # where each value is made
        load: Counter[str] = Counter()  # streams of each unit
        for index, op in enumerate(module.ops):
            if op.kind == "tile":
                spot = spots[index]
                unit = f"core {chip}.{cores[spot.crossbar]}"
                op = replace(
                    op, attributes={**op.attributes, "row": spot.row, "column": spot.column}
                )
            elif runs_on(op, self.target) == GDPU:
                unit = f"gdpu {chip}.{wiring.gdpus[index]}"
            elif runs_on(op, self.target) == CORE:
                unit = f"core {chip}.{self._ldpu(op, units, load)}"
            elif op.kind == "pointwise":
                node = op.origins[0] if op.origins else op.kind
                raise CompileError(
                    f"node `{node}` needs {op.text('function')} and no unit of the target has it",
                    "add it to `gdpu.functions` in a target file and give it with --target",
                )
            elif op.kind in _BRIDGE_KINDS:
                unit = f"bridge {chip}.{self._bridge(bridged, op)}"
                bridged += 1
            else:
                unit = "host 0.0"
            load[unit] += 1
            units.update(dict.fromkeys(op.results, unit))
            placed.append(replace(op, unit=unit))
        return placed

    def _ldpu(self, op: Op, units: Mapping[str, str], load: Counter[str]) -> int:
        """The core whose LDPU computes an op: where an operand is made, or the idlest."""
        for name in op.operands:
            if units.get(name, "").startswith("core "):
                return int(units[name].rpartition(".")[2])
        busy = Counter({int(unit.rpartition(".")[2]): streams for unit, streams in load.items()
                        if unit.startswith("core ")})  # fmt: skip
        return min(range(self.target.cores), key=lambda core: (busy[core], core))

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


def _packing(
    module: Module, target: Target, packing: str, wiring: Wiring
) -> tuple[dict[int, Spot], str | None]:
    """The place of each tile (by position of the op) on crossbars that are not yet cores, and why
    one chip has no place for them, if so."""
    tiles = [index for index, op in enumerate(module.ops) if op.kind == "tile"]
    policies = {"never": ["never"], "always": ["always"], "auto": ["auto", "always"]}[packing]
    spots: dict[int, Spot] = {}
    reason = None
    for policy in policies:
        spots = _packed(module, target, wiring, _pools(module, target, tiles, policy))
        reason = _overflow(target, wiring, spots)
        if reason is None:
            break
    return spots, reason


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
        if len(pool) == 1:
            spots[pool[0]] = Spot(first, 0, 0)
            first += 1
            continue
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


def _traffic(module: Module, target: Target, wiring: Wiring, spots: Mapping[int, Spot]) -> Traffic:
    """What crossbars exchange with each other and get from GDPUs."""
    makers = {name: i for i, op in enumerate(module.ops) for name in op.results if name}
    count = 1 + max((spot.crossbar for spot in spots.values()), default=-1)
    ties = _ties(wiring, spots)
    chain_of: dict[int, list[int]] = {}
    transfers: Counter[tuple[int, int, bool]] = Counter()
    pulls: Counter[tuple[int, int]] = Counter()
    for index, spot in spots.items():
        op = module.ops[index]
        for position, name in enumerate(op.operands):
            maker = makers.get(name)
            if maker is None:
                continue
            kind = channel(module, name)
            values = kind.tokens * kind.token_size
            if maker in wiring.gdpus and target.gdpu.wiring.value == "column":
                pulls[spot.crossbar, wiring.gdpus[maker]] += values
            elif maker in spots and spots[maker].crossbar != spot.crossbar:
                transfers[spots[maker].crossbar, spot.crossbar, position == 3] += values
    for index in sorted(spots):
        before = makers.get(module.ops[index].operands[3])
        chain = chain_of[before] if before in chain_of else []
        chain.append(spots[index].crossbar)
        chain_of[index] = chain
    chains = {id(chain): chain for chain in chain_of.values()}
    return Traffic(
        [ties.get(bar) for bar in range(count)],
        list(chains.values()),
        [Transfer(a, b, values, partial) for (a, b, partial), values in transfers.items()],
        [Pull(bar, column, values) for (bar, column), values in pulls.items()],
    )


def placement_report(module: Module, target: Target) -> dict[str, Any]:
    """How a placed module lies on the chip, as JSON data.

    Returns:
        - `cores_used`, `cores_available`; `cells_used`, `cells_available` (of the cores in use).
        - `packed_cores`: for each core that holds several tiles its `core`, its `tiles` (layers),
          `mvms` (products per sample, which run one after another) and `longest` (those of the
          tile that has most, which is what a core of its own for each tile would take).
        - `bounds`: `cores` and `partial_sum_hops` (links that partial sums cross, a transfer
          counted once however many values it carries), each with its `value`, a lower `bound` and
          its `meaning`.
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
            products = [_products(module, op) for op in members]
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
    grid, makers = Grid(target), module.producers()
    pairs = [
        (core_of(makers[op.operands[3]]), core_of(op))
        for op in tiles
        if op.operands[3] and _together(makers[op.operands[3]], op)
    ]
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
                "meaning": "cores in use; no packing of these tiles needs fewer than the bound",
            },
            "partial_sum_hops": {
                "value": sum(grid.distance(source, core) for source, core in pairs),
                "bound": sum(source != core for source, core in pairs),
                "meaning": "links that partial sums cross; one for each pair of cores is least",
            },
        },
    }


def _together(op: Op, other: Op) -> bool:
    """Whether two tiles are on the same chip in the same round."""
    return (chip_of(op), round_of(op)) == (chip_of(other), round_of(other))


def core_of(op: Op) -> int:
    """The core of a placed tile."""
    return int(str(op.unit).rpartition(".")[2])


def _products(module: Module, op: Op) -> int:
    """Matrix-vector products of a tile per sample."""
    return channel(module, next(name for name in op.results if name)).tokens
