"""Print a `Code` as assembly text; `anacc.program.assembly` describes the language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from anacc.program.encode import encode
from anacc.program.isa import TABLE, Role
from anacc.program.model import (
    Access,
    Code,
    Const,
    Instr,
    Loop,
    Node,
    Operand,
    Slice,
    Stream,
)
from anacc.program.wire import VERSION

INDENT = "  "


def disassemble(code: Code, origins: Sequence[str] | None = None) -> str:
    """Print a program's code as assembly text.

    Args:
        code: any code that can be encoded.
        origins: one comment for each stream, such as the ONNX nodes that it came from; an empty
            one is left out.

    Returns:
        Lines of text; `anacc.program.assemble.assemble` gives an equal `Code` back.

    Raises:
        ProgramError: the code cannot be encoded (see `anacc.program.encode.encode`).
    """
    encode(code)  # so that everything below can rely on the types of operands
    return "\n".join(_lines(code, origins)) + "\n"


def _lines(code: Code, origins: Sequence[str] | None) -> Iterator[str]:
    yield f".anacc {VERSION}"
    for position, adc in enumerate(code.adcs):
        yield (
            f".adc {position} phases={adc.phases} multiplier={adc.multiplier} "
            f"shift={adc.shift} maximum={adc.maximum}"
        )
    for position, weight in enumerate(code.weights):
        yield f".weight {position} rows={weight.rows} columns={weight.columns}"
    for position, table in enumerate(code.tables):
        yield (
            f".table {position} base={table.base} entries={table.entries} "
            f"limit={float(table.limit)!r} odd={_yes(table.odd)} "
            f"interpolate={_yes(table.interpolate)}"
        )
    for position, channel in enumerate(code.channels):
        route = f" route={','.join(map(str, channel.route))}" if channel.route else ""
        yield (
            f".channel {position} {channel.format.value} token={channel.token_size} "
            f"capacity={channel.capacity}{route}"
        )
    for position, stream in enumerate(code.streams):
        origin = origins[position] if origins is not None and position < len(origins) else ""
        yield from _stream(position, stream, _printable(" ".join(origin.split())))


def _stream(position: int, stream: Stream, origin: str) -> Iterator[str]:
    # JSON's escapes keep quotes and line ends inside the string, and json.loads reads them back.
    name = _printable(json.dumps(stream.name, ensure_ascii=False))
    comment = f"  ; {origin}" if origin else ""
    unit = f"{stream.unit.kind} {stream.unit.chip}.{stream.unit.index}"
    later = f" round={stream.round}" if stream.round else ""
    yield f".stream {position} {unit} {name}{later}{comment}"
    for number, register in enumerate(stream.registers):
        state = " state" if register.state else ""
        yield f"{INDENT}.register {number} {register.format.value} {register.length}{state}"
    if stream.buffer is not None:
        buffer = stream.buffer
        yield f"{INDENT}.buffer {buffer.format.value} {buffer.size} fill={buffer.fill}"
    yield from _body(stream.body, INDENT)


def _printable(text: str) -> str:
    """A text in which JSON's escapes stand for all characters that could act on a terminal."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _body(body: tuple[Node, ...], indent: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, Loop):
            yield f"{indent}loop {node.count}{' seq' if node.sequential else ''}"
            yield from _body(node.body, indent + INDENT)
            yield f"{indent}end"
        else:
            yield indent + instruction(node)


def instruction(instr: Instr) -> str:
    """One instruction as text, without indentation; its operands must match `isa.TABLE`."""
    declared = TABLE[instr.op].operands
    operands = [
        _operand(operand, each.role) for operand, each in zip(instr.operands, declared, strict=True)
    ]
    return f"{instr.op} {', '.join(operands)}"


def _operand(operand: Operand, role: Role) -> str:
    match operand:
        case Slice():
            end = operand.offset + operand.length
            return f"r{operand.register}[{operand.offset}:{end}]"
        case Access():
            dims = ", ".join(f"{count}:{stride}" for count, stride in operand.dims)
            return f"@{_affine(operand.base, operand.strides)}{{{dims}}}"
        case Const():
            return f"%{_affine(operand.base, operand.strides)}{{{operand.length}}}"
        case _:
            if role is Role.BINARY16:
                return repr(float(operand))
            return f"c{operand}" if role is Role.CHANNEL else str(operand)


def _affine(base: int, strides: tuple[int, ...]) -> str:
    terms = (f"{stride:+d}*i{level}" for level, stride in enumerate(strides) if stride)
    return str(base) + "".join(terms)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
