"""Fingerprints of what registers and channels hold in all iterations of a loop nest.

A value has a row for each iteration and a column for each element.  What is loaded from a buffer is
not written out until it is read: windows (im2col) are many times larger than their tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from anacc.verification.algebra import Prints

Ints = npt.NDArray[np.int64]

PIECE = 2**21  # elements that are written out at a time


class Value(Protocol):
    """Fingerprints, (iterations, width)."""

    @property
    def width(self) -> int:
        """Elements of a row."""

    def read(self, rows: Ints) -> Prints:
        """Some rows, (len(rows), width)."""

    def part(self, begin: int, end: int) -> Value:
        """The columns from `begin` to `end` - 1."""


@dataclass(frozen=True)
class Dense:
    """Rows that are written out."""

    array: Prints

    @property
    def width(self) -> int:
        return int(self.array.shape[1])

    def read(self, rows: Ints) -> Prints:
        return self.array[rows]

    def part(self, begin: int, end: int) -> Value:
        return Dense(self.array[:, begin:end])


@dataclass(frozen=True)
class Loaded:
    """Elements of a buffer: row i starts at `starts[i]`, its elements lie `inside` from there."""

    buffer: Prints
    starts: Ints
    inside: Ints

    @property
    def width(self) -> int:
        return len(self.inside)

    def read(self, rows: Ints) -> Prints:
        return np.asarray(self.buffer[self.starts[rows][:, np.newaxis] + self.inside])

    def part(self, begin: int, end: int) -> Value:
        return Loaded(self.buffer, self.starts, self.inside[begin:end])


@dataclass(frozen=True)
class Joined:
    """Values side by side."""

    parts: tuple[Value, ...]

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts)

    def read(self, rows: Ints) -> Prints:
        return np.concatenate([part.read(rows) for part in self.parts], axis=1)

    def part(self, begin: int, end: int) -> Value:
        found: list[Value] = []
        first = 0
        for part in self.parts:
            low, high = max(begin - first, 0), min(end - first, part.width)
            if low < high:
                found.append(part.part(low, high))
            first += part.width
        return joined(found)


@dataclass(frozen=True)
class Repeated:
    """Each row of a value `times` times: what an outer loop holds, seen from an inner one."""

    value: Value
    times: int

    @property
    def width(self) -> int:
        return self.value.width

    def read(self, rows: Ints) -> Prints:
        return self.value.read(rows // self.times)

    def part(self, begin: int, end: int) -> Value:
        return Repeated(self.value.part(begin, end), self.times)


@dataclass(frozen=True)
class Taken:
    """Tokens of a track, one for each row."""

    track: Track
    tokens: Ints
    begin: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.begin

    def read(self, rows: Ints) -> Prints:
        return self.track.read(self.tokens[rows], self.begin, self.end)

    def part(self, begin: int, end: int) -> Value:
        return Taken(self.track, self.tokens, self.begin + begin, self.begin + end)


def joined(parts: list[Value]) -> Value:
    """Values side by side; one is itself."""
    return parts[0] if len(parts) == 1 else Joined(tuple(parts))


def pieces(rows: int, width: int) -> Iterator[Ints]:
    """All rows, as many at a time as `PIECE` elements allow."""
    step = max(1, PIECE // max(1, width))
    for first in range(0, rows, step):
        yield np.arange(first, min(first + step, rows), dtype=np.int64)


def is_large_load(value: Value, rows: int) -> bool:
    """Whether a value is better loaded again than written out."""
    if isinstance(value, Repeated):
        return is_large_load(value.value, rows)
    return isinstance(value, Loaded) and rows * value.width > PIECE


class Track:
    """All tokens of a channel.

    Attributes:
        size: elements of a token.
        sent: tokens that were written so far.
    """

    def __init__(self, tokens: int, size: int) -> None:
        self.size, self.tokens, self.sent = size, tokens, 0
        self._dense: Prints | None = None
        self._loads: list[tuple[int, int, Value]] = []

    def write(self, tokens: Ints, value: Value) -> None:
        """Put in the rows of a value as these tokens."""
        self.sent += len(tokens)
        first, last = int(tokens[0]), int(tokens[-1])
        if is_large_load(value, len(tokens)) and (np.diff(tokens) == 1).all():
            self._loads.append((first, last + 1, value))
            return
        if self._dense is None:
            self._dense = np.zeros((self.tokens, self.size), np.uint64)
        for rows in pieces(len(tokens), self.size):
            self._dense[tokens[rows]] = value.read(rows)

    def read(self, tokens: Ints, begin: int, end: int) -> Prints:
        """Elements `begin` to `end` - 1 of some tokens."""
        if not self._loads:
            if self._dense is None:
                return np.zeros((len(tokens), end - begin), np.uint64)
            return self._dense[tokens, begin:end]
        found = np.zeros((len(tokens), end - begin), np.uint64)
        if self._dense is not None:
            found[:] = self._dense[tokens, begin:end]
        for first, last, value in self._loads:
            here = (tokens >= first) & (tokens < last)
            if here.any():
                found[here] = value.part(begin, end).read(tokens[here] - first)
        return found
