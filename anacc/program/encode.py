"""Encode a `Code` as the bytes of a program's code member."""

from __future__ import annotations

from anacc.errors import ProgramError
from anacc.program.isa import TABLE, Role
from anacc.program.model import Access, Code, Const, Instr, Loop, Node, Operand, Slice, Stream
from anacc.program.names import shown
from anacc.program.wire import (
    FORMATS,
    KINDS,
    LOOP,
    MAGIC,
    MAX_DEPTH,
    MAX_SIGNED,
    MAX_UNSIGNED,
    MIN_SIGNED,
    SEQUENTIAL_LOOP,
    VERSION,
    binary16,
)


def encode(code: Code) -> bytes:
    """Encode a program's code; `anacc.program.decode.decode` gives an equal `Code` back.

    Args:
        code: any code whose instructions have the operands that `isa.TABLE` lists; the rules that
            `anacc.program.check` enforces need not hold.

    Returns:
        The only encoding of this code.

    Raises:
        ProgramError: an operand has the wrong type or is out of the encoding's range, an access
            does not have one stride for each enclosing loop, or loops nest too deeply.
    """
    writer = _Writer()
    writer.data += MAGIC
    writer.unsigned(VERSION)
    for items in (code.adcs, code.weights, code.tables, code.channels, code.streams):
        writer.unsigned(len(items))
    for position, adc in enumerate(code.adcs):
        writer.where = f"converter setting {position}"
        writer.unsigned(adc.phases, adc.multiplier, adc.shift, adc.maximum)
    for position, weight in enumerate(code.weights):
        writer.where = f"weight block {position}"
        writer.unsigned(weight.rows, weight.columns)
    for position, table in enumerate(code.tables):
        writer.where = f"table {position}"
        writer.unsigned(table.base, table.entries)
        writer.binary16(table.limit)
        writer.flags(table.odd, table.interpolate)
    for position, channel in enumerate(code.channels):
        writer.where = f"channel {position}"
        writer.data.append(FORMATS.index(channel.format))
        writer.unsigned(channel.token_size, channel.capacity, len(channel.route), *channel.route)
    for position, stream in enumerate(code.streams):
        writer.where = f"stream {position} `{shown(stream.name)}`"
        writer.stream(stream)
    return bytes(writer.data)


class _Writer:
    """The bytes so far, and what is being encoded, for messages."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.where = "code"

    def fail(self, reason: str) -> ProgramError:
        return ProgramError(f"{self.where}: {reason}")

    def unsigned(self, *values: int) -> None:
        for value in values:
            self._integer(value, 0, MAX_UNSIGNED)
            self._varint(value)

    def signed(self, *values: int) -> None:
        for value in values:
            self._integer(value, MIN_SIGNED, MAX_SIGNED)
            self._varint(2 * value if value >= 0 else -2 * value - 1)

    def _integer(self, value: int, low: int, high: int) -> None:
        if type(value) is not int:
            raise self.fail(f"{value!r} is a {type(value).__name__}, not an int")
        if not low <= value <= high:
            raise self.fail(f"{value} lies outside {low} to {high}")

    def _varint(self, value: int) -> None:
        while value > 0x7F:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)

    def binary16(self, value: float) -> None:
        if type(value) not in (float, int):
            raise self.fail(f"{value!r} is a {type(value).__name__}, not a float")
        try:
            self.data += binary16(value)
        except ValueError:
            raise self.fail(f"{value!r} is not a finite binary16 number") from None

    def flags(self, *values: bool) -> None:
        if any(type(value) is not bool for value in values):
            raise self.fail(f"{values!r} must be bools")
        self.data.append(sum(value << bit for bit, value in enumerate(values)))

    def stream(self, stream: Stream) -> None:
        if stream.unit.kind not in KINDS:
            raise self.fail(f"there is no unit kind `{stream.unit.kind}`")
        self.data.append(KINDS.index(stream.unit.kind))
        self.unsigned(stream.unit.chip, stream.unit.index, stream.round)
        try:
            name = stream.name.encode()
        except UnicodeEncodeError:
            raise self.fail("the name is not valid Unicode") from None
        self.unsigned(len(name))
        self.data += name
        self.unsigned(len(stream.registers))
        for register in stream.registers:
            self.data.append(FORMATS.index(register.format))
            self.unsigned(register.length)
            self.flags(register.state)
        self.flags(stream.buffer is not None)
        if stream.buffer is not None:
            self.data.append(FORMATS.index(stream.buffer.format))
            self.unsigned(stream.buffer.size)
            self.signed(stream.buffer.fill)
        self.body(stream.body, 0)

    def body(self, body: tuple[Node, ...], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.fail(f"loops nest deeper than {MAX_DEPTH}")
        self.unsigned(len(body))
        for node in body:
            if isinstance(node, Loop):
                self.data.append(SEQUENTIAL_LOOP if node.sequential else LOOP)
                self.unsigned(node.count)
                self.body(node.body, depth + 1)
            else:
                self.instr(node, depth)

    def instr(self, instr: Instr, depth: int) -> None:
        spec = TABLE.get(instr.op)
        if spec is None:
            raise self.fail(f"there is no instruction `{instr.op}`")
        if len(instr.operands) != len(spec.operands):
            raise self.fail(
                f"`{instr.op}` has {len(instr.operands)} operands, not {len(spec.operands)}"
            )
        self.data.append(spec.opcode)
        for operand, declared in zip(instr.operands, spec.operands, strict=True):
            if not self.operand(operand, declared.role, depth):
                raise self.fail(
                    f"`{instr.op}`: operand `{declared.name}` is a {type(operand).__name__}"
                )

    def operand(self, operand: Operand, role: Role, depth: int) -> bool:
        """Encode an operand; False if its type is not that of the role."""
        match role, operand:
            case (Role.READ | Role.WRITE, Slice()):
                self.unsigned(operand.register, operand.offset, operand.length)
            case (Role.LOAD | Role.STORE, Access()):
                self.unsigned(operand.base)
                self.strides(operand.strides, depth)
                self.unsigned(len(operand.dims))
                for count, stride in operand.dims:
                    self.unsigned(count)
                    self.signed(stride)
            case (Role.CONST16 | Role.CONST32, Const()):
                self.unsigned(operand.base)
                self.strides(operand.strides, depth)
                self.unsigned(operand.length)
            case (Role.CHANNEL | Role.INTEGER, int()):
                self.unsigned(operand)
            case (Role.BINARY16, float() | int()):
                self.binary16(operand)
            case _:
                return False
        return True

    def strides(self, strides: tuple[int, ...], depth: int) -> None:
        # The decoder knows the depth, so the number of strides is not stored.
        if len(strides) != depth:
            raise self.fail(f"an access has {len(strides)} strides inside {depth} loops")
        self.signed(*strides)
