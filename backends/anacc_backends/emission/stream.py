"""Writing a stream: registers, loops, constants."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import IrError
from anacc.ir import Channel as ChannelType
from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel
from anacc.program.model import (
    Adc,
    Buffer,
    Const,
    Format,
    Instr,
    Loop,
    Node,
    Operand,
    Register,
    Slice,
    Stream,
    Table,
    Unit,
    Weight,
)
from anacc.targets import Target
from anacc_passes.binary16 import binary16

FORMATS = {"i8": Format.INT8, "f16": Format.BINARY16, "tensor": Format.TENSOR}


@dataclass
class Pool:
    """Constants of one format; equal runs are stored once."""

    dtype: type[np.float16] | type[np.float32]
    chunks: list[npt.NDArray[Any]] = field(default_factory=list)
    size: int = 0
    known: dict[bytes, int] = field(default_factory=dict)

    def add(self, values: npt.ArrayLike) -> int:
        """The position of the values in the pool; they are appended if they are not in it yet."""
        array = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1)
        key = array.tobytes()
        if key not in self.known:
            self.known[key] = self.size
            self.chunks.append(array)
            self.size += array.size
        return self.known[key]

    def array(self) -> npt.NDArray[Any]:
        """The whole pool."""
        return np.concatenate(self.chunks) if self.chunks else np.zeros(0, self.dtype)


@dataclass
class Emission:
    """What all streams of a program share while it is written.

    Attributes:
        module: the routed chip module.
        target: the chip.
        numbers: number of each channel by its name.
    """

    module: Module
    target: Target
    numbers: dict[str, int]
    constants16: Pool = field(default_factory=lambda: Pool(np.float16))
    constants32: Pool = field(default_factory=lambda: Pool(np.float32))
    adcs: dict[Adc, int] = field(default_factory=dict)
    weights: list[npt.NDArray[np.int8]] = field(default_factory=list)
    blocks: dict[Hashable, int] = field(default_factory=dict)  # number of each weight block
    tables: list[Table] = field(default_factory=list)

    def channel(self, name: str) -> ChannelType:
        """The type of a channel."""
        return channel(self.module, name)

    def adc(self, settings: Adc) -> int:
        """The number of converter settings."""
        return self.adcs.setdefault(settings, len(self.adcs))

    def weight(self, codes: npt.NDArray[np.int8], block: Hashable) -> int:
        """The number of a weight block, which is stored once."""
        if block not in self.blocks:
            self.blocks[block] = len(self.weights)
            self.weights.append(codes)
        return self.blocks[block]

    def weight_shapes(self) -> tuple[Weight, ...]:
        """Declarations of all weight blocks."""
        return tuple(Weight(*(int(n) for n in codes.shape)) for codes in self.weights)

    def scalar(self, value: float) -> Const:
        """A binary16 constant that is broadcast."""
        return self.vector(binary16([value], "a scale"))

    def vector(self, values: npt.NDArray[Any]) -> Const:
        """Binary16 constants, one for each element (a single one is broadcast)."""
        return Const(self.constants16.add(values), (), values.size)

    def tanh(self) -> int:
        """The number of the table of tanh, which is made on first use."""
        shape = self.target.gdpu.tanh_table
        segments, limit = shape.segments.value, shape.input_limit.value
        entries = np.tanh(np.arange(segments + 1) * (limit / segments))
        return self._table(entries, limit, True, shape.interpolation.value)

    def table(self, op: Op) -> int:
        """The number of the table of a chip op that computes `table`."""
        shape = self.target.gdpu.function_table
        if shape is None:
            raise IrError(f"op `{op.kind}`: the target has no general tables")
        samples = self.module.constants[op.operands[4]]
        odd = op.attributes["odd"] is True
        return self._table(samples, op.number("limit"), odd, shape.interpolation.value)

    def _table(self, entries: npt.NDArray[Any], limit: float, odd: bool, between: str) -> int:
        """The number of a table; equal ones are one."""
        table = Table(self.constants16.add(entries), entries.size, limit, odd, between == "linear")
        if table not in self.tables:
            self.tables.append(table)
        return self.tables.index(table)


class StreamWriter:
    """Builds one stream, instruction by instruction."""

    def __init__(self, emission: Emission, unit: str, name: str) -> None:
        self.emission = emission
        kind, place = unit.split(" ")
        chip, index = place.split(".")
        self.unit = Unit(int(chip), kind, int(index))
        self.name = name
        self.registers: list[Register] = []
        self.buffer: Buffer | None = None
        self._bodies: list[list[Node]] = [[]]
        self._at_hand: list[dict[str, Slice]] = [{}]  # received tokens, for each open scope

    def register(self, form: str | Format, length: int, state: bool = False) -> Slice:
        """A new register, as the slice of all its elements."""
        kind = form if isinstance(form, Format) else FORMATS[form]
        self.registers.append(Register(kind, length, state))
        return Slice(len(self.registers) - 1, 0, length)

    def op(self, name: str, *operands: Operand) -> None:
        """Append an instruction.  A constant without strides gets a zero for each open loop."""
        depth = len(self._bodies) - 1
        padded = tuple(
            Const(item.base, (0,) * depth, item.length)
            if isinstance(item, Const) and not item.strides
            else item
            for item in operands
        )
        self._bodies[-1].append(Instr(name, padded))

    @contextmanager
    def loop(self, count: int, *, sequential: bool = False) -> Iterator[None]:
        """Open a loop for the instructions that follow."""
        self._bodies.append([])
        with self._scope():
            yield
        body = self._bodies.pop()
        self._bodies[-1].append(Loop(count, tuple(body), sequential))

    @contextmanager
    def loops(self, counts: Sequence[int]) -> Iterator[None]:
        """Open nested parallel loops, outermost first; none if there are no counts."""
        if not counts:
            with self._scope():
                yield
            return
        with self.loop(counts[0]), self.loops(counts[1:]):
            yield

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """A stretch of instructions in which a token that was received is at hand."""
        self._at_hand.append({})
        yield
        self._at_hand.pop()

    def receive(self, channel: str, into: Slice | None = None) -> Slice:
        """The next token of a channel, in a slice or in a new register.  Where an op takes one
        channel as two operands, both get the same token."""
        kind = self.emission.channel(channel)
        known = self._at_hand[-1].get(channel)
        if known is not None and into is None:
            return known
        slot = into or self.register(kind.format, kind.token_size)
        if known is not None:
            self.op("copy", slot, known)
        else:
            self.op("recv", slot, self.emission.numbers[channel])
            self._at_hand[-1][channel] = slot
        return slot

    def receive_parts(self, channels: Sequence[str], into: Slice | None = None) -> Slice:
        """Receive a token of each channel, side by side."""
        kinds = [self.emission.channel(channel) for channel in channels]
        whole = into or self.register(kinds[0].format, sum(kind.token_size for kind in kinds))
        offset = whole.offset
        for name, kind in zip(channels, kinds, strict=True):
            self.receive(name, Slice(whole.register, offset, kind.token_size))
            offset += kind.token_size
        return whole

    def send(self, channel: str, source: Slice) -> None:
        """Send a slice as a token."""
        self.op("send", self.emission.numbers[channel], source)

    def send_parts(self, channels: Sequence[str], source: Slice) -> None:
        """Cut a slice into the tokens of the channels, in order."""
        offset = source.offset
        for name in channels:
            size = self.emission.channel(name).token_size
            self.send(name, Slice(source.register, offset, size))
            offset += size

    def multiply_by(self, slot: Slice, factor: float) -> None:
        """Multiply a binary16 slice by a positive number; see `scale`."""
        if factor != 1.0:
            self.scale(slot, slot, factor)

    def scale(self, into: Slice, source: Slice, factor: float) -> None:
        """into = source * factor, for any factor from 0 on: in steps of powers of two where one
        binary16 constant does not hold it exactly enough."""
        for step in _steps(factor):
            self.op("scale", into, source, self.emission.scalar(step))
            source = into

    def deliver(self, codes: str, values: str, source: Slice) -> None:
        """Send binary16 values as they are, and quantised, to the channels that are wanted."""
        if values:
            self.send(values, source)
        if codes:
            quantised = self.register("i8", source.length)
            self.op("quantise", quantised, source)
            self.send(codes, quantised)

    def finish(self) -> Stream:
        """The stream."""
        (body,) = self._bodies
        return Stream(self.unit, self.name, tuple(self.registers), self.buffer, tuple(body))


def _steps(factor: float) -> list[float]:
    """Factors whose product is the given one, each a normal binary16 number, the last the rest."""
    steps = []
    while factor > 2.0**15:
        steps.append(2.0**15)
        factor /= 2.0**15
    while 0.0 < factor < 2.0**-14:
        steps.append(2.0**-14)
        factor *= 2.0**14
    return [*steps, factor]
