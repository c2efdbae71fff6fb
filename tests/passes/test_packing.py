"""Packed rectangles lie inside their crossbar and apart, and bounds are below what is reached."""

from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anacc_passes.packing.rectangles import Rect, Spot, lower_bound, pack

ROWS, COLUMNS = 16, 12
RECTS = st.lists(st.builds(Rect, st.integers(1, ROWS), st.integers(1, COLUMNS)), max_size=24)


def count(spots: tuple[Spot, ...]) -> int:
    return len({spot.crossbar for spot in spots})


def check(rects: list[Rect], spots: tuple[Spot, ...]) -> None:
    assert len(spots) == len(rects)
    assert {spot.crossbar for spot in spots} == set(range(count(spots)))
    for rect, spot in zip(rects, spots, strict=True):
        assert 0 <= spot.row <= ROWS - rect.rows
        assert 0 <= spot.column <= COLUMNS - rect.columns
    for (a, at), (b, bt) in combinations(zip(rects, spots, strict=True), 2):
        assert (
            at.crossbar != bt.crossbar
            or at.row + a.rows <= bt.row
            or bt.row + b.rows <= at.row
            or at.column + a.columns <= bt.column
            or bt.column + b.columns <= at.column
        )


@given(RECTS)
@example([Rect(ROWS, COLUMNS)] * 3)
@example([])
def test_rectangles_lie_inside_and_apart(rects: list[Rect]) -> None:
    spots = pack(rects, ROWS, COLUMNS)
    check(rects, spots)
    assert spots == pack(rects, ROWS, COLUMNS)
    assert count(spots) >= lower_bound(rects, ROWS, COLUMNS)


@given(RECTS)
def test_bound_is_at_least_that_of_cells_and_of_large_rectangles(rects: list[Rect]) -> None:
    bound = lower_bound(rects, ROWS, COLUMNS)
    assert bound >= -(-sum(r.rows * r.columns for r in rects) // (ROWS * COLUMNS))
    assert bound >= sum(r.rows > ROWS / 2 and r.columns > COLUMNS / 2 for r in rects)


@given(st.data())
def test_bound_never_exceeds_a_packing_that_exists(data: st.DataObject) -> None:
    """Cut full crossbars into pieces: as many crossbars hold them all."""
    pieces = [Rect(ROWS, COLUMNS)] * data.draw(st.integers(1, 3))
    bars = len(pieces)
    for _ in range(data.draw(st.integers(0, 12))):
        rect = pieces.pop(data.draw(st.integers(0, len(pieces) - 1)))
        if data.draw(st.booleans()) and rect.rows > 1:
            cut = data.draw(st.integers(1, rect.rows - 1))
            pieces += [Rect(cut, rect.columns), Rect(rect.rows - cut, rect.columns)]
        elif rect.columns > 1:
            cut = data.draw(st.integers(1, rect.columns - 1))
            pieces += [Rect(rect.rows, cut), Rect(rect.rows, rect.columns - cut)]
        else:
            pieces.append(rect)
    assert lower_bound(pieces, ROWS, COLUMNS) == bars


@given(RECTS, st.data())
def test_different_labels_never_share(rects: list[Rect], data: st.DataObject) -> None:
    label = st.sampled_from([None, 0, 1])
    labels = data.draw(st.lists(label, min_size=len(rects), max_size=len(rects)))
    spots = pack(rects, ROWS, COLUMNS, labels, limit=1)
    check(rects, spots)
    found: dict[int, set[int]] = {}
    for spot, mark in zip(spots, labels, strict=True):
        if mark is not None:
            found.setdefault(spot.crossbar, set()).add(mark)
    assert all(len(marks) == 1 for marks in found.values())


def test_limit_keeps_a_label_on_its_crossbars() -> None:
    half = Rect(ROWS // 2, COLUMNS)
    rects, labels = [half] * 4, [None, 0, None, 0]
    spots = pack(rects, ROWS, COLUMNS, labels, limit=1)
    assert spots[1].crossbar == spots[3].crossbar


@pytest.mark.parametrize(
    ("rects", "bars"),
    [
        ([Rect(16, 6)] * 4, 2),
        ([Rect(8, 6)] * 8, 2),
        ([Rect(9, 7)] * 3, 3),
        ([Rect(9, 4), Rect(9, 4), Rect(9, 4)], 1),
        ([Rect(10, 12), Rect(6, 5), Rect(6, 7)], 1),
        ([Rect(5, 12)] * 4, 2),
    ],
)
def test_reaches_the_bound(rects: list[Rect], bars: int) -> None:
    assert count(pack(rects, ROWS, COLUMNS)) == lower_bound(rects, ROWS, COLUMNS) == bars


@pytest.mark.parametrize("rect", [Rect(17, 1), Rect(1, 13), Rect(0, 1)])
def test_a_rectangle_that_fits_no_crossbar_is_refused(rect: Rect) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack([rect], ROWS, COLUMNS)


@pytest.mark.parametrize(("label", "shared"), [(None, True), (0, False), (1, True)])
def test_crossbars_that_hold_something_have_its_label(label: int | None, shared: bool) -> None:
    taken = [(Spot(3, 0, 0), Rect(2, 4), 1)]
    found = pack([Rect(2, 3)] * 4, 4, 4, [label] * 4, 4, taken)
    assert (Spot(3, 2, 0) in found) == shared
    assert Spot(3, 0, 0) not in found
