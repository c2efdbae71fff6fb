"""How many samples a thread should have in work at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from anacc_runtime._kernel import BLOCK
from anacc_runtime.native.operations import Body, Loop, RegionKind, Schedule, TileCall
from anacc_runtime.native.tiles import TileSpec

# Bytes of the samples in work, so that what one layer leaves for the next stays in the caches.
CACHE = 4 * 2**20

# A group with less than this part of all multiply-adds does not count.
SHARE = 0.05


def capacity(schedule: Schedule, tiles: Sequence[TileSpec], memory: int) -> int:
    """As many samples as fit in the caches, but enough that groups have whole blocks of positions,
    so that weights are read often enough from the nearest cache; a recurrence has one position for
    each sample.

    Args:
        schedule: the operations.
        tiles: those that it calls.
        memory: bytes that the samples may have in all; one sample may have more.
    """
    size = bytes_per_sample(schedule)
    positions = [prod(group.axes) for group in schedule.groups]
    work = [
        count * _multiply_adds(group.body, tiles)
        for count, group in zip(positions, schedule.groups, strict=True)
    ]
    heavy = [
        count for count, share in zip(positions, work, strict=True) if share > SHARE * sum(work)
    ]
    wanted = -(-BLOCK // min(heavy, default=BLOCK))
    return max(1, min(memory // size, max(wanted, CACHE // size)))


def bytes_per_sample(schedule: Schedule) -> int:
    """Bytes of the arena that a sample needs, at least 1."""
    arena = (r for r in schedule.regions if r.kind is RegionKind.ARENA)
    return max((region.offset + region.size for region in arena), default=1)


def _multiply_adds(body: Body, tiles: Sequence[TileSpec]) -> int:
    """Multiply-adds of the tiles for one position."""
    total = 0
    for node in body:
        if isinstance(node, Loop):
            total += node.count * _multiply_adds(node.body, tiles)
        elif isinstance(node, TileCall):
            total += tiles[node.tile].codes.size
    return total
