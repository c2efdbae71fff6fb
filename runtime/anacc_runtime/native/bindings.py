"""Where the elements of a stream's registers are to be found."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from anacc.program.model import Register, Slice
from anacc.program.walk import Path
from anacc_runtime.native.draft import Draft
from anacc_runtime.native.storage import ITEM, Nest, Reference, Storage


@dataclass(frozen=True)
class Binding:
    """Elements [offset, offset + length) of a register are those of a reference."""

    offset: int
    length: int
    reference: Reference


Snapshot = dict[int, tuple[Binding, ...]]


class Bindings:
    """The registers of a stream.

    A register is a name: what a recv or a load gives stays where it is until an instruction needs
    it elsewhere.  Only what instructions compute gets memory, the register's home: one vector for
    each iteration of the axes around the instruction.

    Args:
        registers: their declarations.
        draft: where memory comes from, and copies go.
    """

    def __init__(self, registers: tuple[Register, ...], draft: Draft) -> None:
        self.nest = Nest()  # of the instructions at hand
        self._path: Path = ()
        self._registers = registers
        self._draft = draft
        self._bound: Snapshot = {}
        self._homes: dict[tuple[int, Path], Storage] = {}

    def enter(self, nest: Nest, path: Path) -> None:
        """Go to a nest of loops; `path` is that of the innermost one that is an axis."""
        self.nest, self._path = nest, path

    def state(self) -> list[Reference]:
        """The state registers, each bound to its home."""
        result = []
        for number, register in enumerate(self._registers):
            if register.state:
                whole = Slice(number, 0, register.length)
                result.append(self.home(whole))
                self.bind(whole, result[-1])
        return result

    def owns(self, storage: Storage) -> bool:
        """Whether a storage is a register's home, so that what it holds may change."""
        return any(storage is home for home in self._homes.values())

    def home(self, target: Slice) -> Reference:
        """The memory of a slice in the nest at hand."""
        return self._home(target, self.nest, self._path)

    def _home(self, target: Slice, nest: Nest, path: Path) -> Reference:
        register = self._registers[target.register]
        item = ITEM[register.format]
        # A state register stays out of parallel loops: there is one for all iterations.
        axes, key = ((), ()) if register.state else (nest.axes, path)
        storage = self._homes.get((target.register, key))
        if storage is None:
            storage = self._draft.storage(prod(axes) * register.length * item)
            storage.nonnegative = not register.state
            self._homes[target.register, key] = storage
        strides, step = [0] * len(nest.counts), register.length * item
        if axes:
            for loop in reversed(range(len(nest.counts))):
                if not nest.iterated[loop]:
                    strides[loop] = step
                    step *= nest.counts[loop]
        return Reference(storage, item, target.length, target.offset * item, tuple(strides))

    def bind(self, target: Slice, reference: Reference) -> None:
        """Let a slice be found at a reference from now on."""
        end = target.offset + target.length
        kept = [Binding(target.offset, target.length, reference)]
        for old in self._bound.get(target.register, ()):
            for low, high in (
                (old.offset, min(old.offset + old.length, target.offset)),
                (max(old.offset, end), old.offset + old.length),
            ):
                if low < high:
                    part = old.reference.part(low - old.offset, high - low)
                    kept.append(Binding(low, high - low, part))
        self._bound[target.register] = tuple(sorted(kept, key=lambda each: each.offset))

    def find(self, source: Slice) -> list[Binding]:
        """Where the elements of a slice are, piece by piece in order.

        Pieces that lie side by side in memory are one.
        """
        result: list[Binding] = []
        for each in self._bound.get(source.register, ()):
            low = max(each.offset, source.offset)
            high = min(each.offset + each.length, source.offset + source.length)
            if low < high:
                part = each.reference.part(low - each.offset, high - low)
                if result and result[-1].reference.continues(part):
                    last = result.pop()
                    length = last.length + high - low
                    result.append(Binding(last.offset, length, last.reference.longer(length)))
                else:
                    result.append(Binding(low, high - low, part))
        return result

    def locate(self, source: Slice) -> Reference:
        """Where a slice is; if in several places, they are copied home first."""
        pieces = self.find(source)
        return pieces[0].reference if len(pieces) == 1 else self.gather(source)

    def together(self, source: Slice) -> Reference:
        """Where the elements of a slice lie side by side, copied home if they do nowhere else."""
        reference = self.locate(source)
        return self.gather(source) if reference.dims else reference

    def gather(self, source: Slice) -> Reference:
        """Copy a slice home, except for what is there."""
        for piece in self.find(source):
            home = self.home(Slice(source.register, piece.offset, piece.length))
            if piece.reference.storage is not home.storage:
                self._draft.copy(home, piece.reference, self.nest)
        self.bind(source, self.home(source))
        return self.home(source)

    def save(self) -> Snapshot:
        """What is bound now."""
        return dict(self._bound)

    def restore(self, saved: Snapshot) -> None:
        """Forget what was bound since, as at the end of a parallel loop."""
        self._bound = dict(saved)

    def leave(self, saved: Snapshot, outer: Nest, read: set[int]) -> None:
        """Come to the end of a loop that runs one iteration after another: copy home what is read
        after it and would be found elsewhere in each iteration.

        Args:
            saved: what was bound before the loop.
            outer: the nest around it.
            read: registers that are read after it.
        """
        bound = self._bound
        self._bound = dict(saved)
        for number, pieces in bound.items():
            if number not in read:
                continue
            for piece in pieces:
                target = Slice(number, piece.offset, piece.length)
                if len(piece.reference.strides) <= len(outer.counts):
                    self.bind(target, piece.reference)  # it is the same in all iterations
                    continue
                home = self.home(target)
                if piece.reference.storage is not home.storage:
                    self._draft.copy(home, piece.reference, self.nest)
                self.bind(target, self._home(target, outer, self._path))
