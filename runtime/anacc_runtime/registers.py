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
        path: the path of the innermost loop that is an axis; () where none is.
    """

    counts: tuple[int, ...] = ()
    indices: tuple[int | None, ...] = ()
    path: Path = ()

    def enter_axis(self, count: int, path: Path) -> Nest:
        """The nest inside a loop that runs all iterations at once."""
        return Nest((*self.counts, count), (*self.indices, None), path)

    def enter_iteration(self, count: int, index: int) -> Nest:
        """The nest inside one iteration of a loop."""
        return Nest((*self.counts, count), (*self.indices, index), self.path)

    @property
    def axes(self) -> tuple[int, ...]:
        """Iterations of the loops that are axes."""
        pairs = zip(self.counts, self.indices, strict=True)
        return tuple(count for count, index in pairs if index is None)

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
    return np.lib.stride_tricks.as_strided(
        source[:, start:],
        (source.shape[0], *counts, *source.shape[2:]),
        (source.strides[0], *(stride * step for stride in strides), *source.strides[2:]),
    )


class Registers:
    """The registers of one stream for one part of the batch.

    An array that was handed out is never written again: it may live on as a token of a channel.
    """

    def __init__(self, registers: tuple[Register, ...], batch: int) -> None:
        self._registers = registers
        self._batch = batch
        self._values: dict[int, tuple[Path, Array]] = {
            number: ((), np.zeros((batch, register.length), DTYPE[register.format]))
            for number, register in enumerate(registers)
            if register.state
        }
        self._private: set[int] = set()

    def dtype(self, register: int) -> type[np.generic]:
        """The element type of a register."""
        return DTYPE[self._registers[register].format]

    def read(self, source: Slice, nest: Nest) -> Array:
        """The elements of a slice: (batch, *axes, length), where an axis may have length 1 because
        all its iterations see the same value."""
        if source.register not in self._values:
            raise ProgramError(f"register r{source.register} is read before it is written")
        path, value = self._values[source.register]
        if path != nest.path[: len(path)]:
            raise ProgramError(
                f"register r{source.register} is read outside the loop that wrote it"
            )
        self._private.discard(source.register)
        value = value[..., source.offset : source.offset + source.length]
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
            self._values[target.register] = nest.path, value
            self._private.discard(target.register)
            return
        path, whole = self._values.get(target.register, (None, None))
        if target.register not in self._private or path != nest.path or whole is None:
            fresh = np.zeros((self._batch, *nest.axes, register.length), DTYPE[register.format])
            if path is not None and path == nest.path[: len(path)]:
                fresh[...] = self.read(Slice(target.register, 0, register.length), nest)
            whole = fresh
            self._values[target.register] = nest.path, whole
            self._private.add(target.register)
        whole[..., target.offset : target.offset + target.length] = value
