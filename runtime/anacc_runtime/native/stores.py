"""Lets the tokens of a channel be written right where their reader stores them in its buffer.

A bridge takes the tokens of a layer and stores them between the zeros of the padding, say.  Where
it does nothing else with them, and stores each token once and whole, the layer can write them
there itself.  Other readers of the channel then read them there, too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from anacc_runtime.native.accesses import Access, accesses, rewrite
from anacc_runtime.native.draft import Draft, DraftGroup, DraftLoop
from anacc_runtime.native.operations import Fill, Operand, Operation, Scatter
from anacc_runtime.native.storage import Offsets, Storage, indices


def store_directly(draft: Draft) -> None:
    """Remove the stores that are not needed, and change the addresses of the tokens."""
    stores: dict[tuple[int, int], list[DraftGroup]] = defaultdict(list)
    users: dict[int, list[DraftGroup]] = defaultdict(list)
    for group in draft.groups:
        if (store := _store(group)) is not None:
            stores[store.source.region, store.target.region].append(group)
        for storage in {access.operand.region for access in accesses(group, draft)}:
            users[storage].append(group)
    gone: set[int] = set()
    for (tokens, buffer), groups in stores.items():
        if tokens in gone or draft.storages[tokens].channel is not None or tokens == buffer:
            continue
        places = _places(groups, draft.storages[tokens])
        others = [group for group in users[tokens] if group not in groups]
        if places is not None and _addressable(others, tokens, places, draft):
            gone.add(tokens)
            for group in groups:
                group.body.clear()
            _hoist_fill(draft, users[buffer], others[0], buffer)
            _redirect(others, tokens, buffer, places, draft)
            users[buffer] = [group for group in draft.groups if group in (*users[buffer], *others)]
    draft.groups = [group for group in draft.groups if group.body]


class _Places:
    """Where each token of `size` bytes is in the buffer."""

    def __init__(self, size: int, offsets: Offsets) -> None:
        self.size = size
        self.offsets = offsets


def _store(group: DraftGroup) -> Scatter | None:
    """The store that is all that a group does, if it keeps the elements of a token together."""
    match group.body:
        case [Scatter(Operand(table=None), Operand(table=None), (), _) as store]:
            return store
    return None


def _places(groups: list[DraftGroup], tokens: Storage) -> _Places | None:
    """Where stores put the tokens of a storage; None unless they put each one somewhere, once."""
    found: list[tuple[Offsets, Offsets]] = []
    sizes = set()
    for group in groups:
        store = _store(group)
        if store is None:
            return None
        found.append(
            (
                indices((store.source.base, store.source.axes), group.axes),
                indices((store.target.base, store.target.axes), group.axes),
            )
        )
        sizes.add(store.element)
    (size, *others) = sizes
    if others or tokens.size % size:
        return None
    sources = np.concatenate([source for source, _ in found])
    if len(sources) != tokens.size // size or (sources % size).any():
        return None
    numbers = sources // size
    if np.bincount(numbers, minlength=len(numbers)).max() > 1:
        return None
    offsets = np.empty(len(numbers), np.int64)
    offsets[numbers] = np.concatenate([target for _, target in found])
    return _Places(size, offsets)


def _addressable(groups: list[DraftGroup], tokens: int, places: _Places, draft: Draft) -> bool:
    """Whether every access to the tokens stays within one, whose number axes alone decide."""
    return all(
        _within(access, places.size)
        for group in groups
        for access in accesses(group, draft)
        if access.operand.region == tokens
    )


def _within(access: Access, size: int) -> bool:
    operand = access.operand
    inside = operand.base % size
    return (
        operand.table is None
        and not any(operand.loops)
        and not any(stride % size for stride in operand.axes)
        and 0 <= inside + access.low
        and inside + access.high <= size
    )


def _hoist_fill(draft: Draft, users: list[DraftGroup], first: DraftGroup, buffer: int) -> None:
    """Let the buffer be filled before `first`, which writes the first token."""
    for group in draft.groups[draft.groups.index(first) :]:
        fills = [node for node in group.body if _fills(node, buffer)]
        if fills:
            group.body = [node for node in group.body if not _fills(node, buffer)]
            filling = DraftGroup((), fills)
            draft.groups.insert(draft.groups.index(first), filling)
            users.append(filling)
            return


def _fills(node: Operation | DraftLoop, buffer: int) -> bool:
    return isinstance(node, Fill) and node.target.region == buffer


def _redirect(
    groups: list[DraftGroup], tokens: int, buffer: int, places: _Places, draft: Draft
) -> None:
    """Address the tokens in the buffer."""
    for group in groups:
        axes = group.axes

        def change(operand: Operand, axes: tuple[int, ...] = axes) -> Operand:
            if operand.region != tokens:
                return operand
            number, inside = divmod(operand.base, places.size)
            strides = tuple(stride // places.size for stride in operand.axes)
            offsets = places.offsets[indices((number, strides), axes)]
            base, made, table = draft.address(offsets, axes)
            return replace(operand, region=buffer, base=base + inside, axes=made, table=table)

        rewrite(group.body, change)
