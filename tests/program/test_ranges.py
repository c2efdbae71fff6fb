"""Affine address patterns, against enumeration."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from anacc.program.checks.ranges import Budget, Term, can_equal, is_injective, reach
from tests.work import work

_terms = st.lists(st.tuples(st.integers(-9, 9), st.integers(-3, 0), st.integers(0, 3)), max_size=4)


def sums(items: list[Term]) -> list[int]:
    ranges = [range(low, high + 1) for _, low, high in items]
    return [
        sum(stride * index for (stride, _, _), index in zip(items, indices, strict=True))
        for indices in itertools.product(*ranges)
    ]


@given(_terms)
def test_reach(items: list[Term]) -> None:
    assert reach(items) == (min(sums(items)), max(sums(items)))


@given(_terms, st.integers(-40, 40))
def test_can_equal_is_exact(items: list[Term], target: int) -> None:
    assert can_equal(target, items, Budget(0)) == (target in sums(items))


@given(_terms)
def test_injective_patterns_are(items: list[Term]) -> None:
    if is_injective(items):
        assert len(set(sums(items))) == len(sums(items))


def test_digits_are_injective() -> None:
    assert is_injective([(1, 0, 9), (-100, 0, 9), (10, 0, 9)])
    assert not is_injective([(1, 0, 10), (10, 0, 9)])
    assert not is_injective([(0, 0, 1)])


def test_huge_counts_cost_nothing() -> None:
    big = [(stride, -(10**9), 10**9) for stride in (6, 10**10, 10**15 + 6)]
    assert not can_equal(7, big, Budget(0))
    assert can_equal(12, big, Budget(0))
    # A hard pattern is called a meeting rather than searched for ever.
    hard = [(10**6 + step * step, -(10**9), 10**9) for step in range(30)]
    assert can_equal(1, hard, Budget(0))
    assert work(lambda: can_equal(1, hard, Budget(0))) < 10**6
