"""Random streams: the buffers of bridges, and whole bodies."""

from __future__ import annotations

from anacc.program.model import Access, Buffer, Slice
from tests.runtime.builder import BRIDGE, CORE
from tests.runtime.random_instructions import InstructionWriter

COUNTS = (1, 2, 3, 4, 6, 12)


class Writer(InstructionWriter):
    """Writes one stream."""

    # The buffer of a bridge.

    def _dims(self, length: int) -> tuple[int, ...]:
        """Counts of dimensions with `length` elements."""
        counts: list[int] = []
        while length > 1 and len(counts) < 3:
            count = self.rng.choice([k for k in range(2, length + 1) if length % k == 0])
            counts.append(count)
            length //= count
            if self.rng.random() < 0.2:
                counts.append(1)
        if length > 1 or not counts:
            counts.append(length)
        return tuple(counts)

    def store(self) -> bool:
        rng = self.rng
        src = self.value(self.buffer_format)
        if src is None or (self.early and src.register in self.tainted):
            return False
        same = [gap for counts, gap in self.gaps if counts == self.counts]
        same = [gap for gap in same if gap.length == src.length]
        if same and rng.random() < 0.6:
            access = rng.choice(same)
            self.gaps.remove((self.counts, access))
        else:
            access = self.room(src.length)
        self.emit("store", access, self.read(src))
        if not self.early and rng.random() < 0.3:
            self._load_back(access)
        if all(not loop.sequential for loop in self.loops[1:]):
            self.loadable = self.top
        return True

    def _load_back(self, access: Access) -> None:
        """Load what was stored just now, or some iterations ago."""
        rng, base = self.rng, access.base
        for loop, stride in zip(self.loops[1:], access.strides, strict=True):
            if (loop.sequential or rng.random() < 0.2) and loop.count > 1 and stride > 0:
                base -= rng.choice([0, 0, 1, 2]) * stride
        if base >= 0:
            dst = self.target(self.buffer_format, access.length)
            dims = tuple(rng.sample(access.dims, len(access.dims)))
            self.emit("load", self.write(dst), Access(base, access.strides, dims))
            self.tainted.add(dst.register)
            if rng.random() < 0.6:
                self.send(dst)

    def room(self, length: int) -> Access:
        """Elements of the buffer that nothing is stored to, in any order."""
        rng = self.rng
        dims = self._dims(length)
        counts = [*self.counts, *dims]
        order = [*range(len(counts))]
        if rng.random() < 0.5:
            rng.shuffle(order)
        base, step = self.top + rng.choice([0, 0, 0, 1, 5]), rng.choice([1, 1, 1, 2])
        doubled = step == 2
        strides = [0] * len(counts)
        for k in reversed(order):
            sign = -1 if rng.random() < 0.15 else 1
            strides[k] = sign * step
            if sign < 0:
                base += step * (counts[k] - 1)
            step *= counts[k] + rng.choice([0, 0, 0, 1])
            if counts[k] == 1 and rng.random() < 0.3:
                strides[k] = rng.choice([1 << 35, -(1 << 35)])
        self.top += step + 8
        depth = len(self.counts)
        made = tuple(strides[:depth]), tuple(zip(dims, strides[depth:], strict=True))
        if doubled:
            self.gaps.append((self.counts, Access(base + 1, *made)))
        return Access(base, *made)

    def load(self) -> bool:
        """A window, anywhere in what may be loaded here."""
        rng = self.rng
        limit = self.loadable
        if self.early:
            limit = max(self.top, 30)
        if limit < 1:
            return False
        length = rng.choice([1, 2, 3, 4, 6, 9, 12, 16, 27, 40])
        dims = self._dims(length)
        counts = [*self.counts, *dims]
        low = high = 0
        strides = []
        for k, count in enumerate(counts):
            choices = [0, 1, 2, 3, length, limit // (count + 1), limit // (2 * count + 1)]
            stride = rng.choice([each for each in choices if each] or [1])
            if k < len(self.counts) and rng.random() < 0.1:
                stride = 0
            stride *= rng.choice([1, 1, 1, -1])
            if count > 1 and high - low + abs(stride) * (count - 1) >= limit:
                stride = 0
            if count == 1 and rng.random() < 0.3:
                stride = rng.choice([1 << 35, -(1 << 35)])
            strides.append(stride)
            span = stride * (count - 1)
            low, high = low + min(span, 0), high + max(span, 0)
        if rng.random() < 0.6 and len(dims) > 0:
            # The innermost dimension lies together, as it mostly does.
            span = strides[-1] * (counts[-1] - 1)
            low, high = low - min(span, 0), high - max(span, 0)
            strides[-1] = 1
            high += counts[-1] - 1
        if high - low >= limit:
            return False
        base = rng.randint(-low, limit - 1 - high)
        depth = len(self.counts)
        dst = self.target(self.buffer_format, length)
        if self.early and dst.register not in self.tainted:
            dst = self.register(self.buffer_format, length)
        access = Access(
            base, tuple(strides[:depth]), tuple(zip(dims, strides[depth:], strict=True))
        )
        self.emit("load", self.write(dst), access)
        self.tainted.add(dst.register)
        if rng.random() < 0.6:
            self.send_parts(dst)
        return True

    def send_parts(self, whole: Slice) -> bool:
        """Send all of a slice or parts of it, each to a channel."""
        cut = self.rng.randint(0, whole.length)
        parts = [(0, cut), (cut, whole.length - cut)]
        if self.rng.random() < 0.3:
            parts.append(self.rng.choice(parts))
        self.rng.shuffle(parts)
        for offset, length in parts:
            if length:
                self.send(Slice(whole.register, whole.offset + offset, length))
        return True

    # Loops.

    def steps(self, count: int, leaf: bool) -> None:
        """Any instructions."""
        common = [self.recv_any, self.recv_any, self.send, self.arithmetic, self.copy]
        common.append(self.recv_side_by_side)
        if self.kind is BRIDGE:
            common += [self.store, self.store, self.load, self.load, self.reduce]
        elif self.kind is CORE and leaf:
            common += [self.layer] * 4
        for _ in range(count):
            self.rng.choice(common)()

    def section(self, depth: int, most: int) -> None:
        """Instructions and loops in turns."""
        rng = self.rng
        inner = 0 if depth == 0 else rng.choice([0, 1, 1, 2] if len(self.loops) > 1 else [1, 2, 3])
        for _ in range(inner):
            if rng.random() < 0.6:
                self.steps(rng.randint(0, 3), leaf=False)
            counts = [count for count in COUNTS if count <= most]
            count = rng.choice(counts)
            with self.loop(count, rng.random() < 0.3):
                self.section(depth - 1, most // count)
        if inner == 0 or rng.random() < 0.5:
            self.steps(rng.randint(1, 6), leaf=inner == 0)

    def drain(self) -> None:
        """Take the tokens that are left, and send something."""
        for channel, left in self.left.items():
            if left:
                with self.loop(left, self.rng.random() < 0.2):
                    self.recv(channel)
                    if self.kind is CORE and self.rng.random() < 0.7:
                        self.layer()
                    elif self.rng.random() < 0.5:
                        self.steps(2, leaf=True)
                    if self.rng.random() < 0.7 or not self.sent:
                        self.send()

    def finish(self) -> None:
        """Add the stream to the program."""
        buffer = None
        if self.kind is BRIDGE:
            size = max(self.top, 30) + 70
            buffer = Buffer(self.buffer_format, size, self.rng.choice([0, 0, 7, -3]))
        body = *self.programs, *self.loops[0].body
        if body:
            self.b.stream(self.kind, self.registers, *body, buffer=buffer)
