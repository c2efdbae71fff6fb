"""Decides where each storage is, and rewrites all addresses for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from anacc_runtime.native.accesses import Access, accesses, rewrite, slotted
from anacc_runtime.native.draft import CONSTANTS16, CONSTANTS32, Draft, DraftLoop
from anacc_runtime.native.operations import (
    Body,
    Group,
    Loop,
    Operand,
    Operation,
    Region,
    RegionKind,
    Schedule,
)
from anacc_runtime.native.storage import Storage

ALIGNMENT = 64

# Bytes of one storage, and of all storages of a group, for a position, above which memory for a
# block's positions would not stay in the caches.
MAX_LOCAL = 1 << 14
MAX_LOCAL_GROUP = 1 << 16


@dataclass(frozen=True)
class _Plan:
    """Where a storage is, and how addresses in it change.

    Attributes:
        kind: the kind of its region.
        size: bytes of the region.
        drop_axes: whether each position has a region of its own, so that axes change nothing.
        start: bytes of the storage that the region leaves out in front.
        drop_loops: whether all iterations of the loops use the same memory.
    """

    kind: RegionKind
    size: int
    drop_axes: bool = False
    start: int = 0
    drop_loops: bool = False

    def apply(self, operand: Operand, region: int) -> Operand:
        """An address in the storage as one in its region."""
        return replace(
            operand,
            region=region,
            base=operand.base - self.start,
            loops=(0,) * len(operand.loops) if self.drop_loops else operand.loops,
            axes=(0,) * len(operand.axes) if self.drop_axes else operand.axes,
        )


def layout(draft: Draft, constants: tuple[int, int]) -> tuple[Schedule, tuple[int, ...]]:
    """Give every storage a region.

    Args:
        draft: the groups as they are to run.
        constants: bytes of the binary16 and of the binary32 constants.

    Returns:
        The schedule, and the channels in arrays of the caller, in the order of these arrays.
    """
    outside: list[int] = []
    uses: dict[int, list[tuple[int, Access]]] = defaultdict(list)
    for number, group in enumerate(draft.groups):
        for access in accesses(group, draft):
            uses[access.operand.region].append((number, access))
    regions = [
        Region(RegionKind.CONSTANTS16, constants[0], 0),
        Region(RegionKind.CONSTANTS32, constants[1], 0),
    ]
    plans = {
        CONSTANTS16: (_Plan(RegionKind.CONSTANTS16, constants[0]), 0),
        CONSTANTS32: (_Plan(RegionKind.CONSTANTS32, constants[1]), 1),
    }
    arena = _Arena()
    local: dict[int, int] = defaultdict(int)  # bytes of each group
    for storage in draft.storages:
        used = uses[storage.number]
        if not used:
            continue
        groups = {number for number, _ in used}
        axes = draft.groups[min(groups)].axes
        space = MAX_LOCAL_GROUP - local[min(groups)] if len(groups) == 1 else 0
        chosen = _plan(storage, [access for _, access in used], axes, min(space, MAX_LOCAL))
        if chosen.kind is RegionKind.EXTERNAL and storage.channel is not None:
            offset = len(outside)
            outside.append(storage.channel)
        elif chosen.kind is RegionKind.LOCAL:
            offset = local[min(groups)]
            local[min(groups)] += chosen.size
        else:
            offset = arena.place(chosen.size, min(groups), max(groups))
        plans[storage.number] = chosen, len(regions)
        regions.append(Region(chosen.kind, chosen.size, offset))

    def change(operand: Operand) -> Operand:
        chosen, region = plans[operand.region]
        return chosen.apply(operand, region)

    for group in draft.groups:
        rewrite(group.body, change)
    groups_made = tuple(Group(group.axes, _body(group.body)) for group in draft.groups)
    return Schedule(tuple(regions), tuple(draft.tables), groups_made), tuple(outside)


def _plan(storage: Storage, used: list[Access], axes: tuple[int, ...], space: int) -> _Plan:
    """Where a storage is to be: with the positions of the only group that uses it, if it can.

    Args:
        storage: it.
        used: all accesses to it.
        axes: of the first group that has some.
        space: bytes that it may take for a position; 0 where several groups use it.
    """
    if storage.channel is not None:
        return _Plan(RegionKind.EXTERNAL, storage.size)
    if space and axes and all(slotted(access, storage, axes) for access in used):
        size = _aligned(storage.size // prod(axes))
        if size <= space:
            return _Plan(RegionKind.LOCAL, size, drop_axes=True)
    if space and not axes:
        start, end = _iteration(used) or (0, storage.size)
        size = _aligned(end - start)
        if size <= space:
            whole = (start, end) == (0, storage.size)
            return _Plan(RegionKind.LOCAL, size, start=start, drop_loops=not whole)
    return _Plan(RegionKind.ARENA, _aligned(storage.size))


def _iteration(used: list[Access]) -> tuple[int, int] | None:
    """The bytes that the first iteration of a loop touches, where all accesses stand in one loop
    and no iteration touches what another does.

    The operations of an iteration write a token before they read it, so all iterations can then use
    the same memory.
    """
    loops, strides = used[0].loops, used[0].operand.loops
    if any(access.loops != loops or access.operand.loops != strides for access in used):
        return None
    start = min(access.operand.base + access.low for access in used)
    end = max(access.operand.base + access.high for access in used)
    if len(loops) != 1 or end - start > abs(strides[0]):
        return None
    return start, end


class _Arena:
    """Memory that storages share whose lives do not meet."""

    def __init__(self) -> None:
        self._placed: list[tuple[int, int, int, int]] = []  # offset, end, first and last group

    def place(self, size: int, first: int, last: int) -> int:
        """The lowest offset at which `size` bytes are free from group `first` to group `last`."""
        offset = 0
        for start, end, begin, finish in sorted(self._placed):
            if begin <= last and first <= finish:
                if offset + size <= start:
                    break
                offset = max(offset, end)
        self._placed.append((offset, offset + size, first, last))
        return offset


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _body(body: Sequence[Operation | DraftLoop]) -> Body:
    return tuple(
        Loop(node.count, _body(node.body)) if isinstance(node, DraftLoop) else node for node in body
    )
