"""Changes of programs in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Instr, Loop, Node, Stream

Rewrite = Callable[[Instr], list[Node]]


def stream_named(image: Image, text: str) -> int:
    """The first stream whose name contains a text."""
    return next(n for n, stream in enumerate(image.code.streams) if text in stream.name)


def with_stream(image: Image, number: int, **changes: Any) -> Image:
    """A program of which a stream is changed."""
    streams = list(image.code.streams)
    streams[number] = replace(streams[number], **changes)
    return replace(image, code=replace(image.code, streams=tuple(streams)))


def with_body(
    image: Image, number: int, change: Callable[[tuple[Node, ...]], tuple[Node, ...]]
) -> Image:
    """A program of which the body of a stream is changed."""
    return with_stream(image, number, body=change(image.code.streams[number].body))


def without_last_position(image: Image, number: int) -> Image:
    """A program of which a stream takes and sends all its tokens, but computes one fewer: the last
    result stands for two."""

    def change(body: tuple[Node, ...]) -> tuple[Node, ...]:
        *before, loop = body
        if not isinstance(loop, Loop):
            raise TypeError(loop)
        moves = [n for n in loop.body if isinstance(n, Instr) and n.op in ("recv", "send")]
        return (*before, replace(loop, count=loop.count - 1, sequential=True), *moves)

    return with_body(image, number, change)


def with_target(image: Image, section: str, key: str, value: Any) -> Image:
    """A program for a target of which one value is another."""
    target = copy.deepcopy(image.manifest.target)
    target[section][key]["value"] = value
    return replace(image, manifest=image.manifest.model_copy(update={"target": target}))


def rewritten(body: tuple[Node, ...], rewrite: Rewrite) -> tuple[Node, ...]:
    """A body of which each instruction is replaced by some."""
    found: list[Node] = []
    for node in body:
        if isinstance(node, Loop):
            found.append(replace(node, body=rewritten(node.body, rewrite)))
        else:
            found += rewrite(node)
    return tuple(found)


def with_instructions(image: Image, number: int, op: str, rewrite: Rewrite) -> Image:
    """A program of which the instructions `op` of a stream are replaced."""
    return with_body(
        image,
        number,
        lambda body: rewritten(body, lambda each: rewrite(each) if each.op == op else [each]),
    )


def with_operand(image: Image, number: int, op: str, place: int, value: Any) -> Image:
    """A program of which one operand of the instructions `op` of a stream is another; a function
    is applied to the operand that there is."""

    def rewrite(instr: Instr) -> list[Node]:
        operands = list(instr.operands)
        operands[place] = value(operands[place]) if callable(value) else value
        return [Instr(instr.op, tuple(operands))]

    return with_instructions(image, number, op, rewrite)


def with_channel(image: Image, number: int, **changes: Any) -> Image:
    """A program of which a channel is changed."""
    channels = list(image.code.channels)
    channels[number] = replace(channels[number], **changes)
    return replace(image, code=replace(image.code, channels=tuple(channels)))


def with_codes(image: Image, block: int, change: Callable[[Any], Any]) -> Image:
    """A program of which the codes of a weight block are changed."""
    weights = [np.array(codes) for codes in image.weights]
    weights[block] = change(weights[block]).astype(np.int8)
    return replace(image, weights=weights)


def with_constants(image: Image, first: int, length: int, factor: float) -> Image:
    """A program of which some binary16 constants are multiplied."""
    constants = np.array(image.constants16)
    constants[first : first + length] *= np.float16(factor)
    return replace(image, constants16=constants)


def with_origin(image: Image, change: Callable[[dict[str, Any]], None]) -> Image:
    """A program of which the table of origins is changed in place."""
    origin = copy.deepcopy(image.origin)
    change(origin)
    return replace(image, origin=origin)


def instructions(stream: Stream, op: str) -> list[Instr]:
    """The instructions `op` of a stream."""
    found: list[Instr] = []

    def look(instr: Instr) -> list[Node]:
        if instr.op == op:
            found.append(instr)
        return [instr]

    rewritten(stream.body, look)
    return found
