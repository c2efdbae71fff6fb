"""Operands: every one fits its role in `isa.TABLE`, and the operands of an instruction agree."""

from __future__ import annotations

import math

from anacc.program.checks.fault import place_fault
from anacc.program.checks.ranges import span
from anacc.program.image import Image
from anacc.program.isa import TABLE, Role
from anacc.program.isa import Operand as Declared
from anacc.program.model import Access, Const, Format, Operand, Slice, Stream
from anacc.program.walk import Place, walk
from anacc.program.wire import binary16

# The operands of these are not elementwise: src holds a whole number of vectors like dst, or the
# crossbar relates the two.
_FOLDING = ("maximum", "sum")
_FREE = ("mvm",)

# Dimensions of an access: with the batch and the loops they are axes of one NumPy array.
MAX_DIMENSIONS = 16


def check_operands(image: Image) -> None:
    """Each instruction exists, runs on its stream's unit, and has operands that fit.

    Raises:
        ProgramError: one does not.
    """
    for position, stream in enumerate(image.code.streams):
        for place in walk(stream.body):
            reason = _unknown(stream, place) or _operands(image, stream, place)
            if reason is not None:
                raise place_fault(position, stream, place, reason)


def _unknown(stream: Stream, place: Place) -> str | None:
    spec = TABLE.get(place.instr.op)
    if spec is None:
        return "there is no such instruction"
    if stream.unit.kind not in [unit.value for unit in spec.units]:
        return f"a {stream.unit.kind} cannot execute it"
    if len(place.instr.operands) != len(spec.operands):
        return f"it has {len(place.instr.operands)} operands, not {len(spec.operands)}"
    return None


def _operands(image: Image, stream: Stream, place: Place) -> str | None:
    spec, operands = TABLE[place.instr.op], place.instr.operands
    for declared, operand in zip(spec.operands, operands, strict=True):
        reason = _operand(image, stream, place, declared, operand)
        if reason is not None:
            return f"operand `{declared.name}` {reason}"
    return (
        _agreement(image, stream, place)
        or _lengths(place)
        or _constants(place)
        or _overlap(place)
        or _bounds(place)
    )


def _operand(
    image: Image, stream: Stream, place: Place, declared: Declared, operand: Operand
) -> str | None:
    """Why an operand does not fit its role by itself, if it does not."""
    match declared.role, operand:
        case (Role.READ | Role.WRITE, Slice()):
            return _slice(stream, declared, operand)
        case (Role.LOAD | Role.STORE, Access()):
            return _access(stream, place, operand)
        case (Role.CONST16, Const()):
            return _const(len(image.constants16), place, operand)
        case (Role.CONST32, Const()):
            return _const(len(image.constants32), place, operand)
        case (Role.CHANNEL | Role.INTEGER, int()):
            return _number(image, declared.name, operand)
        case (Role.BINARY16, float() | int()):
            try:
                binary16(operand)
            except ValueError:
                return f"is {operand}, not a finite binary16 number"
            return None
    return f"is a {type(operand).__name__}, not a {declared.role.value}"


def _slice(stream: Stream, declared: Declared, operand: Slice) -> str | None:
    if not 0 <= operand.register < len(stream.registers):
        return f"names register {operand.register}, but there are {len(stream.registers)}"
    register = stream.registers[operand.register]
    if operand.offset < 0 or operand.length < 1:
        return f"is not a slice: offset {operand.offset}, length {operand.length}"
    if operand.offset + operand.length > register.length:
        return (
            f"ends at element {operand.offset + operand.length} of register "
            f"{operand.register}, which has {register.length}"
        )
    if declared.formats and register.format not in declared.formats:
        wanted = " or ".join(each.value for each in declared.formats)
        return f"is {register.format.value}, not {wanted}"
    return None


def _access(stream: Stream, place: Place, operand: Access) -> str | None:
    if stream.buffer is None:
        return "needs a buffer, and the stream has none"
    if len(operand.strides) != len(place.loops):
        return f"has {len(operand.strides)} strides inside {len(place.loops)} loops"
    if len(operand.dims) > MAX_DIMENSIONS:
        return f"has {len(operand.dims)} dimensions, more than {MAX_DIMENSIONS}"
    if any(count < 1 for count, _ in operand.dims):
        return "has a dimension without elements"
    first, last = span(operand, place.loops)
    if first < 0 or last >= stream.buffer.size:
        return f"reaches elements {first} to {last} of a buffer of {stream.buffer.size}"
    return None


def _const(size: int, place: Place, operand: Const) -> str | None:
    if len(operand.strides) != len(place.loops):
        return f"has {len(operand.strides)} strides inside {len(place.loops)} loops"
    if operand.length < 1:
        return "holds no constant"
    first, last = span(operand, place.loops)
    if first < 0 or last >= size:
        return f"reaches constants {first} to {last} of a pool of {size}"
    return None


def _number(image: Image, name: str, operand: int) -> str | None:
    """An item that is named by its number exists; `row` and `column` are checked elsewhere."""
    items: dict[str, tuple[object, ...]] = {
        "channel": image.code.channels,
        "weight": image.code.weights,
        "adc": image.code.adcs,
        "table": image.code.tables,
        "border": image.manifest.borders,
        "segment": image.manifest.segments,
    }
    if operand < 0:
        return f"is {operand}, less than zero"
    if name in items and operand >= len(items[name]):
        return f"is {operand}, but there are {len(items[name])}"
    return None


def _agreement(image: Image, stream: Stream, place: Place) -> str | None:
    """Format and size of a register equal those of the channel or buffer on the other side."""
    instr = place.instr
    slices = [operand for operand in instr.operands if isinstance(operand, Slice)]
    formats = [stream.registers[each.register].format for each in slices]
    if instr.op in ("recv", "send"):
        (number,) = (operand for operand in instr.operands if isinstance(operand, int))
        channel = image.code.channels[number]
        if channel.format is Format.TENSOR:
            return f"channel {number} holds tensors, which only the host moves"
        return _same(slices[0], formats[0], channel.token_size, channel.format)
    if instr.op in ("load", "store") and stream.buffer is not None:
        (access,) = (operand for operand in instr.operands if isinstance(operand, Access))
        length = math.prod(count for count, _ in access.dims)
        return _same(slices[0], formats[0], length, stream.buffer.format)
    if instr.op == "copy" and formats[0] is not formats[1]:
        return f"dst is {formats[0].value}, src {formats[1].value}"
    return None


def _same(slice: Slice, format: Format, length: int, other: Format) -> str | None:
    if format is not other:
        return f"the register is {format.value}, the other side {other.value}"
    if slice.length != length:
        return f"the register has {slice.length} elements, the other side {length}"
    return None


def _lengths(place: Place) -> str | None:
    """Elementwise operands have one length; folding ones a multiple of it."""
    lengths = [each.length for each in place.instr.operands if isinstance(each, Slice)]
    if place.instr.op in _FOLDING:
        if lengths[1] % lengths[0]:
            return f"src has {lengths[1]} elements, not a multiple of dst's {lengths[0]}"
    elif place.instr.op not in _FREE and len(set(lengths)) > 1:
        return f"the operands have {' and '.join(map(str, lengths))} elements"
    return None


def _constants(place: Place) -> str | None:
    """There is a constant for each element, or one for all."""
    lengths = [each.length for each in place.instr.operands if isinstance(each, Slice)]
    for operand in place.instr.operands:
        if isinstance(operand, Const) and operand.length not in (1, lengths[0]):
            return f"there are {operand.length} constants for {lengths[0]} elements"
    return None


def _overlap(place: Place) -> str | None:
    """dst is a source or is disjoint from it, so that the order of elements cannot matter."""
    operands = place.instr.operands
    declared = TABLE[place.instr.op].operands
    slices = [
        (operand, each.role)
        for operand, each in zip(operands, declared, strict=True)
        if isinstance(operand, Slice)
    ]
    for dst, role in slices:
        for src, other in slices:
            if role is not Role.WRITE or other is not Role.READ or dst == src:
                continue
            apart = dst.offset >= src.offset + src.length or src.offset >= dst.offset + dst.length
            if dst.register == src.register and not apart:
                return "dst overlaps a source without being it"
    return None


def _bounds(place: Place) -> str | None:
    """A clamp's lower bound is not above the upper."""
    if place.instr.op == "clamp":
        *_, low, high = place.instr.operands
        if isinstance(low, float | int) and isinstance(high, float | int) and low > high:
            return f"low {low} is above high {high}"
    return None
