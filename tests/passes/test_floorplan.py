"""Placements are valid, repeatable, optimal where that can be known, and never below the bound."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anacc_passes.floorplan.bound as bounds
from anacc.targets import Target
from anacc_passes.floorplan import EFFORTS, Grid, Pull, Traffic, Transfer, floorplan
from anacc_passes.floorplan.anneal import annealed
from anacc_passes.floorplan.bound import distance_bound
from anacc_passes.floorplan.descend import descended
from anacc_passes.floorplan.first import first_placements
from anacc_passes.floorplan.flows import Cost, Flows
from anacc_passes.floorplan.paths import cheapest_path
from tests.passes.chips import target


def grid(rows: int, columns: int, **others: object) -> Target:
    return target(grid__rows=rows, grid__columns=columns, **others)


def some_traffic(seed: int, count: int, chip: Target, density: float = 0.5) -> Traffic:
    """Chains, transfers, pulls and ties at random; ties leave room in their columns."""
    random, columns = Random(seed), chip.grid.columns.value
    chains: list[list[int]] = [[]]
    for bar in range(count):
        if chains[-1] and random.random() < 0.5:
            chains.append([])
        chains[-1].append(bar)
    transfers = [
        Transfer(a, b, random.randrange(1, 100), True) for c in chains for a, b in pairwise(c)
    ]
    for a in range(count):
        for b in range(count):
            if a != b and random.random() < density / count * 2:
                transfers.append(Transfer(a, b, random.randrange(1, 100), False))
    room = [chip.grid.rows.value - 1] * columns
    ties: list[int | None] = [None] * count
    for chain in chains:
        column = random.randrange(columns)
        if random.random() < 0.3 and room[column] > 0:
            ties[chain[-1]] = column
            room[column] -= 1
    pulls = [
        Pull(bar, random.randrange(columns), random.randrange(1, 100))
        for bar in range(count)
        if random.random() < 0.3
    ]
    return Traffic(ties, chains, transfers, pulls)


def check(chip: Target, traffic: Traffic, effort: int = 1, seed: int = 0) -> Cost:
    """A placement by some effort is valid; what it costs."""
    cores = floorplan(chip, traffic, effort, seed)
    check_valid(chip, traffic, cores)
    assert floorplan(chip, traffic, effort, seed) == cores
    return Flows(Grid(chip), traffic).cost(cores)


def check_valid(chip: Target, traffic: Traffic, cores: list[int]) -> None:
    assert len(set(cores)) == len(cores) == len(traffic.columns)
    assert all(0 <= core < chip.cores for core in cores)
    for column, core in zip(traffic.columns, cores, strict=True):
        assert column is None or chip.column_of(core) == column


def optimum(chip: Target, traffic: Traffic) -> tuple[Cost, int]:
    """The cheapest placement of all, and the least traffic x distance of all."""
    flows, places = Flows(Grid(chip), traffic), range(chip.cores)
    valid = (
        cores
        for cores in permutations(places, flows.count)
        if all(
            tie is None or chip.column_of(core) == tie
            for tie, core in zip(traffic.columns, cores, strict=True)
        )
    )
    costs = [flows.cost(cores) for cores in valid]
    return min(costs), min(distance for _, distance in costs)


SMALL = [
    (seed, size, count)
    for size, count in (((2, 3), 5), ((2, 3), 6), ((2, 4), 5), ((3, 3), 4), ((1, 6), 5))
    for seed in range(4)
]


@pytest.mark.parametrize(("seed", "size", "count"), SMALL)
def test_small_cases_are_solved_and_bounded(seed: int, size: tuple[int, int], count: int) -> None:
    chip = grid(*size)
    traffic = some_traffic(seed, count, chip)
    best, least = optimum(chip, traffic)
    assert check(chip, traffic, 2) == best
    assert distance_bound(Flows(Grid(chip), traffic)) <= least


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_eight_crossbars_are_solved_and_bounded(seed: int) -> None:
    chip = grid(2, 4)
    traffic = some_traffic(seed, 8, chip)
    best, least = optimum(chip, traffic)
    assert check(chip, traffic, 2) == best
    assert distance_bound(Flows(Grid(chip), traffic)) <= least


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(3, 4), (8, 8), (1, 20), (20, 3)]), st.booleans())
def test_any_placement_is_valid_and_not_below_the_bound(
    seed: int, size: tuple[int, int], is_large: bool
) -> None:
    chip = grid(*size)
    traffic = some_traffic(seed, Random(seed).randrange(1, chip.cores + 1), chip, 2.0)
    flows = Flows(Grid(chip), traffic)
    with pytest.MonkeyPatch.context() as patch:
        if is_large:
            patch.setattr(bounds, "QUICK", 0)
            patch.setattr(bounds, "ASSIGNED", 0)
        bound = distance_bound(flows)
    costs = []
    for cores in first_placements(flows.grid, traffic):
        check_valid(chip, traffic, cores)
        better = descended(flows, cores, 1_000)
        check_valid(chip, traffic, better)
        costs += [flows.cost(cores), flows.cost(better)]
        assert costs[-1] <= costs[-2]
    hot = annealed(flows, np.array([cores] * 3), 20, 1 + seed % 4, np.random.default_rng(seed))
    for row in hot.tolist():
        check_valid(chip, traffic, row)
        costs.append(flows.cost(row))
    assert bound <= min(distance for _, distance in costs)


def test_annealing_reckons_what_exchanges_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """At no temperature, each step that is made helps."""
    monkeypatch.setattr("anacc_passes.floorplan.anneal.HOTTEST", 1e-9)
    monkeypatch.setattr("anacc_passes.floorplan.anneal.COLDEST", 1e-9)
    monkeypatch.setattr("anacc_passes.floorplan.anneal.HOP", 0)
    chip = grid(8, 8)
    flows = Flows(Grid(chip), some_traffic(3, 60, chip, 3.0))
    cores = np.array([next(first_placements(flows.grid, some_traffic(3, 60, chip, 3.0)))])
    before = first = flows.cost(cores[0])[1]
    for step in range(60):
        cores = annealed(flows, cores, 1, 8, np.random.default_rng(step))
        after = flows.cost(cores[0])[1]
        assert after <= before
        before = after
    assert before < first


def test_more_effort_is_never_worse() -> None:
    chip = grid(5, 5)
    traffic = some_traffic(11, 22, chip, 2.0)
    costs = [check(chip, traffic, effort) for effort in EFFORTS[:3]]
    assert costs == sorted(costs, reverse=True)


def test_partial_sums_go_first() -> None:
    """However much two ends of a chain exchange, its links stay one hop each."""
    chip = grid(1, 5)
    ends = Transfer(0, 3, 10**6, False)
    chain = [Transfer(a, a + 1, 1, True) for a in range(3)]
    assert check(chip, Traffic([None] * 4, [[0, 1, 2, 3]], [*chain, ends], []), 2)[0] == 3


def test_a_star_is_bounded_by_the_cores_around_it() -> None:
    """Four partners are one link away at best, the fifth is two, which halves do not find."""
    chip = grid(8, 8)
    star = [Transfer(0, bar, 10, False) for bar in range(1, 10)]
    traffic = Traffic([None] * 10, [[bar] for bar in range(10)], star, [])
    assert check(chip, traffic) == (0, 10 * (4 + 2 * 5))
    assert distance_bound(Flows(Grid(chip), traffic)) == 10 * (4 + 2 * 5)


def test_chains_go_where_they_pull_from() -> None:
    """Two layers of two parts with a GDPU behind: three chains down to the GDPUs of three columns
    and two chains that pull from these, a crossbar from each.  All fit without a way aside."""
    chip = grid(6, 6)
    chains: list[list[int]] = []
    pulls: list[Pull] = []
    ties: list[int | None] = []
    for columns in ((0, 1, 2), (5, 4, 3)):
        for length, among, tied in ((2, [0, 1, 2], False), (2, columns, True), (3, [0, 1], False)):
            for column in among:
                chains.append(list(range(len(ties), len(ties) + length)))
                ties += [None] * (length - 1) + [column if tied else None]
                if length == 3:
                    pulls += map(Pull, chains[-1], columns, [10] * 3)
    transfers = [Transfer(a, b, 10, True) for chain in chains for a, b in pairwise(chain)]
    traffic = Traffic(ties, chains, transfers, pulls)
    assert len(ties) == chip.cores
    assert check(chip, traffic, 0) == (len(transfers), 10 * len(transfers))


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_path_is_the_cheapest_of_all(seed: int) -> None:
    chance = np.random.default_rng(seed)
    length, rows, columns = chance.integers(1, 6).item(), 3, 4
    costs = chance.integers(0, 9, (length, rows, columns)).astype(np.float64)
    costs[chance.random(costs.shape) < 0.2] = np.inf

    def price(path: list[tuple[int, int]]) -> float:
        return float(sum(costs[step, row, column] for step, (row, column) in enumerate(path)))

    def grown(path: list[tuple[int, int]], aside: int) -> Iterator[list[tuple[int, int]]]:
        """Paths of the length that begin so; they go to one side and visit no core twice."""
        if len(path) == length:
            yield path
            return
        row, column = path[-1]
        for place in ((row, column + aside), (row - 1, column), (row + 1, column)):
            if place not in path and 0 <= place[0] < rows and 0 <= place[1] < columns:
                yield from grown([*path, place], aside)

    every = [
        path
        for start in np.ndindex(rows, columns)
        for aside in (1, -1)
        for path in grown([(start[0], start[1])], aside)
    ]
    best = min(map(price, every))
    found = cheapest_path(costs)
    assert (found is None) == (best == np.inf)
    if found is not None:
        assert price(found) == best
        assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(found))


def test_flows_beyond_exact_floats_are_bounded_from_below() -> None:
    chip = grid(2, 2)
    traffic = Traffic([None] * 2, [[0], [1]], [Transfer(0, 1, 2**60 + 1, False)], [])
    bound = distance_bound(Flows(Grid(chip), traffic))
    assert 0.999 * 2**60 < bound <= 2**60 + 1


@pytest.mark.parametrize("directions", [["horizontal"], ["vertical"]])
def test_crossbars_keep_to_directions_that_have_links(directions: list[str]) -> None:
    chip = grid(4, 4, links__directions=directions)
    chains = [[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3] for n in range(4)]
    transfers = [Transfer(a, b, 5, True) for chain in chains for a, b in pairwise(chain)]
    traffic = Traffic([None] * 16, chains, transfers, [])
    assert check(chip, traffic) == (12, 60)
    assert distance_bound(Flows(Grid(chip), traffic)) == 60


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 9), (5, 9), (2, 3), (7, 7), (6, 4)])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_strips_fill_the_grid_without_a_jump(rows: int, columns: int, width: int) -> None:
    plan = Grid(grid(rows, columns))
    path = plan.snake(width)
    assert sorted(path) == list(range(rows * columns))
    assert all(plan.distance(a, b) == 1 for a, b in pairwise(path))
    assert sorted(plan.around(path[-1])) == sorted(path)


def test_thousands_of_crossbars_are_placed_in_little_more_than_linear_time() -> None:
    """Steps are counted, not seconds: a descent stops at its budget, paths at theirs."""
    chip = grid(70, 70)
    chains = [list(range(first, first + 7)) for first in range(0, 4_900, 7)]
    transfers = [Transfer(a, b, 5, True) for chain in chains for a, b in pairwise(chain)]
    traffic = Traffic([None] * 4_900, chains, transfers, [])
    assert check(chip, traffic, 1) == (4_200, 21_000)
