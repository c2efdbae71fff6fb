"""Poured strips lie apart and are whole, and no packing does with fewer columns than the bound."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from anacc_passes.packing.strips import Piece, Zones, divide, pour

ROWS, COLUMNS = 16, 12
STRIPS = st.lists(st.tuples(st.integers(1, ROWS), st.integers(1, 30)), max_size=20)


def packed(strips: list[tuple[int, int]]) -> tuple[Zones, tuple[Piece, ...]]:
    widths: Counter[int] = Counter()
    for height, width in strips:
        widths[height] += width
    zones = divide(widths, ROWS)
    return zones, pour(strips, zones.zones, COLUMNS)


@given(STRIPS)
@example([])
@example([(ROWS, COLUMNS)] * 3)
def test_pieces_are_the_strips_and_lie_apart(strips: list[tuple[int, int]]) -> None:
    zones, pieces = packed(strips)
    covered: dict[int, list[tuple[int, int]]] = {number: [] for number in range(len(strips))}
    for piece in pieces:
        width = piece.columns[1] - piece.columns[0]
        assert width > 0
        assert 0 <= piece.row <= ROWS - strips[piece.strip][0]
        assert 0 <= piece.column <= COLUMNS - width
        covered[piece.strip].append(piece.columns)
    for (_, width), parts in zip(strips, covered.values(), strict=True):
        ends = [0, *(last for _, last in sorted(parts))]
        assert ends[-1] == width and [first for first, _ in sorted(parts)] == ends[:-1]
    for a, b in combinations(pieces, 2):
        assert (
            a.crossbar != b.crossbar
            or a.row + strips[a.strip][0] <= b.row
            or b.row + strips[b.strip][0] <= a.row
            or a.column + a.columns[1] - a.columns[0] <= b.column
            or b.column + b.columns[1] - b.columns[0] <= a.column
        )
    crossbars = len({piece.crossbar for piece in pieces})
    assert crossbars == -(-zones.columns // COLUMNS)
    assert zones.bound <= zones.columns
    assert packed(strips) == (zones, pieces)


def least_columns(items: tuple[int, ...], rows: int) -> int:
    """The fewest bins for items, by trying all: the largest one goes to a bin with any others."""

    @cache
    def fewest(left: tuple[int, ...]) -> int:
        if not left:
            return 0
        first, others = left[0], left[1:]
        best = len(left)
        for count in range(len(others) + 1):
            for chosen in combinations(range(len(others)), count):
                if first + sum(others[i] for i in chosen) <= rows:
                    rest = tuple(h for i, h in enumerate(others) if i not in chosen)
                    best = min(best, 1 + fewest(rest))
        return best

    return fewest(tuple(sorted(items, reverse=True)))


@given(st.lists(st.integers(1, 10), min_size=1, max_size=8))
@settings(max_examples=60)
def test_bound_and_zones_are_near_the_optimum(items: list[int]) -> None:
    zones = divide(Counter(items), 10)
    least = least_columns(tuple(items), 10)
    assert zones.bound <= least <= zones.columns
    # An integer solution of the cutting stock problem is within its number of heights.
    assert zones.columns < zones.bound + max(len(set(items)), 2)


def test_strips_that_fill_crossbars_reach_the_bound() -> None:
    """Widths of 192 waste a fourth of the crossbars as rectangles, and nothing as strips."""
    strips = [(256, 192)] * 40 + [(64, 192)] * 8
    widths = {256: 40 * 192, 64: 8 * 192}
    zones = divide(widths, 256)
    assert zones.columns == zones.bound == 40 * 192 + 8 * 192 // 4
    assert 1 + max(piece.crossbar for piece in pour(strips, zones.zones, 256)) == 32


def test_narrow_strips_stay_whole() -> None:
    """Three of 192 and three of 64 columns fit three crossbars without a cut."""
    strips = [(16, 9)] * 3 + [(16, 3)] * 3
    _, pieces = packed(strips)
    assert len(pieces) == 6 and max(piece.crossbar for piece in pieces) == 2
