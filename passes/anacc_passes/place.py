"""Give each stream a unit, and each tile its place on a crossbar.

Before: chip ops without units.  After: every op has a unit, every tile a `row` and a `column`;
tiles of one core and round do not overlap; where a core is wired only to the GDPU of its grid
column, a tile that feeds a GDPU lies in that column.  Ops of later rounds have a `round`, and where
several chips or rounds read the windows of a gather, each has a copy of it.  Nothing else changes.

0. Where one chip is not enough, ops are divided over chips and rounds
   (`anacc_passes.chips.divide`); each chip of each round then is placed by itself.
1. Ops of GDPUs get theirs, which ties the tiles that feed them to a column (`anacc_passes.wiring`).
2. Tiles share crossbars as the packing policy says (`Place.packing`).  Tiles on one core run one
   after another: sharing saves cores and costs time.
3. Crossbars get cores, with partial sums between neighbours (`anacc_passes.floorplan`).
4. What no GDPU computes and an LDPU does goes to the core where its operand is made, or the idlest.
5. Bridge units are dealt out in turn; borders and host segments are the host's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anacc.errors import CompileError, UsageError
from anacc.ir import Module, Op
from anacc.targets import Target
from anacc_passes.chips.divide import Pack, Packed, divide
from anacc_passes.chips.refusal import refusal
from anacc_passes.chips.windows import copied
from anacc_passes.floorplan import EFFORTS, floorplan
from anacc_passes.packing.crossbars import PACKINGS, packed, policies, size_of, ties
from anacc_passes.packing.rectangles import Spot
from anacc_passes.routing.traffic import Unit, traffic
from anacc_passes.units import CORE, GDPU
from anacc_passes.wiring import Wiring, runs_on, tied_groups, wire

_BRIDGE_KINDS = ("gather", "regroup", "merge")


@dataclass(frozen=True)
class Place:
    """Chip to placed chip.

    Attributes:
        target: the chip.
        packing: `never`: a core for each tile.  `always`: as few cores as packing finds.  `auto`:
            the blocks of a grouped layer share cores with each other, and tiles of at most half the
            rows and half the columns with each other; all others get a core of their own; if
            the chip has too few cores for that, as `always`.  `densest`: as `always`; layers have
            been cut for it (`anacc_passes.cut_layers`).
        effort: 0 to 3, how long to look for a better place of each crossbar; see
            `anacc_passes.floorplan`.
        seed: of the chance in that search.
        chips: how many chips there are at most; None: as many as it takes.
        reload: whether crossbars may be programmed anew, where the chips do not hold the model.
        pinned: whether the number of the crossbar of a tile that has one is that of its core.
        objective: with `throughput`, tiles share cores so that the slowest core does as little as
            is found (`anacc_passes.packing.loads`), unless `packing` is `never`.  With `latency`,
            they have cores of their own, or if there are too few, share as with `throughput`.
            With `area`, they share as with `always`.
    """

    target: Target
    packing: str = "auto"
    chips: int | None = 1
    reload: bool = False
    pinned: bool = False
    objective: str | None = None
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
            CompileError: if the chips have too few cores, or lack a kind of unit.
        """
        if self.chips == 1 and not self.reload:
            return replace(module, ops=tuple(self._placed(module, 0)))
        division = divide(module, self.target, self._pack(module), self.chips, self.reload)
        if division is None:
            spots, _ = packed(module, self.target, self._ways, Wiring({}, {}))
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

    @property
    def _ways(self) -> list[str]:
        return policies(self.packing, self.objective)

    def _pack(self, module: Module) -> Pack:
        """How the tiles of some ops lie on crossbars, and whether a chip has as many."""

        def pack_some(members: Sequence[int]) -> Packed:
            inner = replace(module, ops=tuple(module.ops[index] for index in members))
            alone = [index for index in members if module.ops[index].kind == "tile"]
            if len(alone) <= self.target.cores and not tied_groups(inner.ops, self.target):
                # A core for each will do.
                return Packed({tile: tile for tile in alone}, dict.fromkeys(alone, 1), True)
            spots, reason = packed(inner, self.target, self._ways, wire(inner, self.target))
            sizes = {tile: size_of(inner, inner.ops[tile]) for tile in spots}
            return Packed(
                {members[tile]: spot.crossbar for tile, spot in spots.items()},
                {members[tile]: size.rows * size.columns for tile, size in sizes.items()},
                reason is None,
            )

        return pack_some

    def _placed(self, module: Module, chip: int) -> list[Op]:
        """The ops of one chip with their units."""
        wiring = wire(module, self.target, self.pinned)
        spots, reason = packed(module, self.target, self._ways, wiring)
        if reason is not None:
            raise refusal(module, self.target, spots, reason, self.packing)
        if self.pinned:
            cores = _pinned(module, self.target, wiring, spots)
        else:
            spots, count = _numbered(spots)
            where = _units(module, wiring, spots, self.target)
            exchanged = traffic(module, self.target, where, count)
            found = floorplan(self.target, exchanged, self.effort, self.seed)
            cores = dict(enumerate(found))
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


def _numbered(spots: Mapping[int, Spot]) -> tuple[dict[int, Spot], int]:
    """The same places on crossbars that are numbered without gaps, and how many these are."""
    numbers = {bar: n for n, bar in enumerate(sorted({spot.crossbar for spot in spots.values()}))}
    renamed = {i: replace(spot, crossbar=numbers[spot.crossbar]) for i, spot in spots.items()}
    return renamed, len(numbers)


def _pinned(
    module: Module, target: Target, wiring: Wiring, spots: Mapping[int, Spot]
) -> dict[int, int]:
    """The core of each crossbar: its own number where tiles are settled, else a free one, in order.

    The crossbars of settled tiles are cores of the target, and fit the wiring.  There is a free
    core for each of the others: crossbars that are tied to a grid column, settled ones among them,
    are no more than its rows (`anacc_passes.packing.crossbars`), and come first.
    """
    fixed = {
        spot.crossbar for index, spot in spots.items() if "crossbar" in module.ops[index].attributes
    }
    tied = ties(wiring, spots)
    free = [core for core in range(target.cores) if core not in fixed]
    cores = {core: core for core in fixed}
    others = {spot.crossbar for spot in spots.values()} - fixed
    for bar in sorted(others, key=lambda bar: (bar not in tied, bar)):
        cores[bar] = next(
            c for c in free if tied.get(bar, target.column_of(c)) == target.column_of(c)
        )
        free.remove(cores[bar])
    return cores


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
