"""What the native engine executes: operations on memory, with every address worked out before.

Streams, registers and channels are gone here.  A schedule is a sequence of groups.  A group does
its body for every sample and every index of its axes (its *positions*, the sample outermost), in
blocks of consecutive positions: each operation for all positions of a block before the next
operation.  Blocks are independent, so that threads share them.  A loop in a body repeats it one
iteration after another.

Memory is *regions*.  An operand is an address in a region that is affine in the indices of the
loops around it and of the axes of its group.  All sizes, offsets and strides here are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from anacc.program.model import Format


class RegionKind(IntEnum):
    """Where a region is and who sees it.

    ARENA: memory of a run, `size` bytes for each sample in work.
    LOCAL: memory of one thread for one block, `size` bytes for each position; what it holds is lost
        with the block.
    EXTERNAL: an array that the caller passes, `size` bytes for each sample of the whole batch.
    CONSTANTS16, CONSTANTS32: the constants of the program, the same for all samples; read only.
    """

    ARENA = 0
    LOCAL = 1
    EXTERNAL = 2
    CONSTANTS16 = 3
    CONSTANTS32 = 4


@dataclass(frozen=True)
class Region:
    """A piece of memory.

    Attributes:
        kind: where it is.
        size: bytes; see `RegionKind`.  A multiple of 64 for ARENA and LOCAL.
        offset: ARENA: bytes from the start of what a sample has of the arena; the region of sample
            s begins at arena + offset * samples + s * size.  Regions whose lives do not meet may
            share memory.  LOCAL: the same with the positions of a block.  EXTERNAL: which of the
            caller's arrays.  Else 0.
    """

    kind: RegionKind
    size: int
    offset: int


@dataclass(frozen=True)
class Operand:
    """An address: base + sum(loops[k] * index of loop k) + sum(axes[k] * index of axis k).

    Attributes:
        region: number of the region.
        base: offset in the region.
        loops: a stride for each loop of the body around the operation, outermost first.
        axes: a stride for each axis of the group; all 0 in a LOCAL region.
        table: instead of `axes` (then all 0), a number of `Schedule.tables`: the offset to add for
            each index of the axes, in row-major order.
    """

    region: int
    base: int
    loops: tuple[int, ...]
    axes: tuple[int, ...]
    table: int | None = None


@dataclass(frozen=True)
class Index:
    """A number that is affine in the indices of loops and axes, like an address."""

    base: int
    loops: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Gather:
    """Copies elements that lie apart to `target`, one after another.

    Attributes:
        dims: count and stride in bytes of each dimension, outermost first; none: one element.
        element: bytes of an element, any number; it is contiguous.
    """

    target: Operand
    source: Operand
    dims: tuple[tuple[int, int], ...]
    element: int


@dataclass(frozen=True)
class Scatter:
    """Copies consecutive elements to where `dims` say in `target`; see `Gather`."""

    target: Operand
    source: Operand
    dims: tuple[tuple[int, int], ...]
    element: int


@dataclass(frozen=True)
class Fill:
    """Sets `size` bytes at `target` to consecutive copies of `pattern`."""

    target: Operand
    size: int
    pattern: bytes  # 1, 2 or 4 bytes


@dataclass(frozen=True)
class TileCall:
    """A crossbar region with its converters and its local digital unit.

    Attributes:
        tile: number of the tile among those that the engine is made with; its runs say which bytes
            from `x` on are the input vector.
        x: where the input codes are.
        addends: the vectors that are added, in order.
        value: where the binary16 result goes; None: not wanted.
        codes: where the quantised result goes; None: not wanted.
        position: what the draws of noise are keyed by; below 2**32, like `time`.
        time: the same, of the sequential loops.
    """

    tile: int
    x: Operand
    addends: tuple[Operand, ...]
    value: Operand | None
    codes: Operand | None
    position: Index
    time: Index


@dataclass(frozen=True)
class Vector:
    """One of the instructions scale, affine, add, multiply, relu, clamp, lookup, quantise, maximum,
    sum and average, by its name in the instruction set.

    Attributes:
        op: the name.
        target: where the result goes, `length` elements.
        sources: registers and constants, in the order of the instruction's operands.
        broadcast: for each source whether it is one element that all elements of the result use.
        format: of the first source.
        length: elements of the result.
        vectors: of maximum and sum: how many vectors the source holds; else 1.
        low, high: the bounds of clamp.
        table: of lookup: the number of the function table.
    """

    op: str
    target: Operand
    sources: tuple[Operand, ...]
    broadcast: tuple[bool, ...]
    format: Format
    length: int
    vectors: int = 1
    low: float = 0.0
    high: float = 0.0
    table: int = 0


@dataclass(frozen=True)
class Loop:
    """Repeats its body, one iteration after another."""

    count: int
    body: Body


Operation = Gather | Scatter | Fill | TileCall | Vector
Body = tuple[Operation | Loop, ...]


@dataclass(frozen=True)
class Group:
    """A body, done for every sample and every index of the axes."""

    axes: tuple[int, ...]
    body: Body


@dataclass(frozen=True)
class Schedule:
    """What runs in one phase of a program.

    Attributes:
        regions: the memory, by number.
        tables: offsets in bytes for operands that have a table.
        groups: in order of execution.
    """

    regions: tuple[Region, ...]
    tables: tuple[npt.NDArray[np.int64], ...]
    groups: tuple[Group, ...]
