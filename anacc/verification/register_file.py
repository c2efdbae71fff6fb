"""The registers of a stream, each a few values side by side."""

from __future__ import annotations

import numpy as np

from anacc.program.model import Slice
from anacc.verification.values import Dense, Value, joined

Registers = dict[int, list[tuple[int, int, Value]]]
"""For each register, disjoint parts in rising order: first element, last + 1, value."""


def read(registers: Registers, part: Slice) -> Value:
    """A register slice; elements without a value (a fault of its own) are 0."""
    begin, end = part.offset, part.offset + part.length
    found: list[Value] = []
    for first, last, value in registers.get(part.register, ()):
        low, high = max(first, begin), min(last, end)
        if low < high:
            found.append(value.part(low - first, high - first))
    return joined(found) if found else Dense(np.zeros((1, part.length), np.uint64))


def write(registers: Registers, part: Slice, value: Value) -> None:
    """Replace a register slice."""
    begin, end = part.offset, part.offset + part.length
    kept: list[tuple[int, int, Value]] = [(begin, end, value)]
    for first, last, old in registers.get(part.register, ()):
        if first < begin:
            cut = min(last, begin)
            kept.append((first, cut, old.part(0, cut - first)))
        if last > end:
            cut = max(first, end)
            kept.append((cut, last, old.part(cut - first, last - first)))
    registers[part.register] = sorted(kept, key=lambda each: each[0])
