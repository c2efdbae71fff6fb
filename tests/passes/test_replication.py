"""Copies of layers: against brute force over all numbers of copies."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anacc_passes.copies.replication as replication
from anacc_passes.copies.replication import Split, Stage, balance, fractional_bound, splits

COUNTS = st.lists(st.integers(1, 12), min_size=0, max_size=3).map(tuple)
STAGES = st.lists(
    st.builds(Stage, COUNTS, st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=4
)


def slowest_copy(counts: tuple[int, ...], copies: int) -> int:
    """f(r), from its definition."""
    n0, n1 = [*counts, 1, 1][:2]
    return min(
        -(-n0 // r1) * -(-n1 // r2) * prod(counts[2:])
        for r1 in range(1, n0 + 1)
        for r2 in range(1, n1 + 1)
        if r1 * r2 <= copies
    )


def brute_force(stages: list[Stage], cores: int) -> list[tuple[int, int]]:
    """(slowest stage, sum of stages) of every choice of copies that fits."""
    return [
        (max(times), sum(times))
        for copies in product(*(range(1, stage.most + 1) for stage in stages))
        if sum(stage.cores * r for stage, r in zip(stages, copies, strict=True)) <= cores
        for times in [[slowest_copy(s.counts, r) for s, r in zip(stages, copies, strict=True)]]
    ]


@given(COUNTS, st.integers(1, 40))
def test_splits_are_all_that_are_worth_their_copies(counts: tuple[int, ...], most: int) -> None:
    found = splits(counts, most)
    for copies in range(1, most + 1):
        usable = [split for split in found if split.copies <= copies]
        assert usable[-1].positions == slowest_copy(counts, copies)
    for fewer, more in zip(found, found[1:], strict=False):
        assert fewer.copies < more.copies
        assert fewer.positions > more.positions


def test_copies_share_a_row_rather_than_rows() -> None:
    assert splits((4, 4), 2) == (Split((1, 1), 16), Split((1, 2), 8))


@settings(max_examples=150)
@given(STAGES, st.integers(1, 20))
def test_balance_is_the_optimum(stages: list[Stage], cores: int) -> None:
    found = balance(stages, cores)
    possible = brute_force(stages, cores)
    if found is None:
        assert not possible
        return
    assert sum(s.cores * split.copies for s, split in zip(stages, found, strict=True)) <= cores
    times = [split.positions for split in found]
    assert (max(times), sum(times)) == min(possible)
    assert max(times) >= fractional_bound(stages, cores)
    quick = balance(stages, cores, latency_first=True)
    assert quick is not None
    times = [split.positions for split in quick]
    assert (sum(times), max(times)) == min((total, slowest) for slowest, total in possible)


@settings(max_examples=100)
@given(STAGES, st.integers(1, 20))
def test_greedy_choice_errs_by_one_step(stages: list[Stage], cores: int) -> None:
    exact = balance(stages, cores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replication, "MAX_TABLE", 0)
        greedy = balance(stages, cores)
    if exact is None or greedy is None:
        assert exact is None and greedy is None
        return
    assert sum(s.cores * split.copies for s, split in zip(stages, greedy, strict=True)) <= cores
    assert max(s.positions for s in greedy) == max(s.positions for s in exact)
    gap = sum(s.positions for s in greedy) - sum(s.positions for s in exact)
    steps = [
        split.positions - s.splits[-1].positions for s, split in zip(stages, greedy, strict=True)
    ]
    assert 0 <= gap <= max(steps, default=0)


def test_no_layers_and_many_cores() -> None:
    assert balance([], 4) == ()
    found = balance([Stage((5,), 1, 64), Stage((), 2, 64)], 10**6)
    assert found is not None
    assert [split.copies for split in found] == [5, 1]
