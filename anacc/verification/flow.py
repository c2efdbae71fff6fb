"""The program on fingerprints: which products make each element of each channel.

Streams run as the instruction set says, with `algebra` in place of codes: writers before readers,
a parallel loop all at once, and streams of a cycle in turns, step by step.  A product takes what
its weight block is said to be from `origin` (which rows and columns of which layer); that the codes
installed there are the model's is for `codes` to check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.program.model import Access, Format, Instr, Loop, Node
from anacc.verification.algebra import Prints, elements, largest, product, total
from anacc.verification.buffers import offsets, positions
from anacc.verification.crossbars import installed
from anacc.verification.faults import Findings
from anacc.verification.register_file import Registers, read, write
from anacc.verification.structure import (
    Ends,
    host_borders,
    integer,
    moved,
    named,
    operands,
    slices,
    steps,
    transfers,
)
from anacc.verification.values import (
    Dense,
    Ints,
    Loaded,
    Repeated,
    Taken,
    Track,
    Value,
    pieces,
)


@dataclass(frozen=True)
class Block:
    """What a weight block is.

    Attributes:
        rows: factor K of each row of the region.
        columns: factor C of each column.
        groups: rows [0], [1] and columns [2], [3] of each part that holds weights, within the
            region; the cells of different groups are unused.
        copies: how often the rows stand below one another on the crossbar.
    """

    rows: Prints
    columns: Prints
    groups: tuple[tuple[int, int, int, int], ...]
    copies: int


@dataclass(frozen=True)
class _Nest:
    """Parallel loops that run all at once, and sequential ones around in one iteration.

    Attributes:
        loops: all loops around, outermost first, each with its index or None if it runs at once.
        counts: of those that run at once.
        strides: tokens that an iteration of each of these moves.
    """

    loops: tuple[tuple[Loop, int | None], ...] = ()
    counts: tuple[int, ...] = ()
    strides: tuple[Counter[tuple[str, int]], ...] = ()

    @property
    def rows(self) -> int:
        return int(np.prod(self.counts, dtype=np.int64))

    def address(self, access: Access) -> Ints:
        """Where an access starts, for each row."""
        base, free = access.base, []
        for (_, index), stride in zip(self.loops, access.strides, strict=True):
            if index is None:
                free.append(stride)
            else:
                base += index * stride
        return base + positions(self.counts, tuple(free), 0, self.rows)


class Flow:
    """Runs the streams of a program on fingerprints; `tracks` holds what each channel got."""

    def __init__(
        self,
        image: Image,
        ends: Ends,
        blocks: Mapping[int, Block],
        kept: set[int],
        findings: Findings,
    ) -> None:
        """
        Args:
            image: the program.
            ends: of its channels.
            blocks: what its weight blocks are.
            kept: channels whose tokens stay; others go when all readers have them.
            findings: where faults go.
        """
        self.image, self.ends, self.blocks, self.findings = image, ends, blocks, findings
        self.kept = kept
        self.tracks: dict[int, Track] = {}
        self._left = [len(readers) for readers in ends.readers]
        self._transfers: dict[int, Counter[tuple[str, int]]] = {}

    def run(self) -> None:
        """Run all streams."""
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(self.image.code.streams)))
        for number, readers in enumerate(self.ends.readers):
            graph.add_edges_from((self.ends.writer[number], reader) for reader in readers)
        order = nx.condensation(graph)
        for group in nx.lexicographical_topological_sort(order):
            members = sorted(order.nodes[group]["members"])
            running = {member: self._stream(member) for member in members}
            while running:
                before = sum(track.sent for track in self.tracks.values())
                ended = [m for m, stream in running.items() if next(stream, None) is None]
                for member in ended:
                    del running[member]
                if not ended and before == sum(track.sent for track in self.tracks.values()):
                    self.findings.fault(
                        "deadlock", f"{named(self.image, min(running))} waits for ever for a token"
                    )
                    break
            for member in members:
                self._release(member)

    def _release(self, member: int) -> None:
        for way, channel in self.ends.moves[member]:
            if way == "recv":
                self._left[channel] -= 1
                if not self._left[channel] and channel not in self.kept:
                    self.tracks.pop(channel, None)

    def track(self, channel: int) -> Track:
        """The tokens of a channel."""
        if channel not in self.tracks:
            size = self.image.code.channels[channel].token_size
            self.tracks[channel] = Track(self.ends.tokens[channel], size)
        return self.tracks[channel]

    def transfers(self, loop: Loop) -> Counter[tuple[str, int]]:
        """Tokens that an iteration of a loop moves."""
        if id(loop) not in self._transfers:
            self._transfers[id(loop)] = transfers(loop.body)
        return self._transfers[id(loop)]

    def _stream(self, number: int) -> Iterator[bool]:
        """Run a stream; yields where it waits."""
        stream = self.image.code.streams[number]
        if stream.unit.kind == "host":
            self._host(number)
            return
        run = _Stream(self, number)
        yield from run.body(stream.body)

    def _host(self, number: int) -> None:
        """Elements that come from the host have fingerprints of their own."""
        for way, place in host_borders(self.image, self.image.code.streams[number]):
            border = self.image.manifest.borders[place]
            if way == "recv" or self.image.code.channels[border.channel].format is Format.TENSOR:
                continue
            shape = tuple(
                size or 0 for axis, size in enumerate(border.shape) if axis != border.batch_axis
            )
            prints = elements(border.name, shape).transpose(border.permutation)
            track = self.track(border.channel)
            rows = prints.reshape(-1, track.size)
            track.write(np.arange(len(rows), dtype=np.int64), Dense(rows))


class _Stream:
    """A stream of a core, GDPU or bridge while it runs."""

    def __init__(self, flow: Flow, number: int) -> None:
        self.flow, self.number = flow, number
        self.stream = flow.image.code.streams[number]
        self.moved: Counter[tuple[str, int]] = Counter()
        self.registers: Registers = {}
        for position, register in enumerate(self.stream.registers):
            if register.state:
                zero = Dense(np.zeros((1, register.length), np.uint64))
                self.registers[position] = [(0, register.length, zero)]
        size = self.stream.buffer.size if self.stream.buffer else 0
        self.buffer = np.zeros(size, np.uint64)
        self.installed = installed(flow.image, self.stream)
        self.multiplies = any(step.instr.op == "mvm" for step in steps(self.stream.body))

    def body(
        self, body: tuple[Node, ...], around: tuple[tuple[Loop, int | None], ...] = ()
    ) -> Iterator[bool]:
        """Run a body outside of parallel loops."""
        for node in body:
            if isinstance(node, Loop) and (not node.sequential or not self._in_order(node)):
                self._parallel(node, _Nest(around), Counter(), self.registers)
                self.moved.update(
                    {access: n * node.count for access, n in self.flow.transfers(node).items()}
                )
            elif isinstance(node, Loop):
                for index in range(node.count):
                    yield from self.body(node.body, (*around, (node, index)))
            else:
                access = moved(node)
                if access is not None and access[0] == "recv":
                    while self.flow.track(access[1]).sent <= self.moved[access]:
                        yield True
                self._instr(node, _Nest(around), Counter(), self.registers)
                if access is not None:
                    self.moved[access] += 1

    def _in_order(self, loop: Loop) -> bool:
        """Whether a sequential loop must run step by step: it keeps a state, or waits for what it
        sends."""
        if any(
            self.stream.registers[part.register].state
            for step in steps(loop.body)
            for role in (Role.READ, Role.WRITE)
            for part in slices(step.instr, role)
        ):
            return True
        return any(
            way == "recv" and self.flow.track(channel).sent < self.flow.ends.tokens[channel]
            for way, channel in self.flow.transfers(loop)
        )

    def _parallel(
        self,
        loop: Loop,
        outer: _Nest,
        before: Counter[tuple[str, int]],
        registers: Registers,
    ) -> None:
        """Run all iterations of a loop at once; `before`: tokens that went ahead in this nest."""
        nest = _Nest(
            (*outer.loops, (loop, None)),
            (*outer.counts, loop.count),
            (*outer.strides, self.flow.transfers(loop)),
        )
        inner: Registers = {
            number: [(begin, end, Repeated(value, loop.count)) for begin, end, value in parts]
            for number, parts in registers.items()
        }
        ahead = Counter(before)
        for node in loop.body:
            if isinstance(node, Loop):
                self._parallel(node, nest, ahead, inner)
                for access, number in self.flow.transfers(node).items():
                    ahead[access] += number * node.count
            else:
                self._instr(node, nest, ahead, inner)
                if (moved_ := moved(node)) is not None:
                    ahead[moved_] += 1

    def _tokens(
        self, access: tuple[str, int], nest: _Nest, ahead: Counter[tuple[str, int]]
    ) -> Ints:
        first = self.moved[access] + ahead[access]
        strides = tuple(stride[access] for stride in nest.strides)
        return first + positions(nest.counts, strides, 0, nest.rows)

    def _instr(
        self, instr: Instr, nest: _Nest, ahead: Counter[tuple[str, int]], registers: Registers
    ) -> None:
        inputs = [read(registers, part) for part in slices(instr, Role.READ)]
        targets = slices(instr, Role.WRITE)
        access = moved(instr)
        if access is not None and access[0] == "send":
            self.flow.track(access[1]).write(self._tokens(access, nest, ahead), inputs[0])
        elif instr.op == "store":
            self._store(instr, nest, inputs[0])
        elif targets:
            if access is not None:
                track = self.flow.track(access[1])
                tokens = self._tokens(access, nest, ahead)
                value: Value = Taken(track, tokens, 0, track.size)
            else:
                value = self._result(instr, nest, inputs)
            if not nest.counts:  # one row: written out, for a state may lie under it
                value = Dense(value.read(np.zeros(1, np.int64)))
            write(registers, targets[0], value)

    def _result(self, instr: Instr, nest: _Nest, inputs: Sequence[Value]) -> Value:
        match instr.op:
            case "load":
                access = operands(instr)["address"]
                if not isinstance(access, Access):
                    raise TypeError("a load without an address")
                return Loaded(self.buffer, nest.address(access), offsets(access))
            case "mvm":
                return self._product(instr, nest, inputs[0])
            case "add" if self.multiplies:
                return _each(nest, inputs, lambda left, right: left + right)
            case "add":
                return _each(nest, inputs, total)
            case "multiply":
                return _each(nest, inputs, product)
            case "maximum":
                width = slices(instr, Role.WRITE)[0].length
                return _each(nest, inputs, lambda x: largest(x.reshape(len(x), -1, width), 1))
            case "sum":
                width = slices(instr, Role.WRITE)[0].length
                return _each(
                    nest,
                    inputs,
                    lambda x: x.reshape(len(x), -1, width).sum(axis=1, dtype=np.uint64),
                )
        return inputs[0]  # a function of each element

    def _store(self, instr: Instr, nest: _Nest, value: Value) -> None:
        access = operands(instr)["address"]
        if not isinstance(access, Access):
            raise TypeError("a store without an address")
        starts, inside = nest.address(access), offsets(access)
        for rows in pieces(nest.rows, len(inside)):
            self.buffer[starts[rows][:, np.newaxis] + inside] = value.read(rows)

    def _product(self, instr: Instr, nest: _Nest, value: Value) -> Value:
        """C[m] * sum of K[r] * x[r] over the rows r of the group of column m."""
        row, column = integer(instr, "row"), integer(instr, "column")
        width = slices(instr, Role.WRITE)[0].length
        found = np.zeros((nest.rows, width), np.uint64)
        used = [
            (number, top, left)
            for number, (top, bottom, left, right) in self.installed
            if top <= row < bottom and left <= column < right
        ]
        if not used:
            return Dense(found)
        number, top, left = used[-1]
        block = self.flow.blocks[number]
        count = len(block.rows)
        # Row i of the crossbar's block stands for row i % count of the region.
        stands = np.arange(row - top, row - top + value.width) % count
        differ = False
        for rows in pieces(nest.rows, value.width):
            x = value.read(rows)
            if block.copies > 1 and row == top and value.width == count * block.copies:
                copies = x.reshape(len(x), block.copies, count)
                differ |= bool((copies != copies[:, :1]).any())
                x = copies[:, 0]
            weighted = x * block.rows[stands[: x.shape[1]]]
            sums = np.zeros((len(x), width), np.uint64)
            for first, last, begin, end in block.groups:
                chosen = (stands[: x.shape[1]] >= first) & (stands[: x.shape[1]] < last)
                low = max(begin, column - left) - (column - left)
                high = min(end, column - left + width) - (column - left)
                if low < high:
                    part = weighted if chosen.all() else weighted[:, chosen]
                    sums[:, low:high] = part.sum(axis=1, dtype=np.uint64)[:, np.newaxis]
            found[rows] = sums * block.columns[column - left : column - left + width]
        if differ:
            self.flow.findings.fault(
                "flow",
                f"{named(self.flow.image, self.number)} drives the {block.copies} copies of its "
                "rows differently",
            )
        return Dense(found)


def _each(nest: _Nest, inputs: Sequence[Value], function: Callable[..., Prints]) -> Value:
    """Apply a function to all rows."""
    found: Prints | None = None
    for rows in pieces(nest.rows, inputs[0].width):
        part = function(*(value.read(rows) for value in inputs))
        if found is None:
            found = np.zeros((nest.rows, part.shape[1]), np.uint64)
        found[rows] = part
    return Dense(found if found is not None else np.zeros((0, 0), np.uint64))
