"""Read assembly text as a `Code`; `anacc.program.assembly` describes the language."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TypeVar

from anacc.errors import ProgramError
from anacc.program.assemble_line import Line, fail, operand
from anacc.program.encode import encode
from anacc.program.isa import TABLE
from anacc.program.model import (
    Adc,
    Buffer,
    Channel,
    Code,
    Format,
    Instr,
    Loop,
    Node,
    Register,
    Stream,
    Table,
    Unit,
    Weight,
)
from anacc.program.wire import KINDS, MAX_DEPTH, VERSION

T = TypeVar("T")

_FORMATS = {format.value: format for format in Format}
_UNIT = re.compile(r"([0-9]{1,20})\.([0-9]{1,20})")


@dataclass
class _Open:
    """A loop whose end has not been read: where it began, its count and kind, its body so far."""

    number: int
    count: int
    sequential: bool
    body: list[Node] = field(default_factory=list)


@dataclass
class _Stream:
    """A stream that is being read; `bodies` holds the open loops, its own body first."""

    unit: Unit
    name: str
    bodies: list[_Open]
    round: int = 0
    registers: list[Register] = field(default_factory=list)
    buffer: Buffer | None = None


def assemble(text: str) -> Code:
    """Read assembly text.

    Args:
        text: what `anacc.program.disassemble.disassemble` prints, or the like written by hand.

    Returns:
        The code; the rules of `anacc.program.check` are not checked.

    Raises:
        ProgramError: the text is not in the language; the sentence names the line, the hint says
            what is expected there.
    """
    assembler = _Assembler()
    for number, source in enumerate(text.split("\n"), start=1):
        line = Line(number, source)
        if not line.done():
            assembler.line(line)
    code = assembler.finish()
    encode(code)  # refuses what only the encoding limits, such as integers above 63 bits
    return code


class _Assembler:
    """What has been read so far."""

    def __init__(self) -> None:
        self.started = False
        self.adcs: list[Adc] = []
        self.weights: list[Weight] = []
        self.tables: list[Table] = []
        self.channels: list[Channel] = []
        self.streams: list[Stream] = []
        self.stream: _Stream | None = None

    def line(self, line: Line) -> None:
        word = line.word()
        if not self.started:
            if word != ".anacc" or line.integer() != VERSION:
                raise fail(line, "the text does not begin with its version", f".anacc {VERSION}")
            self.started = True
        elif word.startswith("."):
            self.declaration(word, line)
        elif word == "loop":
            self.loop(line)
        elif word == "end":
            self.end(line)
        else:
            self.instruction(word, line)
        if not line.done():
            raise fail(line, f"`{line.rest()}` follows the end of the statement", "one a line")

    def declaration(self, word: str, line: Line) -> None:
        match word:
            case ".adc":
                keys = ("phases", "multiplier", "shift", "maximum")
                self.number(line, self.adcs)
                self.adcs.append(Adc(*(line.value(key) for key in keys)))
            case ".weight":
                self.number(line, self.weights)
                self.weights.append(Weight(line.value("rows"), line.value("columns")))
            case ".table":
                self.number(line, self.tables)
                self.tables.append(
                    Table(
                        base=line.value("base"),
                        entries=line.value("entries"),
                        limit=line.number("limit"),
                        odd=line.yes("odd"),
                        interpolate=line.yes("interpolate"),
                    )
                )
            case ".channel":
                self.number(line, self.channels)
                format = self.format(line)
                token, capacity = line.value("token"), line.value("capacity")
                self.channels.append(Channel(format, token, capacity, line.route()))
            case ".stream":
                self.close(line)
                self.number(line, self.streams)
                self.stream = self.header(line)
            case ".register":
                stream = self.inside(line)
                self.number(line, stream.registers)
                format, length = self.format(line), line.integer()
                state = not line.done()
                if state and line.word() != "state":
                    raise fail(line, "a register has an unknown property", "`state` or nothing")
                stream.registers.append(Register(format, length, state))
            case ".buffer":
                stream = self.inside(line)
                if stream.buffer is not None:
                    raise fail(line, "the stream has a buffer already", "one buffer at most")
                stream.buffer = Buffer(self.format(line), line.integer(), line.value("fill"))
            case _:
                raise fail(line, f"there is no declaration `{word}`", ".register, for example")

    def header(self, line: Line) -> _Stream:
        kind = line.word()
        match = _UNIT.fullmatch(line.word())
        if kind not in KINDS or match is None:
            raise fail(line, "there is no such unit", "core 0.12, that is kind, chip, index")
        try:
            name = json.loads(line.string())
            name.encode()  # refuses halves of surrogate pairs
        except ValueError:
            raise fail(line, "the stream's name is malformed", "a string as in JSON") from None
        unit = Unit(int(match[1]), kind, int(match[2]))
        number = 0 if line.done() else line.value("round")
        return _Stream(unit, name, [_Open(line.at, 1, False)], number)

    def loop(self, line: Line) -> None:
        stream = self.inside(line)
        if len(stream.bodies) > MAX_DEPTH:
            raise fail(line, f"loops nest deeper than {MAX_DEPTH}", "fewer loops")
        count, sequential = line.integer(), not line.done()
        if sequential and line.word() != "seq":
            raise fail(line, "a loop has an unknown property", "`seq` or nothing")
        stream.bodies.append(_Open(line.at, count, sequential))

    def end(self, line: Line) -> None:
        stream = self.inside(line)
        if len(stream.bodies) == 1:
            raise fail(line, "`end` closes no loop", "one `end` for each `loop`")
        opened = stream.bodies.pop()
        loop = Loop(opened.count, tuple(opened.body), opened.sequential)
        stream.bodies[-1].body.append(loop)

    def instruction(self, word: str, line: Line) -> None:
        stream = self.inside(line)
        if word not in TABLE:
            raise fail(line, f"there is no instruction `{word}`", f"one of {', '.join(TABLE)}")
        operands = []
        for position, declared in enumerate(TABLE[word].operands):
            if position and not line.take(","):
                raise fail(line, f"`{word}` has too few operands", f"`, {declared.name}`")
            operands.append(operand(line, declared, len(stream.bodies) - 1))
        stream.bodies[-1].body.append(Instr(word, tuple(operands)))

    def number(self, line: Line, items: list[T]) -> None:
        """Read an item's number, which must be the next one."""
        if line.integer() != len(items):
            raise fail(line, "items are numbered from 0 without gaps", f"number {len(items)}")

    def format(self, line: Line) -> Format:
        word = line.word()
        if word not in _FORMATS:
            raise fail(line, f"there is no element format `{word}`", ", ".join(_FORMATS))
        return _FORMATS[word]

    def inside(self, line: Line) -> _Stream:
        if self.stream is None:
            raise fail(line, "this stands outside a stream", "a `.stream` line before")
        return self.stream

    def close(self, line: Line | None) -> None:
        """Finish the stream that is being read, if any; `line` opens the next one."""
        if self.stream is None:
            return
        if len(self.stream.bodies) > 1:
            opened = self.stream.bodies[-1]
            raise ProgramError(
                f"assembly, line {opened.number}: the loop has no `end`",
                "write one `end` for each `loop`",
            )
        stream, body = self.stream, tuple(self.stream.bodies[0].body)
        registers = tuple(stream.registers)
        self.streams.append(
            Stream(stream.unit, stream.name, registers, stream.buffer, body, stream.round)
        )
        self.stream = None

    def finish(self) -> Code:
        if not self.started:
            raise ProgramError("assembly: the text is empty", f"begin with `.anacc {VERSION}`")
        self.close(None)
        return Code(
            tuple(self.adcs),
            tuple(self.weights),
            tuple(self.tables),
            tuple(self.channels),
            tuple(self.streams),
        )
