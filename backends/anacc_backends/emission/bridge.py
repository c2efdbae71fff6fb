"""Streams of the bridge: activations on their way from one layer to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anacc.ir import Op
from anacc.program.model import Access, Buffer, Const, Format, Slice
from anacc_backends.emission.stream import FORMATS, Emission, StreamWriter
from anacc_passes.tiling.layout import Nest, row_major


def emit_regroup(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Join the parts of each token and cut it anew."""
    with stream.loops(_worth(emission.channel(op.operands[0]).tokens)):
        stream.send_parts(op.results, stream.receive_parts(op.operands))


def emit_gather(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Store all operands to a buffer and read the results from it, row by row where possible."""
    _Gather(emission, op, stream).emit()


def emit_merge(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """Take the tokens of the copies in turn."""
    _merge(op, stream, tuple(zip(op.integers("counts"), op.integers("ways"), strict=True)), 0)


def _merge(op: Op, stream: StreamWriter, loops: tuple[tuple[int, int], ...], copy: int) -> None:
    """Emit the loops over positions (rounds, copies) that are left; `copy` counts the copies of
    those outside."""
    if not loops:
        # A scope of its own: a token that was taken before is another one.
        with stream.loops(()):
            parts = len(op.results)
            for part, result in enumerate(op.results):
                stream.send(result, stream.receive(op.operands[copy * parts + part]))
        return
    (count, ways), *rest = loops
    turns, left = divmod(count, ways)
    with stream.loops(_worth(turns)):
        for first in range(ways):
            _merge(op, stream, tuple(rest), copy * ways + first)
    for first in range(left):
        _merge(op, stream, tuple(rest), copy * ways + first)


def _worth(count: int) -> list[int]:
    """A loop that runs once is left out."""
    return [count] if count > 1 else []


@dataclass(frozen=True)
class _Rows:
    """Some rounds of the outermost loop of a nest: first + sum(index * step) over loops.

    Attributes:
        first: the first round.
        loops: (count, step) pairs, outermost first; one that runs once is left out.
        opened: how many of them are open already.
    """

    first: int
    loops: tuple[tuple[int, int], ...]
    opened: int = 0

    def kept(self) -> tuple[tuple[int, int], ...]:
        """The loops that there are."""
        new = (pair for pair in self.loops[self.opened :] if pair[0] > 1)
        return (*self.loops[: self.opened], *new)


def _counts(nest: Nest, rows: _Rows | None) -> list[int]:
    """The loops to open for a nest, or for some rows of it."""
    counts = nest[0]
    if rows is None:
        return [*counts]
    return [*(count for count, _ in rows.kept()[rows.opened :]), *counts[1:]]


def _address(nest: Nest, rows: _Rows | None) -> Access:
    """The address of a nest within the loops for it, or for some rows of it."""
    _, base, strides, dims = nest
    if rows is None:
        return Access(base, strides, dims)
    pitch, *inner = strides
    over = (step * pitch for _, step in rows.kept())
    return Access(base + rows.first * pitch, (*over, *inner), dims)


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
                self._store(members)
            self._load()
            return
        lead = self.op.integer("lead")
        rows_in, rows_out = self.stores[0][0][0], self.load[0][0]
        everything = range(len(self.parts))
        if lead:
            self._store(everything, _Rows(0, ((lead, 1),)))
        self._load(_Rows(0, ()))
        steady = min(rows_out - 1, (rows_in - lead) // step)
        if steady:
            with self.stream.loop(steady):
                self._store(everything, _Rows(lead, ((steady, step), (step, 1)), opened=1))
                self._load(_Rows(1, ((steady, 1),), opened=1))
        stored = lead + steady * step
        if rows_in > stored:
            self._store(everything, _Rows(stored, ((rows_in - stored, 1),)))
        if rows_out > 1 + steady:
            self._load(_Rows(1 + steady, ((rows_out - 1 - steady, 1),)))

    def _by_loops(self) -> list[list[int]]:
        """Operands that have the same loops are stored together: each has a place of its own."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, nest in enumerate(self.stores):
            groups.setdefault(nest[0], []).append(index)
        return list(groups.values())

    def _store(self, members: Sequence[int], rows: _Rows | None = None) -> None:
        """Store the operands, all rounds of them or some rows."""
        with self.stream.loops(_counts(self.stores[members[0]], rows)):
            for index in members:
                address = _address(self.stores[index], rows)
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

    def _load(self, rows: _Rows | None = None) -> None:
        """Load, reduce and send the tokens, all rounds of them or some rows."""
        address = _address(self.load, rows)
        with self.stream.loops(_counts(self.load, rows)):
            taken = self.stream.register(self.format, address.length)
            self.stream.op("load", taken, address)
            self._finish(taken, self._constant(rows))

    def _constant(self, rows: _Rows | None) -> Const | None:
        """Where the average-pooling scale of a token stands."""
        name = self.op.operands[0]
        if not name:
            return None
        array = self.emission.module.constants[name]
        base = self.emission.constants32.add(array)
        counts = self.load[0]
        # One scale for all tokens, or one for each in their order.
        strides = (0,) * len(counts) if array.size == 1 else row_major(counts)
        place = _address((counts, base, strides, ()), rows)
        return Const(place.base, place.strides, 1)

    def _finish(self, taken: Slice, average: Const | None) -> None:
        """Reduce what was loaded and send it."""
        stream, emission, results = self.stream, self.emission, self.op.results
        length = taken.length // self.op.integer("window")
        if average is not None:
            total, mean = stream.register(Format.INT32, length), stream.register("f16", length)
            stream.op("sum", total, taken)
            stream.op("average", mean, total, average)
            codes = [name for name in results if emission.channel(name).format == "i8"]
            stream.send_parts([name for name in results if name not in codes], mean)
            if codes:
                quantised = stream.register("i8", length)
                stream.op("quantise", quantised, mean)
                stream.send_parts(codes, quantised)
            return
        if self.op.attributes["reduce"] == "max":
            largest = stream.register("i8", length)
            stream.op("maximum", largest, taken)
            taken = largest
        stream.send_parts(results, taken)
