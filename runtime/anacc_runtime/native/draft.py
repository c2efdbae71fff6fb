"""The schedule while it is being made: operations whose operands name storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

import numpy as np

from anacc_runtime.native.operations import Gather, Operand, Operation
from anacc_runtime.native.storage import (
    Nest,
    Offsets,
    Reference,
    Storage,
    affine_strides,
)
from anacc_runtime.native.tiles import TileSpec

# In the place of a storage's number: the constants of the program.
CONSTANTS16, CONSTANTS32 = -1, -2


@dataclass(eq=False)
class DraftLoop:
    """A loop whose body grows."""

    count: int
    body: list[Operation | DraftLoop] = field(default_factory=list)


@dataclass(eq=False)
class DraftGroup:
    """A group whose body grows."""

    axes: tuple[int, ...]
    body: list[Operation | DraftLoop] = field(default_factory=list)


class Draft:
    """Groups, storages, tables and tiles of a phase, in the order in which streams make them."""

    def __init__(self) -> None:
        self.groups: list[DraftGroup] = []
        self.storages: list[Storage] = []
        self.tables: list[Offsets] = []
        self.tiles: list[TileSpec] = []
        self._loops: list[DraftLoop] = []
        self._numbers: dict[bytes, int] = {}

    def storage(self, size: int, channel: int | None = None) -> Storage:
        """A new storage."""
        made = Storage(len(self.storages), size, channel)
        self.storages.append(made)
        return made

    def begin_group(self, nest: Nest) -> None:
        """Let the operations that follow be a group of their own, unless they are in a loop."""
        if not self._loops:
            self.groups.append(DraftGroup(nest.axes))

    @contextmanager
    def loop(self, count: int) -> Iterator[None]:
        """Operations that are emitted inside repeat."""
        made = DraftLoop(count)
        self._body().append(made)
        self._loops.append(made)
        yield
        self._loops.pop()

    @contextmanager
    def aside(self, nest: Nest) -> Iterator[None]:
        """Operations that are emitted inside are a group that goes ahead of the one at hand."""
        loops, self._loops = self._loops, []
        here = self.groups.pop()
        self.begin_group(nest)
        yield
        self.groups.append(here)
        self._loops = loops

    def emit(self, operation: Operation) -> None:
        """Append an operation to the loop or group at hand."""
        self._body().append(operation)

    def _body(self) -> list[Operation | DraftLoop]:
        return self._loops[-1].body if self._loops else self.groups[-1].body

    def operand(self, reference: Reference, nest: Nest) -> Operand:
        """The address of a reference in the nest in which it was made, or one further in."""
        loops, axes = nest.split(reference.strides)
        table = None
        if reference.table is not None:
            # Axes further in change nothing.
            count = prod(nest.axes)
            table = self._number(np.repeat(reference.table, count // len(reference.table)))
        return Operand(reference.storage.number, reference.base, loops, axes, table)

    def address(
        self, offsets: Offsets, axes: tuple[int, ...]
    ) -> tuple[int, tuple[int, ...], int | None]:
        """Base, strides of the axes and table that give an offset for each index of the axes."""
        strides = affine_strides(offsets, axes)
        if strides is not None:
            return int(offsets[0]), strides, None
        return 0, (0,) * len(axes), self._number(offsets)

    def copy(self, target: Reference, source: Reference, nest: Nest) -> None:
        """Copy all elements of a reference to one whose elements lie side by side."""
        done = 0
        for piece in source.pieces():
            dims, element = piece.pattern()
            to = self.operand(target.part(done, piece.length), nest)
            self.emit(Gather(to, self.operand(piece, nest), dims, element))
            done += piece.length
        target.storage.nonnegative &= source.storage.nonnegative

    def _number(self, table: Offsets) -> int:
        """The number of a table; equal ones are kept once."""
        found = self._numbers.setdefault(table.tobytes(), len(self.tables))
        if found == len(self.tables):
            self.tables.append(table)
        return found
