"""Give layers with many positions copies on cores that would be idle.

Before: chip ops without units.  After: the same, and the tiles of some layers are there several
times; each copy has a bridge stream that reads its own positions, and a `merge` puts the tokens
back into order.  No bit of any result changes.

1. `throughput`: as many copies of each layer as make the slowest stage of the pipeline as fast as
   can be found (`anacc_passes.sharing`; with a core for each tile, `anacc_passes.replication`,
   which is exact).
2. `latency`: the least time of a sample that goes through one layer after another, then the
   slowest stage, with a core for each tile; no copies where there are too few cores for that.
3. `area`, or nothing that is asked for: no copies.

Layers that recur through time have no copies: a step waits for the one before.  Nor have those that
feed a GDPU, to whose column of cores they are tied.  Each copy needs a bridge unit, so there are no
more copies of a layer than bridge units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anacc.errors import UsageError
from anacc.ir import Module
from anacc.ir.chip_ops import CELLS
from anacc.ir.chip_rules import channel
from anacc.targets import Target
from anacc_passes.copying import Group, with_copies
from anacc_passes.place import size_of
from anacc_passes.replication import Split, balance
from anacc_passes.sharing import Layer, Room, share
from anacc_passes.wiring import wire

OBJECTIVES = ("throughput", "latency", "area")


@dataclass(frozen=True)
class Replicate:
    """Chip to chip.

    Attributes:
        target: the chip.
        objective: one of `OBJECTIVES`, or None.
        packing: see `anacc_passes.place.Place`; with `never`, each tile has a core of its own.
    """

    target: Target
    objective: str | None = None
    packing: str = "auto"
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
        tied = wire(module, self.target).columns
        found, readers = groups(module), _readers(module)
        layers = [self._layer(module, group, tied, readers) for group in found]
        splits = self._splits(layers)
        if splits is None:
            return module
        chosen = {
            group: split.ways
            for group, split in zip(found, splits, strict=True)
            if split.copies > 1
        }
        return with_copies(module, chosen) if chosen else module

    def _layer(
        self,
        module: Module,
        group: Group,
        tied: Mapping[int, int],
        readers: Mapping[str, set[int]],
    ) -> Layer:
        """What the choice of copies must know of a layer."""
        free = not any(index in tied for index in group.tiles)
        free = free and _can_be_copied(module, group, readers)
        most = min(self.target.bridge.count.value, self.target.cores) if free else 1
        return Layer(
            group.counts,
            tuple(size_of(module, module.ops[index]) for index in group.tiles),
            max(1, most),
            tuple(tied.get(index) for index in group.tiles),
        )

    def _splits(self, layers: Sequence[Layer]) -> tuple[Split, ...] | None:
        """The copies of each layer, None where there are too few cores."""
        if self.objective == "throughput" and self.packing != "never":
            return share(layers, Room.of(self.target))
        stages = [layer.stage for layer in layers]
        latency = self.objective == "latency"
        return balance(stages, self.target.cores, latency_first=latency)


def groups(module: Module) -> list[Group]:
    """The layers of a module: runs of tiles that cut one matrix."""
    found: list[list[int]] = []
    seen: set[tuple[object, ...]] = set()
    for index, op in enumerate(module.ops):
        if op.kind != "tile":
            continue
        name = op.text("layer")
        region = (op.attributes["weight_rows"], op.attributes["weight_columns"])
        follows = found and found[-1][-1] == index - 1
        same = follows and module.ops[index - 1].text("layer") == name and region not in seen
        if not same:
            found.append([])
            seen = set()
        found[-1].append(index)
        seen.add(region)
    readers = _readers(module)
    makers = {name: index for index, op in enumerate(module.ops) for name in op.results if name}
    held = {part for each in module.held for parts in each.parts.values() for part in parts}
    return [_group(module, tiles, readers, makers, held) for tiles in found]


def _readers(module: Module) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for index, op in enumerate(module.ops):
        for name in op.operands:
            found.setdefault(name, set()).add(index)
    return found


def _group(
    module: Module,
    tiles: Sequence[int],
    readers: Mapping[str, set[int]],
    makers: Mapping[str, int],
    held: set[str],
) -> Group:
    """A group with its loops over positions: those of the gather that makes its windows, or one."""
    ops = [module.ops[index] for index in tiles]
    tokens = channel(module, next(name for name in ops[0].results if name)).tokens
    plain = Group(tuple(tiles), (tokens,) if tokens > 1 else ())
    sources = {name for op in ops for name in op.operands[5:]}
    origins = {makers[name] for name in sources}
    if len(origins) != 1:
        return plain
    (window,) = origins
    gather = module.ops[window]
    if (
        gather.kind != "gather"
        or gather.operands[0]  # scales of averages follow the order of tokens
        or set(gather.results) != sources
        or any(name in held or not readers[name] <= set(tiles) for name in sources)
    ):
        return plain
    counts = gather.nested("load")[0]
    return Group(tuple(tiles), counts, window) if counts else plain


def _can_be_copied(module: Module, group: Group, readers: Mapping[str, set[int]]) -> bool:
    """Whether positions do not depend on each other, and all that the tiles take and give is
    theirs alone."""
    tiles = [module.ops[index] for index in group.tiles]
    inside = {name for op in tiles for name in op.results if name}
    if any(op.attributes["recurrent"] is True for op in tiles):
        return False
    if any(op.operands[3] and op.operands[3] not in inside for op in tiles):
        return False
    partial = {op.operands[3] for op in tiles if op.operands[3]}
    outside = {
        (name, module.ops[reader].kind)
        for name in inside
        for reader in readers[name]
        if reader not in group.tiles
    }
    return not any(name in partial or kind in CELLS for name, kind in outside)
