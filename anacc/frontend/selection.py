"""Constant choices of elements along axes, as the movements that the bridge has.

A choice is a sequence of indices for an axis.  Evenly spaced ones are a `slice`; a sequence as a
whole, or each of its elements, is repeated by an `expand`; any other one is cut into runs, which a
`concat` puts side by side.  Each run is a stream of the bridge, so that they must be few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anacc.frontend.chain import Chain
from anacc.frontend.node import Unsupported
from anacc.ir import BATCH
from anacc.ir.module import Dim

MOST_RUNS = 8
"""Of one choice.  A crossbar layer takes one or two streams of the bridge."""


@dataclass(frozen=True)
class Choice:
    """Indices: those of `base`, each `each` times in a row, and all of that `whole` times."""

    base: tuple[int, ...]
    each: int
    whole: int

    @classmethod
    def of(cls, indices: Sequence[int]) -> Choice:
        """The shortest base for some indices."""
        base, count = tuple(indices), len(indices)
        each = max(
            n for n in _divisors(count) if all(base[i] == base[i - i % n] for i in range(count))
        )
        base = base[::each]
        length = min(n for n in _divisors(len(base)) if base == base[:n] * (len(base) // n))
        return cls(base[:length], each, len(base) // length)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def progression(indices: Sequence[int]) -> range | None:
    """Indices as a range, if they are evenly spaced."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step == 0:
        return None
    found = range(indices[0], indices[0] + step * len(indices), step)
    return found if list(found) == list(indices) else None


def runs(indices: Sequence[int]) -> list[tuple[int, ...]]:
    """Indices cut into the longest runs of evenly spaced or equal ones, from the left."""
    found: list[tuple[int, ...]] = []
    start = 0
    while start < len(indices):
        end = start + 1
        if end < len(indices):
            step = indices[end] - indices[start]
            while end < len(indices) and indices[end] - indices[end - 1] == step:
                end += 1
            # Two alone begin a run only if the second one does not continue with the next.
            if end - start == 2 and end < len(indices) and _continues(indices, start + 1):
                end -= 1
        found.append(tuple(indices[start:end]))
        start = end
    return found


def _continues(indices: Sequence[int], start: int) -> bool:
    return start + 2 < len(indices) and (
        indices[start + 1] - indices[start] == indices[start + 2] - indices[start + 1]
    )


def select(chain: Chain, indices: Mapping[int, Sequence[int]]) -> Chain:
    """Choose elements along some axes, none of which is the batch.

    Args:
        chain: what they are chosen from.
        indices: for each axis, at least one index, all in range.

    Raises:
        Unsupported: if a choice has too many runs.
    """
    choices = {axis: Choice.of(each) for axis, each in indices.items()}
    even = {axis: progression(choice.base) for axis, choice in choices.items()}
    chain.slice({axis: cut for axis, cut in even.items() if cut is not None})
    for axis, choice in choices.items():
        if even[axis] is None:
            _join_runs(chain, axis, choice.base)
    return _repeat(chain, choices)


def _join_runs(chain: Chain, axis: int, indices: Sequence[int]) -> None:
    cut = runs(indices)
    if len(cut) > MOST_RUNS:
        raise Unsupported(f"its choice of elements has at most {MOST_RUNS} evenly spaced runs")
    whole, parts = chain.value, []
    for run in cut:
        chain.value = whole
        parts.append(select(chain, {axis: run}).value)
    chain.value = parts[0]
    chain.apply("concat", "joined", *parts[1:], axis=axis)


def _repeat(chain: Chain, choices: Mapping[int, Choice]) -> Chain:
    """Repeat along all axes at once: each becomes (whole, its elements, each)."""
    if all(choice.each == choice.whole == 1 for choice in choices.values()):
        return chain
    before: list[Dim] = []
    after: list[Dim] = []
    result: list[Dim] = []
    for axis, dim in enumerate(chain.shape):
        choice = choices.get(axis)
        if choice is None or dim == BATCH:
            before, after, result = [*before, dim], [*after, dim], [*result, dim]
            continue
        for times, size in ((choice.whole, 1), (int(dim), int(dim)), (choice.each, 1)):
            if times != 1 or size != 1:
                before.append(size)
                after.append(times)
        result.append(choice.whole * int(dim) * choice.each)
    return chain.reshape(before).expand(after).reshape(result)
