"""The cut of a sequence is the best of all, and no cut at all beats the bound."""

from __future__ import annotations

from itertools import combinations, pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from anacc_passes.chips.bound import traffic_bound
from anacc_passes.chips.cut import UNIT, cut, numbered
from anacc_passes.chips.refine import Parts
from anacc_passes.chips.stream_graph import Net, crossings
from tests.work import work

WEIGHTS = st.lists(st.integers(0, 4), min_size=1, max_size=9)


def loads(weights: list[int], boundaries: tuple[int, ...]) -> list[int]:
    ends = [0, *boundaries, len(weights)]
    return [sum(weights[first:last]) for first, last in pairwise(ends)]


def best(weights: list[int], costs: list[int], capacity: int, parts: int) -> tuple[int, int] | None:
    """Least cost, then the lightest heaviest part, of all cuts that there are."""
    found = [
        (sum(costs[position] for position in chosen), max(loads(weights, chosen)))
        for count in range(parts)
        for chosen in combinations(range(1, len(weights)), count)
        if max(loads(weights, chosen)) <= capacity
    ]
    return min(found, default=None)


@given(WEIGHTS, st.data(), st.integers(3, 8), st.integers(1, 5))
def test_no_cut_is_better(weights: list[int], data: st.DataObject, room: int, parts: int) -> None:
    costs = data.draw(
        st.lists(st.integers(0, 6), min_size=len(weights) + 1, max_size=len(weights) + 1)
    )
    found = cut([w * UNIT for w in weights], costs, room * UNIT, parts)
    expected = best(weights, costs, room, parts)
    assert (found is None) == (expected is None)
    if found is None:
        return
    chosen = tuple(found)
    assert (sum(costs[p] for p in chosen), max(loads(weights, chosen))) == expected
    fewest = next(n for n in range(1, 10) if best(weights, costs, room, n) is not None)
    least = cut([w * UNIT for w in weights], costs, room * UNIT, None)
    assert least is not None and len(least) == fewest - 1


def nets(count: int) -> st.SearchStrategy[list[Net]]:
    ends = st.sets(st.integers(0, count - 1), min_size=2, max_size=3).map(sorted).map(tuple)
    return st.lists(st.builds(Net, st.integers(1, 9), ends), max_size=7)


def cost(found: list[Net], parts: tuple[int, ...]) -> int:
    spans = ([parts[node] for node in net.nodes] for net in found)
    return sum(net.values * (max(span) - min(span)) for net, span in zip(found, spans, strict=True))


@given(st.data(), st.lists(st.integers(0, 3), min_size=2, max_size=6))
def test_the_bound_holds_for_every_way_to_fill_the_parts(
    data: st.DataObject, weights: list[int]
) -> None:
    found = data.draw(nets(len(weights)))
    for capacity in (3, 4):
        least = min(
            cost(found, parts)
            for parts in product(range(4), repeat=len(weights))
            if all(
                sum(w for w, p in zip(weights, parts, strict=True) if p == part) <= capacity
                for part in range(4)
            )
        )
        assert traffic_bound(found, weights, capacity) <= least


def test_the_bound_of_a_chain_is_half_of_what_crosses() -> None:
    """64 nodes one after another on 16 parts: 15 boundaries with 100 values each."""
    chain = [Net(100, (node, node + 1)) for node in range(63)]
    bound = traffic_bound(chain, [1.0] * 64, 4.0)
    assert 750 <= bound <= 800


@given(st.data(), st.lists(st.integers(0, 2), min_size=2, max_size=7))
def test_moves_lower_the_cost_and_keep_the_rules(data: st.DataObject, weights: list[int]) -> None:
    found = data.draw(nets(len(weights)))
    start = data.draw(
        st.lists(st.integers(0, 2), min_size=len(weights), max_size=len(weights)).map(sorted)
    )
    before = [[node - 1] if node and data.draw(st.booleans()) else [] for node in range(len(start))]
    room = max(sum(w for w, p in zip(weights, start, strict=True) if p == part) for part in start)
    parts = Parts(start, weights, found, before)
    parts.improve(room)
    assert parts.cost() == cost(found, tuple(parts.parts)) <= cost(found, tuple(start))
    for part in range(3):
        assert sum(w for w, p in zip(weights, parts.parts, strict=True) if p == part) <= room
    assert all(
        parts.parts[s] <= parts.parts[n] for n, sources in enumerate(before) for s in sources
    )


def test_what_crosses_a_boundary() -> None:
    assert crossings([Net(5, (0, 2)), Net(3, (1, 2, 3))], 4) == [0, 5, 8, 3, 0]
    assert numbered([1, 3], 4) == [0, 1, 1, 2]


def test_the_work_grows_with_the_things() -> None:
    """With parts that are just enough, eight times the things take eight times the work or so."""

    def run(count: int) -> None:
        assert cut([UNIT] * count, [1] * (count + 1), 64 * UNIT, -(-count // 64)) is not None

    assert work(lambda: run(8192)) < 12 * work(lambda: run(1024))
