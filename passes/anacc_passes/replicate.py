"""Give layers with many positions copies on cores that would be idle.

Before: chip ops without units.  After: the same, and the tiles of some layers are there several
times; each copy has a bridge stream that reads its own positions, and a `merge` puts the tokens
back into order.  No bit of any result changes.

1. `throughput`: as many copies of each layer as make the slowest stage of the pipeline as fast as
   can be found (`anacc_passes.copies.sharing`; with a core for each tile,
   `anacc_passes.copies.replication`, which is exact).
2. `latency`: the least time of a sample that goes through one layer after another, then the
   slowest stage: exactly with a core for each tile, unless what `throughput` finds on shared
   cores is faster.
3. `area`, or nothing that is asked for: no copies.

Layers that recur through time have no copies: a step waits for the one before.  Nor have those that
feed a GDPU, to whose column of cores they are tied.  Each copy needs a bridge unit, so there are no
more copies of a layer than bridge units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anacc.errors import UsageError
from anacc.ir import Module
from anacc.ir.chip_rules import replica
from anacc.targets import Target
from anacc_passes.copies.copying import with_copies
from anacc_passes.copies.grouping import can_be_copied, groups, readers_of
from anacc_passes.copies.replication import Split, balance
from anacc_passes.copies.sharing import Layer, serial_time, share
from anacc_passes.packing.crossbars import size_of
from anacc_passes.packing.loads import Room
from anacc_passes.wiring import wire

OBJECTIVES = ("throughput", "latency", "area")


@dataclass(frozen=True)
class Replicate:
    """Chip to chip.

    Attributes:
        target: the chip.
        objective: one of `OBJECTIVES`, or None.
        packing: see `anacc_passes.place.Place`; with `never`, each tile has a core of its own.
        chips: how many chips there are; their cores are taken as one.
    """

    target: Target
    objective: str | None = None
    packing: str = "auto"
    chips: int = 1
    name = "replicate"

    def __post_init__(self) -> None:
        if self.objective not in (None, *OBJECTIVES):
            raise UsageError(
                f"there is no objective `{self.objective}`",
                f"choose one of {', '.join(f'`{name}`' for name in OBJECTIVES)}",
            )

    def __call__(self, module: Module) -> Module:
        """Copy layers."""
        if self.objective not in ("throughput", "latency"):
            return module
        if any("crossbar" in op.attributes for op in module.ops if op.kind == "tile"):
            return module  # cells are settled, and all are needed
        found = groups(module)
        splits = self._splits(layers_of(module, self.target))
        if splits is None:
            return module
        chosen = {
            group: split.ways
            for group, split in zip(found, splits, strict=True)
            if split.copies > 1
        }
        return with_copies(module, chosen) if chosen else module

    def _splits(self, layers: Sequence[Layer]) -> tuple[Split, ...] | None:
        """The copies of each layer, None where there are too few cores."""
        room = Room.of(self.target, self.target.cores * self.chips)
        stages = [layer.stage for layer in layers]
        shared = share(layers, room) if self.packing != "never" else None
        if self.objective == "throughput" and self.packing != "never":
            return shared
        apart = balance(stages, room.cores, latency_first=self.objective == "latency")
        if shared is None or apart is None:
            return shared or apart
        time = serial_time(layers, shared, room)
        faster = time is not None and time < sum(split.positions for split in apart)
        return shared if faster else apart


def layers_of(module: Module, target: Target) -> list[Layer]:
    """The layers as the choice of copies sees them; those that have copies already as one each.

    Args:
        module: chip level; placed or not.
        target: the chip.
    """
    tied, readers = wire(module, target).columns, readers_of(module)
    found = []
    for group in groups(module):
        tiles = [module.ops[index] for index in group.tiles]
        outside = {
            reader for op in tiles for name in op.results for reader in readers.get(name, ())
        }
        merge = next(
            (op for op in map(module.ops.__getitem__, outside) if op.kind == "merge"), None
        )
        if merge is not None and replica(tiles[0]):
            continue
        free = not any(index in tied for index in group.tiles)
        free = free and can_be_copied(module, group, readers)
        most = min(target.bridge.count.value, target.cores) if free else 1
        found.append(
            Layer(
                group.counts if merge is None else merge.integers("counts"),
                tuple(size_of(module, op) for op in tiles),
                max(1, most),
                tuple(tied.get(index) for index in group.tiles),
            )
        )
    return found
