"""The words by which a schedule reaches the engine.

A schedule becomes one array of 64-bit integers, in this grammar (`n x` stands for a count n and
then n times x)::

    schedule = VERSION, n region, n table, n group
    region   = kind, size, offset
    table    = n offset
    group    = n axis, body
    body     = n node
    node     = LOOP, count, body
             | GATHER or SCATTER, element, n (count, stride), target, source
             | FILL, size, width, pattern as a little-endian number, target
             | TILE, number, x, n addend, optional value, optional codes, position, time
             | VECTOR, op, format, length, vectors, low, high, table, target, n (broadcast, source)
    operand  = region, table or -1, affine
    optional = 0 | 1, operand
    affine   = base, a stride for each loop around it, a stride for each axis of the group

`low` and `high` are the bits of binary64 numbers.  kernel/plan.c reads this.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from anacc.program.model import Format
from anacc_runtime.native.operations import (
    Body,
    Fill,
    Gather,
    Group,
    Index,
    Loop,
    Operand,
    Operation,
    Scatter,
    Schedule,
    TileCall,
    Vector,
)

VERSION = 1

# The numbers of plan.h and kernel.h.
LOOP, GATHER, SCATTER, FILL, TILE, VECTOR = range(6)
OPS = (
    "scale", "affine", "add", "multiply", "relu", "clamp", "lookup", "quantise", "maximum", "sum",
    "average",
)  # fmt: skip
FORMATS = (Format.INT8, Format.INT16, Format.INT32, Format.BINARY16)

Words = list[int]


def encode(schedule: Schedule) -> npt.NDArray[np.int64]:
    """The words of a schedule, one int64 array.

    Raises:
        ValueError: an operand has not one stride for each loop and each axis around it, or a
            number does not fit in 64 bits.
    """
    words: Words = [VERSION, len(schedule.regions)]
    for region in schedule.regions:
        words += region.kind, region.size, region.offset
    words.append(len(schedule.tables))
    for table in schedule.tables:
        words.append(len(table))
        words += np.asarray(table, np.int64).tolist()
    words.append(len(schedule.groups))
    for group in schedule.groups:
        _encode_group(words, group)
    try:
        return np.array(words, np.int64)
    except OverflowError:
        raise ValueError("a number of the schedule does not fit in 64 bits") from None


def _encode_group(words: Words, group: Group) -> None:
    words.append(len(group.axes))
    words += group.axes
    _Writer(words, len(group.axes)).body(group.body, 0)


class _Writer:
    """Writes the body of a group with `axes` axes."""

    def __init__(self, words: Words, axes: int) -> None:
        self.words = words
        self.axes = axes

    def body(self, body: Body, depth: int) -> None:
        """A body inside `depth` loops."""
        self.words.append(len(body))
        for node in body:
            if isinstance(node, Loop):
                self.words += LOOP, node.count
                self.body(node.body, depth + 1)
            else:
                self.operation(node, depth)

    def operation(self, operation: Operation, depth: int) -> None:
        words = self.words

        def operand(value: Operand) -> None:
            words.extend((value.region, -1 if value.table is None else value.table))
            affine(value)

        def optional(value: Operand | None) -> None:
            words.append(value is not None)
            if value is not None:
                operand(value)

        def affine(value: Operand | Index) -> None:
            if len(value.loops) != depth or len(value.axes) != self.axes:
                raise ValueError(
                    f"{value} has not one stride for each of {depth} loops and {self.axes} axes"
                )
            words.extend((value.base, *value.loops, *value.axes))

        match operation:
            case Gather() | Scatter():
                words.append(GATHER if isinstance(operation, Gather) else SCATTER)
                words.extend((operation.element, len(operation.dims)))
                for dim in operation.dims:
                    words.extend(dim)
                operand(operation.target)
                operand(operation.source)
            case Fill():
                pattern = operation.pattern
                words.extend((FILL, operation.size))
                words.extend((len(pattern), int.from_bytes(pattern, "little")))
                operand(operation.target)
            case TileCall():
                words.extend((TILE, operation.tile))
                operand(operation.x)
                _each(words, operation.addends, operand)
                optional(operation.value)
                optional(operation.codes)
                affine(operation.position)
                affine(operation.time)
            case Vector():
                words.extend((VECTOR, OPS.index(operation.op), FORMATS.index(operation.format)))
                words.extend((operation.length, operation.vectors))
                words.extend((_bits(operation.low), _bits(operation.high), operation.table))
                operand(operation.target)
                words.append(len(operation.sources))
                for source, broadcast in zip(operation.sources, operation.broadcast, strict=True):
                    words.append(broadcast)
                    operand(source)


def _each(words: Words, values: Sequence[Operand], write: Callable[[Operand], None]) -> None:
    words.append(len(values))
    for value in values:
        write(value)


def _bits(number: float) -> int:
    """The bits of a binary64 number, as a signed integer."""
    bits: int
    (bits,) = struct.unpack("<q", struct.pack("<d", number))
    return bits
