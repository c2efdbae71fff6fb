"""Streams of the bridge: activations on their way from one layer to the next."""

from __future__ import annotations

from collections.abc import Sequence

from anacc.ir import Op
from anacc.program.model import Access, Buffer, Const, Format, Slice
from anacc_backends.emission.stream import FORMATS, Emission, StreamWriter
from anacc_passes.tiling.layout import Nest


def emit_regroup(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Join the parts of each token and cut it anew."""
    with stream.loops(_worth(emission.channel(op.operands[0]).tokens)):
        stream.send_parts(op.results, stream.receive_parts(op.operands))


def emit_gather(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Store all operands to a buffer and read the results from it, row by row where possible."""
    _Gather(emission, op, stream).emit()


def _worth(count: int) -> list[int]:
    """A loop that runs once is left out."""
    return [count] if count > 1 else []


class _Gather:
    """One `gather` op; rows are rounds of the outermost store and load loops."""

    def __init__(self, emission: Emission, op: Op, stream: StreamWriter) -> None:
        self.emission, self.op, self.stream = emission, op, stream
        self.parts = op.operands[1:]
        self.stores: tuple[Nest, ...] = op.nested("stores")
        self.load: Nest = op.nested("load")
        self.rescale: tuple[float, ...] = op.nested("rescale")
        self.format = FORMATS[emission.channel(self.parts[0]).format]
        stream.buffer = Buffer(self.format, op.integer("size"), op.integer("fill"))

    def emit(self) -> None:
        step = self.op.integer("step")
        if step == 0:
            for members in self._by_loops():
                self._store(members, 0, [])
            self._load(0, [])
            return
        lead = self.op.integer("lead")
        rows_in, rows_out = self.stores[0][0][0], self.load[0][0]
        everything = range(len(self.parts))
        if lead:
            self._store_rows(everything, 0, [(lead, 1)])
        self._load_rows(0, [])
        steady = min(rows_out - 1, (rows_in - lead) // step)
        if steady:
            with self.stream.loop(steady):
                self._store_rows(everything, lead, [(steady, step), (step, 1)], opened=1)
                self._load_rows(1, [(steady, 1)], opened=1)
        stored = lead + steady * step
        if rows_in > stored:
            self._store_rows(everything, stored, [(rows_in - stored, 1)])
        if rows_out > 1 + steady:
            self._load_rows(1 + steady, [(rows_out - 1 - steady, 1)])

    def _by_loops(self) -> list[list[int]]:
        """Operands that have the same loops are stored together: each has a place of its own."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, nest in enumerate(self.stores):
            groups.setdefault(nest[0], []).append(index)
        return list(groups.values())

    def _store_rows(
        self, members: Sequence[int], first: int, rows: list[tuple[int, int]], opened: int = 0
    ) -> None:
        """Store rows first + sum(index * step) over the (count, step) pairs of `rows`, the first
        `opened` of which are loops that are already open."""
        self._store(members, first, rows, opened, inner=1)

    def _load_rows(self, first: int, rows: list[tuple[int, int]], opened: int = 0) -> None:
        self._load(first, rows, opened, inner=1)

    def _store(
        self,
        members: Sequence[int],
        first: int,
        rows: list[tuple[int, int]],
        opened: int = 0,
        inner: int = 0,
    ) -> None:
        counts = self.stores[members[0]][0]
        new = [pair for pair in rows[opened:] if pair[0] > 1]
        with self.stream.loops([count for count, _ in new] + list(counts[inner:])):
            for index in members:
                _, base, strides, dims = self.stores[index]
                pitch = strides[0] if inner else 0
                over = tuple(step * pitch for _, step in (*rows[:opened], *new))
                address = Access(base + first * pitch, (*over, *strides[inner:]), dims)
                self.stream.op("store", address, self._received(index))

    def _received(self, index: int) -> Slice:
        """The next token of an operand, requantised if it comes with another scale."""
        stream, factor = self.stream, self.rescale[index]
        token = stream.receive(self.parts[index])
        if factor == 1.0:
            return token
        scaled = stream.register("f16", token.length)
        stream.scale(scaled, token, factor)
        if self.emission.channel(self.parts[index]).format == "f16":
            return scaled
        quantised = stream.register("i8", token.length)
        stream.op("quantise", quantised, scaled)
        return quantised

    def _load(
        self, first: int, rows: list[tuple[int, int]], opened: int = 0, inner: int = 0
    ) -> None:
        counts, base, strides, dims = self.load
        new = [pair for pair in rows[opened:] if pair[0] > 1]
        pitch = strides[0] if inner else 0
        over = tuple(step * pitch for _, step in (*rows[:opened], *new))
        address = Access(base + first * pitch, (*over, *strides[inner:]), dims)
        with self.stream.loops([count for count, _ in new] + list(counts[inner:])):
            taken = self.stream.register(self.format, address.length)
            self.stream.op("load", taken, address)
            averaged = self._constant(first, [step for _, step in (*rows[:opened], *new)], inner)
            self._finish(taken, averaged)

    def _constant(self, first: int, steps: list[int], inner: int) -> Const | None:
        """Where the average-pooling scale of a token stands."""
        name = self.op.operands[0]
        if not name:
            return None
        array = self.emission.module.constants[name]
        base = self.emission.constants32.add(array)
        counts = self.load[0]
        if array.size == 1:
            return Const(base, (0,) * (len(steps) + len(counts) - inner), 1)
        pitches = [1] * len(counts)
        for axis in range(len(counts) - 2, -1, -1):
            pitches[axis] = pitches[axis + 1] * counts[axis + 1]
        row = pitches[0] if inner else 0
        over = tuple(step * row for step in steps)
        return Const(base + first * row, (*over, *pitches[inner:]), 1)

    def _finish(self, taken: Slice, average: Const | None) -> None:
        """Reduce what was loaded and send it."""
        stream, emission, results = self.stream, self.emission, self.op.results
        length = taken.length // self.op.integer("window")
        reduced = taken
        codes = [name for name in results if emission.channel(name).format == "i8"]
        values = [name for name in results if emission.channel(name).format == "f16"]
        if self.op.attributes["reduce"] == "max":
            reduced = stream.register("i8", length)
            stream.op("maximum", reduced, taken)
        elif average is not None:
            total, mean = stream.register(Format.INT32, length), stream.register("f16", length)
            stream.op("sum", total, taken)
            stream.op("average", mean, total, average)
            if values:
                stream.send_parts(values, mean)
            if not codes:
                return
            reduced = stream.register("i8", length)
            stream.op("quantise", reduced, mean)
            stream.send_parts(codes, reduced)
            return
        stream.send_parts(results, reduced)
