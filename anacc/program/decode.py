"""Decode the bytes of a program's code member, trusting nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from anacc.errors import ProgramError
from anacc.program.isa import BY_OPCODE, Role
from anacc.program.model import (
    Access,
    Adc,
    Buffer,
    Channel,
    Code,
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
from anacc.program.wire import (
    FORMATS,
    KINDS,
    LOOP,
    MAGIC,
    MAX_DEPTH,
    MAX_VARINT,
    SEQUENTIAL_LOOP,
    VERSION,
    binary16,
)

T = TypeVar("T")


def decode(data: bytes | memoryview) -> Code:
    """Decode a program's code.

    Args:
        data: the bytes of the code member.

    Returns:
        The code; encoding it gives `data` back.  Memory and time are proportional to `data`.
        The rules of `anacc.program.check` are not checked.

    Raises:
        ProgramError: the bytes are not what `anacc.program.encode.encode` writes; the sentence
            names the byte offset.
    """
    reader = _Reader(bytes(data))
    if reader.take(len(MAGIC)) != MAGIC:
        raise reader.fail("there is no code header")
    if (version := reader.unsigned()) != VERSION:
        raise reader.fail(f"code version {version} is not supported, only {VERSION}")
    # The smallest encoding of each kind of item, in bytes, bounds how many can follow.
    adcs, weights, tables, channels, streams = [reader.count(size) for size in (4, 2, 5, 4, 8)]
    code = Code(
        adcs=_repeat(adcs, reader.adc),
        weights=_repeat(weights, reader.weight),
        tables=_repeat(tables, reader.table),
        channels=_repeat(channels, reader.channel),
        streams=_repeat(streams, reader.stream),
    )
    if reader.at != len(data):
        raise reader.fail(f"{len(data) - reader.at} bytes follow the end of the code")
    return code


def _repeat(count: int, read: Callable[[], T]) -> tuple[T, ...]:
    return tuple(read() for _ in range(count))


class _Reader:
    """The bytes, and the offset of the next one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fail(self, reason: str) -> ProgramError:
        return ProgramError(f"code, byte {self.at}: {reason}")

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise self.fail("the code ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise self.fail("the code ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        value = byte = self.byte()
        if byte < 0x80:
            return value
        value, shift = byte & 0x7F, 7
        while byte >= 0x80:
            if shift == 7 * MAX_VARINT:
                raise self.fail(f"an integer is longer than {MAX_VARINT} bytes")
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
        if byte == 0:
            raise self.fail("an integer is not in its shortest form")
        return value

    def signed(self) -> int:
        value = self.unsigned()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def count(self, size: int) -> int:
        """A number of items of at least `size` bytes each."""
        count = self.unsigned()
        if count * size > len(self.data) - self.at:
            raise self.fail(f"{count} items cannot follow in {len(self.data) - self.at} bytes")
        return count

    def flags(self, bits: int) -> tuple[bool, ...]:
        byte = self.byte()
        if byte >> bits:
            raise self.fail(f"there are no flags {byte:#04x}")
        return tuple(bool(byte >> bit & 1) for bit in range(bits))

    def format(self) -> Format:
        if (byte := self.byte()) >= len(FORMATS):
            raise self.fail(f"there is no element format {byte}")
        return FORMATS[byte]

    def binary16(self) -> float:
        data = self.take(2)
        value: float = struct.unpack("<e", data)[0]
        try:
            binary16(value)  # refuses infinities; a NaN is not equal to itself
        except ValueError:
            raise self.fail(f"{value} is not a finite number") from None
        return value

    def adc(self) -> Adc:
        return Adc(self.unsigned(), self.unsigned(), self.unsigned(), self.unsigned())

    def weight(self) -> Weight:
        return Weight(self.unsigned(), self.unsigned())

    def table(self) -> Table:
        base, entries, limit = self.unsigned(), self.unsigned(), self.binary16()
        odd, interpolate = self.flags(2)
        return Table(base, entries, limit, odd, interpolate)

    def channel(self) -> Channel:
        format, token_size, capacity = self.format(), self.unsigned(), self.unsigned()
        return Channel(format, token_size, capacity, _repeat(self.count(1), self.unsigned))

    def register(self) -> Register:
        return Register(self.format(), self.unsigned(), *self.flags(1))

    def stream(self) -> Stream:
        if (kind := self.byte()) >= len(KINDS):
            raise self.fail(f"there is no unit kind {kind}")
        unit = Unit(chip=self.unsigned(), kind=KINDS[kind], index=self.unsigned())
        number = self.unsigned()
        try:
            name = self.take(self.unsigned()).decode()
        except UnicodeDecodeError:
            raise self.fail("the stream's name is not valid UTF-8") from None
        registers = _repeat(self.count(3), self.register)
        (has_buffer,) = self.flags(1)
        buffer = Buffer(self.format(), self.unsigned(), self.signed()) if has_buffer else None
        return Stream(unit, name, registers, buffer, self.body(0), number)

    def body(self, depth: int) -> tuple[Node, ...]:
        # Checked before descending, so that the depth of recursion is bounded.
        if depth > MAX_DEPTH:
            raise self.fail(f"loops nest deeper than {MAX_DEPTH}")
        return tuple(self.node(depth) for _ in range(self.count(2)))

    def node(self, depth: int) -> Node:
        opcode = self.byte()
        if opcode in (LOOP, SEQUENTIAL_LOOP):
            return Loop(self.unsigned(), self.body(depth + 1), opcode == SEQUENTIAL_LOOP)
        if opcode not in BY_OPCODE:
            raise self.fail(f"there is no opcode {opcode:#04x}")
        spec = BY_OPCODE[opcode]
        operands = [self.operand(operand.role, depth) for operand in spec.operands]
        return Instr(spec.name, tuple(operands))

    def operand(self, role: Role, depth: int) -> Operand:
        match role:
            case Role.READ | Role.WRITE:
                return Slice(self.unsigned(), self.unsigned(), self.unsigned())
            case Role.LOAD | Role.STORE:
                base, strides = self.unsigned(), _repeat(depth, self.signed)
                return Access(base, strides, _repeat(self.count(2), self.dim))
            case Role.CONST16 | Role.CONST32:
                return Const(self.unsigned(), _repeat(depth, self.signed), self.unsigned())
            case Role.CHANNEL | Role.INTEGER:
                return self.unsigned()
            case Role.BINARY16:
                return self.binary16()

    def dim(self) -> tuple[int, int]:
        return self.unsigned(), self.signed()
