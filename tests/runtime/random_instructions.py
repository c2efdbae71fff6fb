"""Random streams: instructions that move or compute registers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from anacc.program.model import Adc, Format, Operand, Slice
from tests.runtime.builder import BRIDGE, F16, GDPU, I8, I16, I32, i
from tests.runtime.random_registers import RegisterWriter, Tokens

MAX_TOKENS = 200
MAX_LENGTH = 70


class InstructionWriter(RegisterWriter):
    """Each method returns whether its instruction could be written."""

    def recv(self, channel: int, dst: Slice | None = None) -> bool:
        tokens = self.inputs[channel]
        times = prod(self.counts)
        if self.left[channel] < times:
            return False
        dst = dst or self.target(tokens.format, tokens.size)
        self.left[channel] -= times
        self.emit("recv", self.write(dst), channel)
        self.taint(dst, ())
        return True

    def recv_any(self) -> bool:
        times = prod(self.counts)
        ready = [channel for channel, left in self.left.items() if left >= times]
        return bool(ready) and self.recv(self.rng.choice(ready))

    def recv_side_by_side(self) -> bool:
        """Tokens of several channels into one register, in any order."""
        times = prod(self.counts)
        ready = [channel for channel, left in self.left.items() if left >= times]
        if not ready:
            return False
        format = self.inputs[ready[0]].format
        ready = [channel for channel in ready if self.inputs[channel].format is format]
        gap = self.rng.choice([0, 0, 2])
        length = sum(self.inputs[channel].size + gap for channel in ready) - gap
        register = self.register(format, length).register
        parts = []
        offset = 0
        for channel in ready:
            size = self.inputs[channel].size
            parts.append((channel, Slice(register, offset, size)))
            offset += size + gap
        if self.rng.random() < 0.3:
            self.rng.shuffle(parts)
        for channel, part in parts:
            self.recv(channel, part)
        source = self.value(format, length=gap) if gap else None
        for _, part in parts:
            hole = Slice(register, part.offset + part.length, gap)
            if source is not None and hole.offset + gap <= length and source.register != register:
                self.emit("copy", self.write(hole), self.read(source))
                self.taint(hole, (source,))
        return True

    def send(self, src: Slice | None = None) -> bool:
        src = src or self.value(I8, F16)
        if src is None:
            return False
        format, times = self.registers[src.register][0], prod(self.counts)
        same = [t for t in self.sent if (t.format, t.size) == (format, src.length)]
        fitting = [tokens for tokens in same if tokens.count + times <= MAX_TOKENS]
        if fitting and self.rng.random() < 0.4:
            tokens = self.rng.choice(fitting)
        elif len(self.sent) < 5 and times <= MAX_TOKENS:
            tokens = Tokens(self.b.channel(format, src.length), format, src.length, 0)
            self.sent.append(tokens)
        else:
            return False
        tokens.count += times
        self.emit("send", tokens.channel, self.read(src))
        return True

    def copy(self) -> bool:
        src = self.value(I8, F16)
        if src is None:
            return False
        return self._vector("copy", self.registers[src.register][0], src)

    def _vector(
        self, op: str, format: Format, *sources: Slice, rest: Sequence[Operand] = ()
    ) -> bool:
        for source in sources:
            self.read(source)
        dst = self.target(format, sources[0].length, *sources)
        if not self.writable(dst):
            dst = self.register(format, sources[0].length)
        self.emit(op, self.write(dst), *sources, *rest)
        self.taint(dst, sources)
        return True

    def taint(self, dst: Slice, sources: Sequence[Slice]) -> None:
        if any(source.register in self.tainted for source in sources):
            self.tainted.add(dst.register)

    def arithmetic(self) -> bool:
        """Any instruction of the unit that computes a vector from vectors."""
        rng = self.rng
        ops = ["scale", "affine", "quantise"]
        if self.kind is not BRIDGE:
            ops += ["add", "add", "relu", "clamp"]
        if self.kind is GDPU:
            ops += ["multiply", "lookup", "lookup"]
        op = rng.choice(ops)
        src = self.value(I8, F16) if op in ("scale", "affine") else self.value(F16)
        if src is None:
            return False
        rest: tuple[Operand, ...] = ()
        match op:
            case "scale":
                rest = (self.const(src.length),)
            case "affine":
                rest = self.const(src.length), self.const(src.length)
            case "clamp":
                rest = rng.choice([(0.0, 6.0), (-3.0, 3.0), (-0.0, 0.5)])
            case "lookup":
                rest = (rng.randrange(len(self.b.tables)),)
            case "add" | "multiply":
                other = self.value(F16, length=src.length)
                return other is not None and self._vector(op, F16, src, other)
        return self._vector(op, I8 if op == "quantise" else F16, src, rest=rest)

    def reduce(self) -> bool:
        """The maximum, sum or average of parts of a vector."""
        src = self.value(I8)
        if src is None:
            return False
        count = self.rng.choice([k for k in range(1, 10) if src.length % k == 0])
        length = src.length // count
        self.read(src)
        if self.rng.random() < 0.6:
            dst = self.target(I8, length, src)
            self.emit("maximum", self.write(dst), src)
            self.taint(dst, (src,))
            return True
        total = self.register(I32, length)
        self.emit("sum", self.write(total), src)
        self.taint(total, (src,))
        return self._vector("average", F16, total, rest=(self.const(length, wide=True),))

    def layer(self) -> bool:
        """An mvm and what the digital unit of a core does with its counts."""
        columns = self.rng.choice([1, 7, 16, 33, 64, 70, self.rng.randint(1, MAX_LENGTH)])
        return self.tile(self.value(I8), columns)

    def tile(self, x: Slice | None, columns: int, partial: Slice | None = None) -> bool:
        """A layer with a partial sum to be added."""
        rng = self.rng
        if x is None or x.length > MAX_LENGTH or self.rows + x.length > 256:
            return False
        spare = rng.choice([0, 0, 2])
        codes = np.random.default_rng(rng.getrandbits(32)).integers(
            -127, 128, (x.length, columns + spare)
        )
        self.programs.append(i("program", self.b.weight(codes), self.rows, 1))
        counts, y = self.register(I16, columns), self.register(F16, columns)
        setting = Adc(rng.choice([1, 4]), rng.choice([3, 11]), rng.choice([8, 10]), 427)
        self.emit(
            "mvm", self.write(counts), self.read(x), self.rows, 1 + spare, self.b.adc(setting)
        )
        self.rows += x.length
        self.filler()
        factor = self.const(columns, invariant=True)
        if rng.random() < 0.5:
            self.emit("scale", self.write(y), counts, factor)
        else:
            self.emit("affine", self.write(y), counts, factor, self.const(columns, invariant=True))
        if partial is not None:
            y = self._add(y, partial)
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
            y = self._add(y)
        if rng.random() < 0.5:
            self.filler()
        if rng.random() < 0.4:
            dst = self.target(F16, columns, y)
            rest = rng.choice([None, (0.0, 6.0), (-3.0, 3.0)])
            op, bounds = ("relu", ()) if rest is None else ("clamp", rest)
            self.emit(op, self.write(dst), self.read(y), *bounds)
            y = dst
        if rng.random() < 0.4:
            self.send(y)
        if rng.random() < 0.8:
            dst = self.target(I8, columns)
            self.emit("quantise", self.write(dst), self.read(y))
            if rng.random() < 0.6:
                self.send(dst)
        return True

    def _add(self, y: Slice, other: Slice | None = None) -> Slice:
        """Add a vector to `y`, maybe one of codes."""
        rng = self.rng
        other = other or self.value(F16, I8, length=y.length)
        if other is None:
            return y
        if self.registers[other.register][0] is I8 or rng.random() < 0.3:
            scaled = self.target(F16, y.length, y, other)
            if scaled == y:
                return y
            self.emit(
                "scale", self.write(scaled), self.read(other), self.const(y.length, invariant=True)
            )
            other = scaled
        dst = self.target(F16, y.length, y, other)
        pair = (y, other) if rng.random() < 0.5 else (other, y)
        self.emit("add", self.write(dst), *map(self.read, pair))
        return dst

    def filler(self) -> None:
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            self.rng.choice([self.recv_any, self.arithmetic, self.copy, self.send])()
