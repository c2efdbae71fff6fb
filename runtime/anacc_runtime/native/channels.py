"""The tokens of channels: in memory of their own, or windows of the buffer that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anacc.program.image import Image
from anacc_runtime.native.draft import Draft
from anacc_runtime.native.joints import Joint
from anacc_runtime.native.storage import (
    ITEM,
    Dims,
    Nest,
    Offsets,
    Reference,
    Storage,
    affine_strides,
    indices,
)
from anacc_runtime.plan import Affine


@dataclass(frozen=True, eq=False)
class WindowSend:
    """Sends of one instruction whose tokens lie in a buffer: token t of the nest is `source`."""

    nest: Nest
    token: Affine
    source: Reference

    @property
    def shape(self) -> tuple[Storage, Dims, int, int]:
        """What all sends of a channel must have in common to make it a view."""
        return self.source.storage, self.source.dims, self.source.first, self.source.length


@dataclass(frozen=True, eq=False)
class View:
    """A channel whose token t is the window `pattern`, offsets[t] bytes further."""

    pattern: Reference
    offsets: Offsets


@dataclass
class _Tokens:
    """What is known of a channel."""

    storage: Storage | None = None
    view: View | None = None
    windows: list[WindowSend] = field(default_factory=list)
    written: bool = False  # whether a token was stored


class Channels:
    """The channels of a phase.

    Args:
        image: the program.
        counts: tokens per sample of each channel.
        draft: where storages and operations go.
        outside: channels that enter or leave the phase; they are in arrays of the caller.
        feedback: channels of which a reader may be lowered before the writer.
        joints: of the channels that have one.
    """

    def __init__(
        self,
        image: Image,
        counts: tuple[int, ...],
        draft: Draft,
        outside: frozenset[int],
        feedback: frozenset[int],
        joints: dict[int, Joint],
    ) -> None:
        self._image = image
        self._joints = joints
        self._joint_storages: dict[Joint, Storage] = {}
        self._counts = counts
        self._draft = draft
        self._outside = outside
        self._feedback = feedback
        self._tokens: dict[int, _Tokens] = {}

    def target(self, channel: int, token: Affine, nest: Nest) -> Reference:
        """The token that a send appends in each iteration of its nest."""
        self._of(channel).written = True
        return self._token(self._storage(channel), channel, token)

    def source(self, channel: int, token: Affine, nest: Nest) -> Reference:
        """The token that a recv takes in each iteration of its nest."""
        view = self._of(channel).view
        if view is not None and any(nest.iterated):
            self._store(channel, view)
            view = None
        if view is None:
            return self._token(self._storage(channel), channel, token)
        offsets = view.offsets[indices(token, nest.counts)]
        pattern = view.pattern
        strides = affine_strides(offsets, nest.counts)
        base = pattern.base + int(offsets[0])
        return Reference(
            pattern.storage,
            pattern.item,
            pattern.length,
            pattern.base if strides is None else base,
            (0,) * len(nest.counts) if strides is None else strides,
            pattern.dims,
            pattern.first,
            offsets if strides is None else None,
        )

    def send_window(self, channel: int, token: Affine, nest: Nest, source: Reference) -> bool:
        """Let tokens stay in the buffer that they come from; whether that is possible."""
        if channel in self._outside or channel in self._feedback:
            return False
        # The loops between the load and the send change nothing.
        inner = (0,) * (len(nest.counts) - len(source.strides))
        source = replace(source, strides=(*source.strides, *inner))
        self._of(channel).windows.append(WindowSend(nest, token, source))
        return True

    def finish(self, channel: int) -> None:
        """Make a channel whose writer has ended a view, or store what was left in the buffer."""
        tokens = self._of(channel)
        windows = tokens.windows
        if not windows:
            return
        if tokens.written or any(each.shape != windows[0].shape for each in windows):
            for each in windows:
                self._draft.begin_group(each.nest)
                target = self.target(channel, each.token, each.nest)
                self._draft.copy(target, each.source, each.nest)
            return
        offsets = np.empty(self._counts[channel], np.int64)
        for each in windows:
            address = each.source.base, each.source.strides
            offsets[indices(each.token, each.nest.counts)] = indices(address, each.nest.counts)
        pattern = windows[0].source
        first = Reference(
            pattern.storage, pattern.item, pattern.length, 0, (), pattern.dims, pattern.first
        )
        tokens.view = View(first, offsets)

    def _store(self, channel: int, view: View) -> None:
        """Copy the tokens of a view to memory of their own, for a reader that needs that."""
        nest = Nest().enter(self._counts[channel], iterated=False, sequential=False)
        one = 0, (1,)
        self._of(channel).view = view
        source = self.source(channel, one, nest)
        with self._draft.aside(nest):
            self._draft.copy(self.target(channel, one, nest), source, nest)
        self._of(channel).view = None

    def _of(self, channel: int) -> _Tokens:
        return self._tokens.setdefault(channel, _Tokens())

    def _storage(self, channel: int) -> Storage:
        tokens = self._of(channel)
        if tokens.storage is None:
            tokens.storage = self._make_storage(channel)
            tokens.storage.nonnegative &= (
                channel not in self._outside and channel not in self._feedback
            )
        return tokens.storage

    def _make_storage(self, channel: int) -> Storage:
        size = self._layout(channel)[1] * self._counts[channel]
        joint = self._joints.get(channel)
        if joint is None:
            return self._draft.storage(size, channel if channel in self._outside else None)
        if joint not in self._joint_storages:
            self._joint_storages[joint] = self._draft.storage(size)
        return self._joint_storages[joint]

    def _layout(self, channel: int) -> tuple[int, int]:
        """Bytes from the start of the storage to the first token, and from one to the next."""
        joint = self._joints.get(channel)
        if joint is not None:
            return joint.offsets[joint.channels.index(channel)], joint.size
        kind = self._image.code.channels[channel]
        return 0, kind.token_size * ITEM[kind.format]

    def _token(self, storage: Storage, channel: int, token: Affine) -> Reference:
        kind = self._image.code.channels[channel]
        offset, step = self._layout(channel)
        base, strides = token
        return Reference(
            storage,
            ITEM[kind.format],
            kind.token_size,
            offset + base * step,
            tuple(stride * step for stride in strides),
        )
