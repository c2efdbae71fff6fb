"""Ranges of affine addresses, and whether two of them can meet.

An access touches base + sum(stride * index) with each index in [0, count); loops and dimensions of
the access are alike here.  All answers take time that does not depend on the counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from anacc.program.model import Access, Const, Loop

Term = tuple[int, int, int]  # stride, smallest and largest value of its index

# Steps of one search for a common address.  Address patterns of compiled programs need a few; a
# pattern that needs more is refused as if it had one.
_MAX_STEPS = 10_000
# Steps of all searches of a program: so many, and for each of its accesses.
_ALL_STEPS, _STEPS_PER_ACCESS = 1_000_000, 2_000
# What it costs to begin a search, in steps.
_BEGIN = 20


class Budget:
    """The steps that are left to the searches of one program with so many accesses: a second of
    time and two milliseconds for each."""

    def __init__(self, accesses: int) -> None:
        self.left = _ALL_STEPS + _STEPS_PER_ACCESS * accesses

    def take(self, steps: int) -> bool:
        """Use up steps; whether there were so many."""
        self.left -= steps
        return self.left >= 0


def terms(access: Access, loops: Sequence[Loop]) -> list[Term]:
    """The terms of an access inside loops, those of a single value left out."""
    strides = [
        *zip(access.strides, (loop.count for loop in loops), strict=True),
        *((stride, count) for count, stride in access.dims),
    ]
    return [(stride, 0, count - 1) for stride, count in strides if count > 1]


def reach(items: Sequence[Term]) -> tuple[int, int]:
    """Smallest and largest value of a sum of terms."""
    ends = [(stride * low, stride * high) for stride, low, high in items]
    return sum(min(pair) for pair in ends), sum(max(pair) for pair in ends)


def span(operand: Access | Const, loops: Sequence[Loop]) -> tuple[int, int]:
    """First and last address that an operand touches over all iterations."""
    if isinstance(operand, Access):
        low, high = reach(terms(operand, loops))
        return operand.base + low, operand.base + high
    pairs = zip(operand.strides, loops, strict=True)
    low, high = reach([(stride, 0, loop.count - 1) for stride, loop in pairs])
    return operand.base + low, operand.base + high + operand.length - 1


def is_injective(items: Sequence[Term]) -> bool:
    """Whether no two index vectors give the same sum; may say no where it cannot tell.

    Sorted by size, each stride must exceed all that the smaller ones reach together, as the
    digits of a number do.
    """
    below = 0
    for stride, low, high in sorted((abs(stride), low, high) for stride, low, high in items):
        if stride <= below:
            return False
        below += stride * (high - low)
    return True


def can_equal(target: int, items: Sequence[Term], budget: Budget) -> bool:
    """Whether a sum of terms can be `target`; may say yes where the search takes too long.

    Terms are fixed one after another, largest stride first.  Those that remain must still reach
    the rest, and their common divisor must divide it.
    """
    if not budget.take(_BEGIN):
        return True
    merged: dict[int, tuple[int, int]] = {}
    for stride, low, high in items:
        if stride < 0:
            stride, low, high = -stride, -high, -low
        if stride:
            before = merged.get(stride, (0, 0))
            merged[stride] = before[0] + low, before[1] + high
    ordered = [(stride, low, high) for stride, (low, high) in sorted(merged.items(), reverse=True)]
    suffixes = [ordered[position:] for position in range(len(ordered) + 1)]
    reaches = [reach(suffix) for suffix in suffixes]
    divisors = [math.gcd(*(stride for stride, _, _ in suffix)) for suffix in suffixes]
    steps = 0
    open_states = [(0, target)]
    while open_states:
        position, rest = open_states.pop()
        low, high = reaches[position]
        if not low <= rest <= high or (divisors[position] and rest % divisors[position]):
            continue
        # With one term left, divisibility and range decide; with none, the rest is zero.
        if position + 1 >= len(ordered):
            return True
        stride, first, last = ordered[position]
        low, high = reaches[position + 1]
        first = max(first, -((high - rest) // stride))
        last = min(last, (rest - low) // stride)
        wide = max(0, last - first + 1)
        steps += wide
        if steps > _MAX_STEPS or not budget.take(wide):
            return True
        open_states += [(position + 1, rest - stride * index) for index in range(first, last + 1)]
    return False
