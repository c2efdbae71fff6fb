"""Puts groups together whose positions do not touch each other's memory.

Then what one passes to the next never leaves the block at hand: the partial sums of a layer's row
tiles, or all that the streams of a recurrent layer pass to each other.
"""

from __future__ import annotations

from anacc_runtime.native.accesses import Access, accesses, slotted
from anacc_runtime.native.draft import Draft, DraftGroup


class _Touched:
    """The accesses of a group by storage."""

    def __init__(self, group: DraftGroup, draft: Draft) -> None:
        self.by_storage: dict[int, list[Access]] = {}
        self.add(group, draft)

    def add(self, group: DraftGroup, draft: Draft) -> None:
        for access in accesses(group, draft):
            self.by_storage.setdefault(access.operand.region, []).append(access)

    def conflicts(self, other: _Touched) -> list[int]:
        """Storages that both touch and one writes."""
        small, large = sorted((self.by_storage, other.by_storage), key=len)
        return [
            storage
            for storage in small
            if storage in large
            and any(access.written for access in (*small[storage], *large[storage]))
        ]

    def meets(self, other: _Touched) -> bool:
        """Whether both touch a storage."""
        return not self.by_storage.keys().isdisjoint(other.by_storage)


def merge(draft: Draft) -> None:
    """Append each group to the last one that it depends on, or to the one before it with which it
    shares inputs, where that has the same axes and no position depends on what another does."""
    kept: list[DraftGroup] = []
    touched: list[_Touched] = []
    for group in draft.groups:
        if not group.body:
            continue
        mine = _Touched(group, draft)
        found = _mergeable(group, mine, kept, touched, draft)
        if found is None:
            kept.append(group)
            touched.append(mine)
        else:
            kept[found].body.extend(group.body)
            touched[found].add(group, draft)
    draft.groups = kept


def _mergeable(
    group: DraftGroup,
    mine: _Touched,
    kept: list[DraftGroup],
    touched: list[_Touched],
    draft: Draft,
) -> int | None:
    """The group that takes another one, if any."""
    last = len(kept) - 1
    for position in reversed(range(len(kept))):
        other = touched[position]
        shared = mine.conflicts(other)
        same = kept[position].axes == group.axes
        # Samples never touch each other's memory; groups that read the same do well together.
        if position == last and same and (not group.axes or (not shared and mine.meets(other))):
            return position
        if not shared:
            continue
        if not same:
            return None
        aligned = not group.axes or all(
            slotted(access, draft.storages[storage], group.axes)
            for storage in shared
            for access in (*mine.by_storage[storage], *other.by_storage[storage])
        )
        return position if aligned else None
    return None
