"""Streams as loop nests: where instructions stand, and which tokens they move.

A loop repeats a body of fixed length, so both the number of tokens that went before an instruction
and the number of instructions executed before it are affine in the indices of the loops around.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from anacc.program.image import Image
from anacc.program.isa import TABLE, Role
from anacc.program.manifest import Border
from anacc.program.model import Format, Instr, Loop, Node, Operand, Slice, Stream


@dataclass(frozen=True)
class Step:
    """An instruction within its loops.

    Attributes:
        loops: the loops around, outermost first.
        first: instructions that the stream executes before its first execution.
        periods: instructions between two of its executions, for each loop.
        instr: the instruction.
    """

    loops: tuple[Loop, ...]
    first: int
    periods: tuple[int, ...]
    instr: Instr

    @property
    def executions(self) -> int:
        """How often the stream executes it."""
        return math.prod(loop.count for loop in self.loops)


def length(body: tuple[Node, ...]) -> int:
    """Instructions that one execution of a body executes."""
    return sum(node.count * length(node.body) if isinstance(node, Loop) else 1 for node in body)


def steps(
    body: tuple[Node, ...],
    loops: tuple[Loop, ...] = (),
    first: int = 0,
    periods: tuple[int, ...] = (),
) -> Iterator[Step]:
    """Every instruction of a body in text order."""
    for node in body:
        if isinstance(node, Loop):
            once = length(node.body)
            yield from steps(node.body, (*loops, node), first, (*periods, once))
            first += once * node.count
        else:
            yield Step(loops, first, periods, node)
            first += 1


def operands(instr: Instr) -> dict[str, Operand]:
    """The operands of an instruction by their names in the instruction table."""
    declared = TABLE[instr.op].operands
    return {each.name: value for each, value in zip(declared, instr.operands, strict=True)}


def slices(instr: Instr, role: Role) -> list[Slice]:
    """The register slices that an instruction reads, or writes."""
    declared = TABLE[instr.op].operands
    return [
        value
        for each, value in zip(declared, instr.operands, strict=True)
        if each.role is role and isinstance(value, Slice)
    ]


def integer(instr: Instr, name: str) -> int:
    """An operand that is a number."""
    value = operands(instr)[name]
    if not isinstance(value, int):
        raise TypeError(f"operand {name} of {instr.op} is no integer")
    return value


def moved(instr: Instr) -> tuple[str, int] | None:
    """("recv" or "send", channel) of an instruction that moves a token."""
    if instr.op in ("recv", "send"):
        return instr.op, integer(instr, "channel")
    return None


def transfers(body: tuple[Node, ...]) -> Counter[tuple[str, int]]:
    """Tokens that one execution of a body receives and sends."""
    found: Counter[tuple[str, int]] = Counter()
    for node in body:
        if isinstance(node, Loop):
            for access, tokens in transfers(node.body).items():
                found[access] += tokens * node.count
        elif (access_ := moved(node)) is not None:
            found[access_] += 1
    return found


def host_borders(image: Image, stream: Stream) -> Iterator[tuple[str, int]]:
    """The borders that a host stream moves in order: ("recv" or "send", number)."""
    if stream.unit.kind != "host":
        return
    for step in steps(stream.body):
        if step.instr.op == "input":
            yield "send", integer(step.instr, "border")
        elif step.instr.op == "output":
            yield "recv", integer(step.instr, "border")
        elif step.instr.op == "segment":
            segment = image.manifest.segments[integer(step.instr, "segment")]
            yield from (("recv", number) for number in segment.inputs)
            yield from (("send", number) for number in segment.outputs)


def border_tokens(image: Image, border: Border) -> int:
    """Tokens of one sample of a border; a whole tensor is one."""
    channel = image.code.channels[border.channel]
    if channel.format is Format.TENSOR:
        return 1
    sizes = [size or 0 for axis, size in enumerate(border.shape) if axis != border.batch_axis]
    return math.prod(sizes) // channel.token_size


@dataclass(frozen=True)
class Ends:
    """Who moves the tokens of the channels.

    Attributes:
        writer: for each channel its stream, -1 without one.
        readers: for each channel its streams, in rising order.
        tokens: for each channel, tokens per sample as its writer counts them.
        moves: for each stream, tokens per sample by ("recv" or "send", channel).
    """

    writer: tuple[int, ...]
    readers: tuple[tuple[int, ...], ...]
    tokens: tuple[int, ...]
    moves: tuple[Counter[tuple[str, int]], ...]


def ends(image: Image) -> Ends:
    """Who moves the tokens of the channels of a program."""
    count = len(image.code.channels)
    writer, tokens = [-1] * count, [0] * count
    readers: list[list[int]] = [[] for _ in range(count)]
    moves = []
    for number, stream in enumerate(image.code.streams):
        found = transfers(stream.body)
        for way, border in host_borders(image, stream):
            each = image.manifest.borders[border]
            found[way, each.channel] += border_tokens(image, each)
        moves.append(found)
        for (way, channel), amount in sorted(found.items()):
            if way == "send":
                writer[channel] = number
                tokens[channel] += amount
            else:
                readers[channel].append(number)
    return Ends(tuple(writer), tuple(map(tuple, readers)), tuple(tokens), tuple(moves))


def round_of(stream: Stream) -> int:
    """The round that a stream runs in: streams of a round begin when all earlier rounds ended."""
    return int(stream.round)


def named(image: Image, number: int) -> str:
    """A stream as sentences name it, with its ONNX nodes."""
    stream = image.code.streams[number]
    origins = image.origin.get("streams", [])
    nodes = origins[number] if number < len(origins) else []
    behind = f" (node `{nodes[0]}`)" if nodes else ""
    return f"stream {number} `{stream.name}`{behind}"
