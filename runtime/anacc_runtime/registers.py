"""The registers of a stream while its loops run, and windows over constants, buffers, channels.

A loop that runs all its iterations at once is an axis: a register written inside it holds one
vector per sample and iteration, shape (batch, iterations of each such loop..., length).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import ProgramError
from anacc.program.model import Format, Register, Slice
from anacc.program.walk import Path

Array = npt.NDArray[Any]

DTYPE: dict[Format, type[np.generic]] = {
    Format.INT8: np.int8,
    Format.INT16: np.int16,
    Format.INT32: np.int32,
    Format.BINARY16: np.float16,
}


@dataclass(frozen=True)
class Nest:
    """The loops around an instruction.

    Attributes:
        counts: iterations of each enclosing loop, outermost first.
        indices: the iteration of each that runs one by one, None for one that is an axis.
        sequential: whether each is a sequential loop of the program.
        path: the path of the innermost loop that is an axis; () where none is.
    """

    counts: tuple[int, ...] = ()
    indices: tuple[int | None, ...] = ()
    sequential: tuple[bool, ...] = ()
    path: Path = ()

    def enter_axis(self, count: int, path: Path) -> Nest:
        """The nest inside a loop that runs all iterations at once."""
        return Nest((*self.counts, count), (*self.indices, None), (*self.sequential, False), path)

    def enter_iteration(self, count: int, index: int, sequential: bool) -> Nest:
        """The nest inside one iteration of a loop."""
        return Nest(
            (*self.counts, count),
            (*self.indices, index),
            (*self.sequential, sequential),
            self.path,
        )

    @property
    def axes(self) -> tuple[int, ...]:
        """Iterations of the loops that are axes."""
        pairs = zip(self.counts, self.indices, strict=True)
        return tuple(count for count, index in pairs if index is None)

    def positions(self) -> tuple[npt.NDArray[np.int64], int]:
        """The row-major indices over the parallel loops, (*axes), and over the sequential ones:
        the same however the loops are executed."""
        start, strides = self.address(0, self._row_major(sequential=False))
        time, _ = self.address(0, self._row_major(sequential=True))
        position = np.full(self.axes, start, np.int64)
        for axis, stride in enumerate(strides):
            steps = np.arange(self.axes[axis]) * stride
            position += steps.reshape(-1, *[1] * (len(strides) - axis - 1))
        return position, time

    def _row_major(self, sequential: bool) -> tuple[int, ...]:
        """The stride of each loop in the index over the sequential loops, or over the others."""
        strides, step = [0] * len(self.counts), 1
        for loop in reversed(range(len(self.counts))):
            if self.sequential[loop] == sequential:
                strides[loop] = step
                step *= self.counts[loop]
        return tuple(strides)

    def address(self, base: int, strides: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """base + sum(strides[k] * index k) as a start and the strides of the axes."""
        axes = []
        for index, stride in zip(self.indices, strides, strict=True):
            if index is None:
                axes.append(stride)
            else:
                base += stride * index
        return base, tuple(axes)


def window(source: Array, start: int, strides: tuple[int, ...], counts: tuple[int, ...]) -> Array:
    """A view in which axis 1 of an array is replaced by one axis for each stride.

    Args:
        source: (batch, size, ...).
        start: index on axis 1 of the first element.
        strides: step on axis 1, in elements, of each new axis; may be negative.
        counts: length of each new axis.

    Returns:
        (batch, *counts, ...): element (b, i...) is source[b, start + sum(strides[k] * i[k])].

    Raises:
        ProgramError: an element lies outside `source`.
    """
    spans = [s * (c - 1) for s, c in zip(strides, counts, strict=True)]
    low = start + sum(span for span in spans if span < 0)
    high = start + sum(span for span in spans if span > 0)
    if not 0 <= low <= high < source.shape[1]:
        raise ProgramError(f"an access to element {low if low < 0 else high} is out of bounds")
    step = source.strides[1]
    # The stride of an axis of length 1 moves nothing, and may be larger than NumPy can take.
    strides = tuple(s if c > 1 else 0 for s, c in zip(strides, counts, strict=True))
    return np.lib.stride_tricks.as_strided(
        source[:, start:],
        (source.shape[0], *counts, *source.shape[2:]),
        (source.strides[0], *(stride * step for stride in strides), *source.strides[2:]),
    )


@dataclass
class _Value:
    """What a register holds inside the axis loop at `path`: (batch, iterations..., length).

    `private`: the array was not handed out, so that it may be written.
    """

    path: Path
    array: Array
    private: bool = False


class Registers:
    """The registers of one stream for one part of the batch.

    A loop that is an axis may write a part of a register and read the rest, which was written
    outside.  So a register is a stack of values, those of inner loops on top of those of outer
    ones; after an inner loop its value is dropped, and what the loop did not write is found below.

    An array that was handed out is never written again: it may live on as a token of a channel.
    """

    def __init__(self, registers: tuple[Register, ...], batch: int) -> None:
        self._registers = registers
        self._batch = batch
        self._values: dict[int, list[_Value]] = {
            number: [_Value((), np.zeros((batch, register.length), DTYPE[register.format]))]
            for number, register in enumerate(registers)
            if register.state
        }

    def dtype(self, register: int) -> type[np.generic]:
        """The element type of a register."""
        return DTYPE[self._registers[register].format]

    def read(self, source: Slice, nest: Nest) -> Array:
        """The elements of a slice: (batch, *axes, length), where an axis may have length 1 because
        all its iterations see the same value."""
        found = self._innermost(source.register, nest)
        if found is None:
            raise ProgramError(f"register r{source.register} is read before it is written")
        found.private = False
        value = found.array[..., source.offset : source.offset + source.length]
        missing = len(nest.axes) + 2 - value.ndim
        if missing:
            value = value.reshape(*value.shape[:-1], *[1] * missing, value.shape[-1])
        return value

    def write(self, target: Slice, value: Array, nest: Nest) -> None:
        """Set the elements of a slice to `value`, (batch, *axes, length) or broadcast to it."""
        register = self._registers[target.register]
        if register.state and nest.axes:
            raise ProgramError(f"state register r{target.register} is written in a parallel loop")
        if target.length == register.length:
            # What stands outside is not read again: no element of it outlives the loop.
            self._values[target.register] = [_Value(nest.path, value)]
            return
        found = self._innermost(target.register, nest)
        if found is None or found.path != nest.path or not found.private:
            shape = self._batch, *nest.axes, register.length
            fresh = _Value(nest.path, np.zeros(shape, DTYPE[register.format]), private=True)
            stack = self._values.setdefault(target.register, [])
            if found is not None:
                fresh.array[...] = self.read(Slice(target.register, 0, register.length), nest)
                if found.path == nest.path:
                    stack.pop()
            stack.append(fresh)
            found = fresh
        found.array[..., target.offset : target.offset + target.length] = value

    def _innermost(self, register: int, nest: Nest) -> _Value | None:
        """The value of a register here; those of loops that have ended are dropped."""
        stack = self._values.get(register, [])
        while stack and stack[-1].path != nest.path[: len(stack[-1].path)]:
            stack.pop()
        return stack[-1] if stack else None
