"""Random streams: which elements of which registers hold a value, as the loader's checks see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from anacc.program.model import Access, Const, Format, Loop, Node, Operand, Slice, UnitKind
from tests.runtime.builder import F16, I8, Builder, i


@dataclass
class Tokens:
    """A channel and how many tokens it has for each sample."""

    channel: int
    format: Format
    size: int
    count: int
    unread: bool = True


@dataclass(eq=False)
class _Open:
    """A loop that is being written."""

    count: int
    sequential: bool
    body: list[Node] = field(default_factory=list)


@dataclass
class _Element:
    """An element of a register: the loops around its last write, if it holds a value, and the loops
    that may not write it because they have read what stood there before."""

    written: tuple[_Open, ...] | None = None
    frozen: set[_Open] = field(default_factory=set)


class RegisterWriter:
    """Writes one stream: loops, registers and constants.

    Args:
        b: the program.
        rng: decides everything.
        kind: of the unit.
        inputs: the channels that it takes all tokens of.
    """

    def __init__(self, b: Builder, rng: Random, kind: UnitKind, inputs: Sequence[Tokens]) -> None:
        self.b, self.rng, self.kind = b, rng, kind
        self.left = {each.channel: each.count for each in inputs}
        self.inputs = {each.channel: each for each in inputs}
        self.sent: list[Tokens] = []
        self.registers: list[tuple[Format, int, bool]] = []
        self.elements: list[list[_Element]] = []
        self.loops: list[_Open] = [_Open(1, True)]
        self.programs: list[Node] = []
        self.rows = 0
        self.buffer_format = rng.choice([I8, I8, F16])
        self.top = rng.choice([0, 0, 3, 17])  # of the elements of the buffer that are taken
        self.gaps: list[tuple[tuple[int, ...], Access]] = []
        self.loadable = self.top
        # Loads may stand anywhere if no store uses what they give.
        self.early = rng.random() < 0.3
        self.tainted: set[int] = set()

    @property
    def counts(self) -> tuple[int, ...]:
        """Iterations of the open loops."""
        return tuple(loop.count for loop in self.loops[1:])

    @property
    def parallel(self) -> bool:
        """Whether an open loop is parallel."""
        return any(not loop.sequential for loop in self.loops)

    def emit(self, op: str, *operands: Operand) -> None:
        """Append an instruction."""
        self.loops[-1].body.append(i(op, *operands))

    @contextmanager
    def loop(self, count: int, sequential: bool) -> Iterator[None]:
        """What is emitted inside repeats; a loop without a body is left out."""
        made = _Open(count, sequential)
        self.loops.append(made)
        yield
        self.loops.pop()
        if made.body:
            self.loops[-1].body.append(Loop(count, tuple(made.body), sequential))
        for element in (each for register in self.elements for each in register):
            if element.written is not None and made in element.written:
                kept = element.written[: element.written.index(made)]
                element.written = kept if sequential else None

    def register(self, format: Format, length: int, state: bool = False) -> Slice:
        """All of a new register."""
        self.registers.append((format, length, state))
        self.elements.append([_Element() for _ in range(length)])
        return Slice(len(self.registers) - 1, 0, length)

    def read(self, part: Slice) -> Slice:
        """A slice that is read here."""
        for element in self._of(part):
            if element.written is not None and not self.registers[part.register][2]:
                depth = len(element.written)
                if depth < len(self.loops):
                    element.frozen.add(self.loops[depth])
        return part

    def write(self, part: Slice) -> Slice:
        """A slice that is written here."""
        for element in self._of(part):
            element.written = tuple(self.loops)
        return part

    def _of(self, part: Slice) -> list[_Element]:
        return self.elements[part.register][part.offset : part.offset + part.length]

    def writable(self, part: Slice) -> bool:
        """Whether a slice may be written here."""
        if self.registers[part.register][2] and self.parallel:
            return False
        here = set(self.loops)
        return all(here.isdisjoint(element.frozen) for element in self._of(part))

    def values(self, *formats: Format) -> list[Slice]:
        """The longest slices that hold values here."""
        found = []
        for number, (format, length, state) in enumerate(self.registers):
            if format not in formats or (state and self.parallel):
                continue
            start = None
            for k in range(length + 1):
                held = k < length and (state or self.elements[number][k].written is not None)
                if held and start is None:
                    start = k
                elif not held and start is not None:
                    found.append(Slice(number, start, k - start))
                    start = None
        return found

    def value(self, *formats: Format, length: int | None = None) -> Slice | None:
        """A slice that holds values, of a length if that is given."""
        found = [each for each in self.values(*formats) if length is None or each.length >= length]
        if not found:
            return None
        whole = self.rng.choice(found[-4:] if self.rng.random() < 0.7 else found)
        if length is None:
            length = whole.length
            if length > 1 and self.rng.random() < 0.35:
                length = self.rng.randint(1, length)
        offset = self.rng.randint(0, whole.length - length)
        return Slice(whole.register, whole.offset + offset, length)

    def target(self, format: Format, length: int, *sources: Slice) -> Slice:
        """A slice to be written: of a register that is there, or of a new one."""
        if self.rng.random() < 0.5:
            choices = []
            for number, (other, size, _) in enumerate(self.registers):
                if other is format and size >= length:
                    offset = self.rng.choice([0, size - length, self.rng.randint(0, size - length)])
                    part = Slice(number, offset, length)
                    partly = any(
                        each != part
                        and each.register == number
                        and each.offset < offset + length
                        and offset < each.offset + each.length
                        for each in sources
                    )
                    if not partly and self.writable(part):
                        choices.append(part)
            if choices:
                return self.rng.choice(choices)
        if self.rng.random() < 0.3:
            spare = self.rng.randint(0, 6)
            whole = self.register(format, length + spare)
            return Slice(whole.register, self.rng.randint(0, spare), length)
        state = not self.parallel and self.rng.random() < 0.15
        return self.register(format, length, state)

    def const(self, length: int, wide: bool = False, invariant: bool = False) -> Const:
        """binary16, or `wide` binary32 constants; a stride for some loops unless `invariant`."""
        if self.rng.random() < 0.3:
            length = 1
        counts = self.counts
        strides = [0] * len(counts)
        size = length
        if not invariant:
            for k, count in enumerate(counts):
                if count == 1:
                    strides[k] = self.rng.choice([0, 1 << 40, -(1 << 40)])
                elif self.rng.random() < 0.2 and size * count < 3000:
                    strides[k] = size
                    size *= count
        numbers = [self.rng.choice([0.5, -0.25, 1.0, 3.0, 0.0, -1.5, 0.07]) for _ in range(size)]
        made = (self.b.const32 if wide else self.b.const16)(numbers, 0)
        return Const(made.base, tuple(strides), length)
