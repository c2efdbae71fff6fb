"""The chip program as data.

A program is a set of streams that communicate only through channels (a Kahn process network)::

    code     = (channel | adc | weight | table | stream)*
    stream   = unit, round, registers, buffer?, body
    body     = (instruction | loop)*
    loop     = count, parallel or sequential, body
    channel  = format, token size, capacity, route; one writer, fixed readers
    operand  = register slice | channel | buffer access | constant | integer | binary16

The batch is implicit and outermost: every register, buffer and channel exists once per sample.
`anacc.program.isa` declares the instructions; docs/isa.md is generated from it and states the
meaning of each; docs/numerics.md states the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt


class Format(Enum):
    """Element format of a register, buffer or channel."""

    INT8 = "i8"  # activation codes, in [-127, 127]
    INT16 = "i16"  # ADC counts
    INT32 = "i32"  # sums of codes
    BINARY16 = "f16"  # LDPU and GDPU values
    TENSOR = "tensor"  # a whole tensor of the host, as ONNX Runtime takes it; channels only


class UnitKind(Enum):
    """What a stream runs on."""

    CORE = "core"  # a crossbar with its converters and its local digital unit (LDPU)
    GDPU = "gdpu"  # a global digital unit
    BRIDGE = "bridge"  # moves activations between layers: im2col, padding, pooling, reshaping
    HOST = "host"  # the border: inputs, outputs, and ONNX segments


@dataclass(frozen=True, order=True)
class Unit:
    """A unit of the machine: `index` counts the units of one kind on one chip."""

    chip: int
    kind: str  # a UnitKind value; a string so that units sort
    index: int

    def __str__(self) -> str:
        return f"{self.kind} {self.chip}.{self.index}"


@dataclass(frozen=True)
class Slice:
    """Elements [offset, offset + length) of a register."""

    register: int
    offset: int
    length: int


@dataclass(frozen=True)
class Access:
    """Elements of the stream's buffer: for i_0 < count_0, i_1 < count_1, ... in row-major order,
    address base + sum(strides[k] * loop index k) + sum(dims[k].stride * i_k).

    `strides` has one entry for each enclosing loop, outermost first; `dims` holds (count, stride)
    pairs.  Strides may be negative; all addresses must lie inside the buffer.
    """

    base: int
    strides: tuple[int, ...]
    dims: tuple[tuple[int, int], ...]

    @property
    def length(self) -> int:
        """Number of elements that one execution reads or writes."""
        return int(np.prod([count for count, _ in self.dims], dtype=np.int64))


@dataclass(frozen=True)
class Const:
    """`length` consecutive constants from base + sum(strides[k] * loop index k); a length of 1 is
    broadcast over the vector.  The instruction says which pool: binary16 or binary32."""

    base: int
    strides: tuple[int, ...]
    length: int


Operand = Slice | Access | Const | int | float


@dataclass(frozen=True)
class Instr:
    """One instruction: a mnemonic of `anacc.program.isa.TABLE` and its operands in table order."""

    op: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Loop:
    """`count` repetitions of a body.

    A parallel loop may be executed for all its iterations at once.  A sequential loop (time) may
    not: inside it, state registers carry values from one iteration to the next.
    """

    count: int
    body: tuple[Instr | Loop, ...]
    sequential: bool = False


Node = Instr | Loop


@dataclass(frozen=True)
class Register:
    """A vector register.  A state register keeps its value over iterations and starts at zero; any
    other must be written before it is read in the same iteration of the innermost loop, or in an
    enclosing one."""

    format: Format
    length: int
    state: bool = False


@dataclass(frozen=True)
class Buffer:
    """The stream's own memory.  Each element is written at most once by the whole stream; one that
    no instruction writes holds `fill`.  A read of an element that the stream does write yields
    the written value."""

    format: Format  # INT8 or BINARY16
    size: int
    fill: int


@dataclass(frozen=True)
class Stream:
    """A sequential program of one unit.  `name` is for people.

    Streams of a round begin when those of all earlier rounds have ended, for the whole batch; then
    they program their crossbars, whose cells may have held other weights before."""

    unit: Unit
    name: str
    registers: tuple[Register, ...]
    buffer: Buffer | None
    body: tuple[Node, ...]
    round: int = 0


@dataclass(frozen=True)
class Channel:
    """A FIFO of tokens (vectors of `token_size` elements) with one writer and fixed readers, each
    of which sees every token.  `capacity` is in tokens; `route` lists the links that it crosses
    (see the target's links), empty where it does not use them.  A TENSOR channel has token size 0
    and holds one token, the tensor of the whole batch."""

    format: Format
    token_size: int
    capacity: int
    route: tuple[int, ...] = ()


@dataclass(frozen=True)
class Adc:
    """Converter settings of one tile (docs/numerics.md, ADC): counts are q * multiplier / 2**shift,
    rounded half away from zero, where q is a sum of input code times conductance code; each of
    the `phases` (1 or 4) modes clamps at `maximum`."""

    phases: int
    multiplier: int
    shift: int
    maximum: int


@dataclass(frozen=True)
class Weight:
    """The shape of a block of weight codes; the codes themselves are a member of the container."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Table:
    """A function table of a GDPU: `entries` binary16 constants from `base`, sampled evenly over
    [0, limit] (odd functions) or [-limit, limit]; beyond, the outermost entry holds."""

    base: int
    entries: int
    limit: float
    odd: bool
    interpolate: bool


@dataclass(frozen=True)
class Code:
    """Everything that the code member of a program file holds.  Items are named by position."""

    adcs: tuple[Adc, ...]
    weights: tuple[Weight, ...]
    tables: tuple[Table, ...]
    channels: tuple[Channel, ...]
    streams: tuple[Stream, ...]


def instructions(body: tuple[Node, ...]) -> Iterator[Instr]:
    """All instructions of a body in text order, those of nested loops included."""
    for node in body:
        if isinstance(node, Loop):
            yield from instructions(node.body)
        else:
            yield node


Float16Array = npt.NDArray[np.float16]
Float32Array = npt.NDArray[np.float32]
Int8Array = npt.NDArray[np.int8]
