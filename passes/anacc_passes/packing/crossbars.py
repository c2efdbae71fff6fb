"""Which tiles share which crossbar, and where each lies on it.

Tiles on one core run one after another: sharing saves cores and costs time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import networkx as nx

from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel
from anacc.targets import Target
from anacc_passes.packing.loads import Item, Room, pack_balanced
from anacc_passes.packing.rectangles import Rect, Spot, pack
from anacc_passes.wiring import Wiring

PACKINGS = ("auto", "always", "never", "densest")


def policies(packing: str, objective: str | None) -> list[str]:
    """Ways to share crossbars, of which the first is taken that the chip has enough cores for.

    Args:
        packing: see `anacc_passes.place.Place`.
        objective: one of `anacc_passes.replicate.OBJECTIVES`, or None.
    """
    if objective == "area" or packing == "densest":
        return ["always"]
    if objective == "throughput" and packing != "never":
        return ["balanced", "always"]
    if objective == "latency" and packing == "auto":
        return ["never", "balanced", "always"]
    return ["auto", "always"] if packing == "auto" else [packing]


def packed(
    module: Module, target: Target, ways: Sequence[str], wiring: Wiring
) -> tuple[dict[int, Spot], str | None]:
    """The place of each tile (by position of the op) on crossbars that are not yet cores, and why
    one chip has no place for them, if so.

    Args:
        module: chip level; tiles may be settled on numbered crossbars.
        target: the chip.
        ways: see `policies`.
        wiring: which tiles are tied to grid columns.
    """
    tiles = [index for index, op in enumerate(module.ops) if op.kind == "tile"]
    settled = {
        index: Spot(*(module.ops[index].integer(name) for name in ("crossbar", "row", "column")))
        for index in tiles
        if "crossbar" in module.ops[index].attributes
    }
    tiles = [index for index in tiles if index not in settled]
    spots: dict[int, Spot] = {}
    reason: str | None = None
    for way in ways:
        if way == "balanced":
            found = None if settled else _balanced(module, target, wiring, tiles)
            if found is None:
                continue
            spots = found
        else:
            pools = _pools(module, target, tiles, way)
            spots = _packed(module, target, wiring, pools, settled, way == "always")
        reason = _overflow(target, wiring, spots)
        if reason is None:
            break
    return spots, reason


def size_of(module: Module, op: Op) -> Rect:
    """The cells of a tile."""
    rows, columns = module.tensor(op.operands[0]).dims
    return Rect(rows, columns)


def _balanced(
    module: Module, target: Target, wiring: Wiring, tiles: Sequence[int]
) -> dict[int, Spot] | None:
    """Places that let the slowest core do as little as is found, if there are any."""
    items = [
        Item(
            size_of(module, module.ops[index]),
            products_of(module, module.ops[index]),
            wiring.columns.get(index),
        )
        for index in tiles
    ]
    found = pack_balanced(items, Room.of(target))
    return None if found is None else dict(zip(tiles, found[0], strict=True))


def _pools(module: Module, target: Target, tiles: Sequence[int], policy: str) -> list[list[int]]:
    """Which tiles may share crossbars: each pool with itself only."""
    if policy == "always":
        return [list(tiles)] if tiles else []
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
    module: Module,
    target: Target,
    wiring: Wiring,
    pools: Sequence[Sequence[int]],
    settled: Mapping[int, Spot],
    shared: bool,
) -> dict[int, Spot]:
    """Pack each pool; `shared`: crossbars where tiles are settled have room for others too."""
    spots = dict(settled)
    taken = [
        (spot, size_of(module, module.ops[i]), wiring.columns.get(i))
        for i, spot in settled.items()
        if shared
    ]
    first = 0 if taken else 1 + max((spot.crossbar for spot in settled.values()), default=-1)
    for pool in pools:
        if len(pool) == 1 and not taken:
            spots[pool[0]] = Spot(first, 0, 0)
            first += 1
            continue
        found = pack(
            [size_of(module, module.ops[index]) for index in pool],
            target.crossbar.rows.value,
            target.crossbar.columns.value,
            [wiring.columns.get(index) for index in pool],
            target.grid.rows.value,
            taken,
        )
        for index, spot in zip(pool, found, strict=True):
            spots[index] = replace(spot, crossbar=first + spot.crossbar)
        first = 1 + max(spot.crossbar for spot in spots.values())
    return spots


def ties(wiring: Wiring, spots: Mapping[int, Spot]) -> dict[int, int]:
    """The grid column of each crossbar that is tied to one."""
    return {spots[index].crossbar: column for index, column in wiring.columns.items()}


def _overflow(target: Target, wiring: Wiring, spots: Mapping[int, Spot]) -> str | None:
    """Why the crossbars have no place on the chip, or None."""
    needed = len({spot.crossbar for spot in spots.values()})
    name = target.chip.name.value
    if needed > target.cores:
        return f"the model needs {needed} cores and target `{name}` has {target.cores}"
    by_column = Counter(ties(wiring, spots).values())
    column, tied = max(by_column.items(), key=lambda item: item[1], default=(0, 0))
    if tied > target.grid.rows.value:
        return (
            f"the model needs {tied} cores wired to GDPU {column} and target `{name}` has "
            f"{target.grid.rows.value}"
        )
    return None


def products_of(module: Module, op: Op) -> int:
    """Matrix-vector products of a tile per sample."""
    return channel(module, next(name for name in op.results if name)).tokens
