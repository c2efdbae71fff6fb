"""The layers of a chip-level module: which tiles belong together, and what their positions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anacc.ir import Module
from anacc.ir.chip_ops import CELLS
from anacc.ir.chip_rules import channel


@dataclass(frozen=True)
class Group:
    """The tiles of one layer, by position in the module.

    Attributes:
        tiles: one after another.
        counts: rounds of the loops over positions, outermost first; () for a single position.
        window: position of the `gather` that makes their inputs and nothing else, which each copy
            then has of its own; None: tokens are selected from the channels as they are.
    """

    tiles: tuple[int, ...]
    counts: tuple[int, ...]
    window: int | None = None


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
    readers = readers_of(module)
    makers = {name: index for index, op in enumerate(module.ops) for name in op.results if name}
    held = {part for each in module.held for parts in each.parts.values() for part in parts}
    return [_group(module, tiles, readers, makers, held) for tiles in found]


def readers_of(module: Module) -> dict[str, set[int]]:
    """The positions of the ops that take each value."""
    found: dict[str, set[int]] = {}
    for index, op in enumerate(module.ops):
        for name in filter(None, op.operands):
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


def can_be_copied(module: Module, group: Group, readers: Mapping[str, set[int]]) -> bool:
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
