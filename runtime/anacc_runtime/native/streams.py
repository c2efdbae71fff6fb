"""Lowers a stream: instructions become operations, and moves disappear where they can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Access, Buffer, Format, Instr, Slice
from anacc.program.walk import Path, walk
from anacc_runtime.native.bindings import Bindings, Snapshot
from anacc_runtime.native.channels import Channels
from anacc_runtime.native.compute import Compute
from anacc_runtime.native.contents import contents
from anacc_runtime.native.draft import Draft
from anacc_runtime.native.layers import registers_read, step_writes
from anacc_runtime.native.operations import Fill, Scatter
from anacc_runtime.native.storage import ITEM, Nest, Reference, Storage, merged
from anacc_runtime.native.support import Unsupported
from anacc_runtime.plan import Affine, Plan, Repeat, Step, overlap


@dataclass(frozen=True)
class Wait:
    """A stream needs a token of a channel of its feedback loop."""

    channel: int


@dataclass(frozen=True)
class Enter:
    """A stream has come to the loop in which it and others pass tokens round."""

    count: int


@dataclass(frozen=True)
class Leave:
    """A stream has come to the end of that loop's body."""


Event = Wait | Enter | Leave


class StreamLowering:
    """Lowers one stream of the chip.

    Args:
        image: the program.
        number: of the stream.
        plans: what to execute, with its layers fused.
        feedback: channels on which it waits for streams that wait for it.
        draft: where operations go.
        channels: of the phase.
        levels: for each (channel, reader) in feedback, tokens that are there to be taken.
        readers: the streams that read each channel in feedback.
        buffers: those of streams of the phase that were lowered before, by what they hold.
    """

    def __init__(
        self,
        image: Image,
        number: int,
        plans: tuple[Plan, ...],
        feedback: frozenset[int],
        draft: Draft,
        channels: Channels,
        levels: Counter[tuple[int, int]],
        readers: dict[int, tuple[int, ...]],
        buffers: dict[Hashable, Storage],
    ) -> None:
        self.taken = 0  # tokens of feedback channels
        self._image = image
        self._number = number
        self._stream = image.code.streams[number]
        self._plans = plans
        self._feedback = feedback
        self._draft = draft
        self._channels = channels
        self._levels = levels
        self._readers = readers
        held = None if feedback else contents(self._stream, plans)
        self._stored = held is not None and held in buffers  # by another stream
        self._buffer = buffers[held] if self._stored else None
        if self._stream.buffer and self._buffer is None:
            self._buffer = self._make_buffer(self._stream.buffer)
            if held is not None:
                buffers[held] = self._buffer

    def run(self) -> Iterator[Event]:
        """Emit the operations of the stream; yields where it must wait for other streams."""
        for plan in self._plans:
            # A later plan computes again what it needs of an earlier one; only the buffer is kept.
            self._bindings = Bindings(self._stream.registers, self._draft)
            self._compute = Compute(self._image, self._number, self._draft, self._bindings)
            if states := self._bindings.state():
                self._draft.begin_group(Nest())
                for state in states:
                    target = self._draft.operand(state, Nest())
                    self._draft.emit(Fill(target, state.length * state.item, b"\0"))
            self._all_reads = Counter(registers_read(plan))
            yield from self._nodes(plan, Nest(), ())
        for channel in self._sent():
            self._channels.finish(channel)

    def _make_buffer(self, buffer: Buffer) -> Storage:
        item = ITEM[buffer.format]
        storage = self._draft.storage(buffer.size * item)
        stored = 0
        for place in walk(self._stream.body):
            if place.instr.op == "store" and isinstance(place.instr.operands[0], Access):
                executions = 1
                for loop in place.loops:
                    executions *= loop.count
                stored += executions * place.instr.operands[0].length
        # Each element is stored once at most.
        if stored < buffer.size:
            storage.nonnegative = buffer.fill >= 0
            self._draft.begin_group(Nest())
            whole = Reference(storage, item, buffer.size, 0, ())
            self._draft.emit(
                Fill(self._draft.operand(whole, Nest()), storage.size, fill_pattern(buffer))
            )
        return storage

    def _sent(self) -> list[int]:
        """The channels that the stream sends to."""
        channels = (
            place.instr.operands[0] for place in walk(self._stream.body) if place.instr.op == "send"
        )
        return sorted({channel for channel in channels if isinstance(channel, int)})

    def _nodes(self, plan: Plan, nest: Nest, path: Path) -> Iterator[Event]:
        position = 0
        while position < len(plan):
            node = plan[position]
            if isinstance(node, Repeat):
                yield from self._repeat(node, nest, path)
                position += 1
                continue
            end = position
            while end < len(plan) and isinstance(plan[end], Step):
                end += 1
            steps = [step for step in plan[position:end] if isinstance(step, Step)]
            yield from self._steps(steps, nest, path)
            position = end

    def _repeat(self, node: Repeat, nest: Nest, path: Path) -> Iterator[Event]:
        saved = self._bindings.save()
        if not node.iterate and not any(nest.iterated):
            inner = nest.enter(node.count, iterated=False, sequential=False)
            yield from self._nodes(node.body, inner, node.path)
            self._bindings.restore(saved)
            return
        if (nest.axes or not node.iterate) and {"load", "store"} <= _ops(node.body):
            # A load may find what another iteration of the parallel loop, or another position, has
            # stored in the same step of the sequential one; here each goes through all steps alone.
            raise Unsupported("a parallel loop and a sequential one store and load together")
        inner = nest.enter(node.count, iterated=True, sequential=node.sequential)
        if not nest.counts and not self._feedback.isdisjoint(_channels_of(node.body)):
            yield Enter(node.count)
            yield from self._nodes(node.body, inner, path)
            self._keep(node, nest, inner, path, saved)
            yield Leave()
        else:
            self._draft.begin_group(nest)
            with self._draft.loop(node.count):
                yield from self._nodes(node.body, inner, path)
                self._keep(node, nest, inner, path, saved)

    def _keep(self, node: Repeat, nest: Nest, inner: Nest, path: Path, saved: Snapshot) -> None:
        """At the end of an iteration, copy what is read after the loop to where it stays."""
        later = self._all_reads - Counter(registers_read(node.body))
        self._bindings.enter(inner, path)
        self._bindings.leave(saved, nest, set(later))

    def _steps(self, steps: Sequence[Step], nest: Nest, path: Path) -> Iterator[Event]:
        """Instructions without loops between them."""
        self._bindings.enter(nest, path)
        self._draft.begin_group(nest)
        stored = False
        sent: set[Path] = set()  # sends whose token was computed right where it goes
        for position, step in enumerate(steps):
            match step.instr.op, step.instr.operands:
                case "recv", (Slice() as dst, int(channel)):
                    while not self._take(channel):
                        yield Wait(channel)
                        self._draft.begin_group(nest)
                    source = self._channels.source(channel, _token(step), nest)
                    self._move(dst, source, nest)
                case "send", (int(channel), Slice() as src):
                    if step.path not in sent:
                        self._send(channel, src, step, nest)
                    self._give(channel)
                case "load", (Slice() as dst, Access() as access):
                    if stored:
                        # Other positions may store what this one loads.
                        self._draft.begin_group(nest)
                        stored = False
                    self._move(dst, self._access(access), nest)
                case "store", (Access() as access, Slice() as src):
                    self._store(access, src, nest)
                    stored = True
                case "copy", (Slice() as dst, Slice() as src):
                    self._move(dst, self._bindings.locate(src), nest)
                case "program", (int(weight), int(row), int(column)):
                    self._compute.crossbar.program(self._image, weight, row, column)
                case _:
                    targets = []
                    for target in step_writes(step):
                        send = self._send_of(target, steps[position + 1 :], sent)
                        targets.append(self._target(target, send, nest))
                        if send is not None:
                            sent.add(send.path)
                    self._compute.execute(step, targets, nest)

    def _move(self, dst: Slice, source: Reference, nest: Nest) -> None:
        """Let a slice be what is at a reference; what may change there is copied."""
        if self._stream.registers[dst.register].state or self._bindings.owns(source.storage):
            target = self._bindings.home(dst)
            self._draft.copy(target, source, nest)
            source = target
        self._bindings.bind(dst, source)

    def _target(self, dst: Slice, send: Step | None, nest: Nest) -> Reference:
        """Where the result of an instruction goes: into the token of a later send, or home."""
        if send is None or not isinstance(send.instr.operands[0], int):
            return self._bindings.home(dst)
        return self._channels.target(send.instr.operands[0], _token(send), nest)

    def _send_of(self, dst: Slice, later: Sequence[Step], sent: set[Path]) -> Step | None:
        """The send that takes all of what is written to a slice, if nothing changes it before."""
        if self._stream.registers[dst.register].state:
            return None
        for step in later:
            if step.instr.op == "send" and step.instr.operands[1] == dst and step.path not in sent:
                return step
            if any(overlap(target, dst) for target in step_writes(step)):
                return None
        return None

    def _send(self, channel: int, src: Slice, step: Step, nest: Nest) -> None:
        pieces = self._bindings.find(src)
        source = pieces[0].reference if len(pieces) == 1 else None
        if (
            source is not None
            and source.storage is self._buffer
            and not any(nest.iterated)
            and self._channels.send_window(channel, _token(step), nest, source)
        ):
            return
        target = self._channels.target(channel, _token(step), nest)
        for piece in pieces:
            offset = piece.offset - src.offset
            self._draft.copy(target.part(offset, piece.length), piece.reference, nest)

    def _access(self, access: Access) -> Reference:
        if self._buffer is None or self._stream.buffer is None:
            raise Unsupported("a stream without a buffer accesses one")
        item = ITEM[self._stream.buffer.format]
        strides = tuple(stride * item for stride in access.strides)
        dims = tuple((count, stride * item) for count, stride in access.dims)
        base = access.base * item
        if merged(dims, item)[0]:
            return Reference(self._buffer, item, access.length, base, strides, dims)
        return Reference(self._buffer, item, access.length, base, strides)

    def _store(self, access: Access, src: Slice, nest: Nest) -> None:
        if self._stored:
            return
        target = self._access(access)
        source = self._bindings.together(src)
        dims, element = target.pattern()
        to, of = self._draft.operand(target, nest), self._draft.operand(source, nest)
        self._draft.emit(Scatter(to, of, dims, element))
        target.storage.nonnegative &= source.storage.nonnegative

    def _take(self, channel: int) -> bool:
        """Take a token of a channel; False where it is not there yet."""
        if channel not in self._feedback:
            return True
        taken = self._levels[channel, self._number] > 0
        self._levels[channel, self._number] -= taken
        self.taken += taken
        return taken

    def _give(self, channel: int) -> None:
        for reader in self._readers.get(channel, ()):
            self._levels[channel, reader] += 1


def fill_pattern(buffer: Buffer) -> bytes:
    """The bytes of one element of a buffer's fill."""
    if buffer.format is Format.BINARY16:
        return np.float16(buffer.fill).tobytes()
    return buffer.fill.to_bytes(ITEM[buffer.format], "little", signed=True)


def _token(step: Step) -> Affine:
    if step.token is None:
        raise Unsupported("a recv or send has no token index")
    return step.token


def _instructions(plan: Plan) -> Iterator[Instr]:
    for node in plan:
        if isinstance(node, Repeat):
            yield from _instructions(node.body)
        else:
            yield node.instr


def _ops(plan: Plan) -> set[str]:
    return {instr.op for instr in _instructions(plan)}


def _channels_of(plan: Plan) -> set[int]:
    """The channels that a plan receives from or sends to."""
    moves = [instr for instr in _instructions(plan) if instr.op in ("recv", "send")]
    return {operand for instr in moves for operand in instr.operands if isinstance(operand, int)}
