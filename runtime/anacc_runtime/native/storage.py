"""What streams work on, before it has a place in memory, and references to it.

A storage is a register as one nest of loops sees it, all tokens of a channel, or a buffer.  While
streams are lowered, the `region` of an `Operand` is the number of a storage; `layout.py` decides
where each storage is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from anacc.program.model import Format
from anacc_runtime.plan import Affine

ITEM = {Format.INT8: 1, Format.INT16: 2, Format.INT32: 4, Format.BINARY16: 2}

Offsets = npt.NDArray[np.int64]
Dims = tuple[tuple[int, int], ...]


@dataclass(eq=False)
class Storage:
    """Memory that the streams of a phase share.

    Attributes:
        number: its position among all storages.
        size: bytes for each sample.
        channel: the channel whose tokens it holds, if it is to be passed in from outside or out.
        nonnegative: whether all codes that were written so far are known to be none below 0.
    """

    number: int
    size: int
    channel: int | None = None
    nonnegative: bool = True


@dataclass(frozen=True)
class Nest:
    """The loops around an instruction, outermost first.

    Attributes:
        counts: iterations of each.
        iterated: for each, whether its iterations run one after another; else it is an axis.
        sequential: for each, whether it is a sequential loop of the program.
    """

    counts: tuple[int, ...] = ()
    iterated: tuple[bool, ...] = ()
    sequential: tuple[bool, ...] = ()

    def enter(self, count: int, iterated: bool, sequential: bool) -> Nest:
        """The nest inside one more loop."""
        return Nest(
            (*self.counts, count), (*self.iterated, iterated), (*self.sequential, sequential)
        )

    @property
    def axes(self) -> tuple[int, ...]:
        """Counts of the loops that are axes."""
        pairs = zip(self.counts, self.iterated, strict=True)
        return tuple(count for count, iterated in pairs if not iterated)

    def split(self, strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Strides of the first loops of the nest as those of iterated loops and those of axes; the
        loops further in change nothing."""
        padded = (*strides, *(0,) * (len(self.counts) - len(strides)))
        # The stride of a loop of one iteration moves nothing, and may be any number.
        moving = [s if count > 1 else 0 for s, count in zip(padded, self.counts, strict=True)]
        pairs = [*zip(moving, self.iterated, strict=True)]
        return (
            tuple(stride for stride, iterated in pairs if iterated),
            tuple(stride for stride, iterated in pairs if not iterated),
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """Elements of a storage, as an instruction in some nest of loops reads or writes them.

    Attributes:
        storage: where they are.
        item: bytes of an element.
        length: number of elements.
        base: bytes from the start of the storage.
        strides: bytes for each loop of the nest in which the reference was made, outermost first.
        dims: count and stride in bytes of each dimension of elements that lie apart; (): all lie
            side by side.
        first: where they lie apart, how many elements of the dimensions to skip.
        table: instead of strides (then all 0), an offset for each index of the axes in row-major
            order.
    """

    storage: Storage
    item: int
    length: int
    base: int
    strides: tuple[int, ...]
    dims: Dims = ()
    first: int = 0
    table: Offsets | None = None

    def part(self, offset: int, length: int) -> Reference:
        """Elements [offset, offset + length)."""
        if length == self.length:
            return self
        if not self.dims:
            return replace(self, base=self.base + offset * self.item, length=length)
        # As long as they lie in one index of the outermost dimension, that one is not needed.
        first, dims, base = self.first + offset, self.dims, self.base
        while dims:
            inner = prod(count for count, _ in dims[1:])
            index, rest = divmod(first, inner)
            if rest + length > inner:
                break
            base += index * dims[0][1]
            first, dims = rest, dims[1:]
        if not dims:
            return replace(self, base=base, length=length, dims=(), first=0)
        # Whole indices of the outermost dimension need no other.
        if rest == 0 and length % inner == 0:
            base += index * dims[0][1]
            first, dims = 0, ((length // inner, dims[0][1]), *dims[1:])
        return replace(self, base=base, length=length, dims=dims, first=first)

    def pattern(self) -> tuple[Dims, int]:
        """All elements of the dimensions as few dimensions, and the bytes that lie together."""
        return merged(self.dims, self.item) if self.dims else ((), self.length * self.item)

    def pieces(self) -> Iterator[Reference]:
        """The same elements as few references, each to all elements of its dimensions."""
        if not self.dims or self.whole:
            yield self
            return
        inner = prod(count for count, _ in self.dims[1:])
        # What is left of the first index of the outermost dimension, then whole ones, then a rest.
        head = min(-self.first % inner, self.length)
        rest = (self.length - head) % inner
        cuts = [0, head, self.length - rest, self.length]
        for start, end in zip(cuts, cuts[1:], strict=False):
            if start < end:
                yield from self.part(start, end - start).pieces()

    def continues(self, other: Reference) -> bool:
        """Whether the elements of `other` lie right behind these, in every iteration."""
        return (
            self.storage is other.storage
            and self.item == other.item
            and self.strides == other.strides
            and not (self.dims or other.dims)
            and self.table is other.table is None
            and self.base + self.length * self.item == other.base
        )

    def longer(self, length: int) -> Reference:
        """The same with another number of elements."""
        return replace(self, length=length)

    @property
    def whole(self) -> bool:
        """Whether these are all elements of the dimensions."""
        return self.first == 0 and self.length == prod(count for count, _ in self.dims)

    def runs(self) -> tuple[tuple[int, int], ...]:
        """Offset from the base and length, in bytes, of each piece that lies together."""
        if not self.dims:
            return ((0, self.length * self.item),)
        dims, piece = merged(self.dims, self.item)
        offsets = window_offsets(dims)
        start, end = self.first * self.item, (self.first + self.length) * self.item
        result = []
        for number in range(start // piece, -(-end // piece)):
            low, high = max(start, number * piece), min(end, (number + 1) * piece)
            result.append((int(offsets[number]) + low - number * piece, high - low))
        return tuple(result)

    def in_memory_order(self) -> tuple[Reference, Offsets | None]:
        """All elements of the dimensions in the order of the dimensions' strides, and which element
        each one was; None where the order stays."""
        order = sorted(range(len(self.dims)), key=lambda k: -abs(self.dims[k][1]))
        if order == [*range(len(order))]:
            return self, None
        numbers = np.arange(self.length, dtype=np.int64).reshape([count for count, _ in self.dims])
        dims = tuple(self.dims[k] for k in order)
        return replace(self, dims=dims), numbers.transpose(order).reshape(-1)

    @property
    def piece_count(self) -> int:
        """How many pieces `runs` gives, at most."""
        dims, _ = merged(self.dims, self.item)
        return prod(count for count, _ in dims)


def merged(dims: Dims, item: int) -> tuple[Dims, int]:
    """The same elements with as few dimensions and as large elements as possible."""
    kept = [(count, stride) for count, stride in dims if count > 1]
    while kept and kept[-1][1] == item:
        item *= kept.pop()[0]
    result: list[tuple[int, int]] = []
    for count, stride in kept:
        if result and result[-1][1] == count * stride:
            result[-1] = result[-1][0] * count, stride
        else:
            result.append((count, stride))
    return tuple(result), item


def window_offsets(dims: Dims) -> Offsets:
    """The offsets of all elements of the dimensions, in row-major order."""
    offsets = np.zeros(1, np.int64)
    for count, stride in dims:
        offsets = (offsets[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return offsets


def indices(affine: Affine, counts: tuple[int, ...]) -> Offsets:
    """base + sum(strides[k] * index k) for all iterations of nested loops, in row-major order."""
    base, strides = affine
    result = np.full(1, base, np.int64)
    for count, stride in zip(counts, strides, strict=True):
        if count == 1:  # its stride moves nothing, and may be any number
            continue
        result = (result[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return result


def affine_strides(offsets: Offsets, counts: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides of offsets that are affine in the indices of loops; None where they are not."""
    strides, step = [], prod(counts)
    for count in counts:
        step //= count
        strides.append(int(offsets[step] - offsets[0]) if count > 1 else 0)
    made = indices((int(offsets[0]), tuple(strides)), counts)
    return tuple(strides) if np.array_equal(made, offsets) else None
