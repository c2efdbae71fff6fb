"""The grid of a sweep: which points, in which order, and what is no axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.errors import UsageError
from anacc.sweeps.axes import MAX_POINTS, Point, grid, texts


def test_the_last_axis_varies_fastest() -> None:
    points = grid({"crossbar": ["64X64", (128, 32)], "gdpu.count": "4"}, {"seed": [1, 2]})
    assert points == [
        Point({"crossbar": crossbar, "gdpu.count": 4}, {"seed": seed})
        for crossbar in ("64x64", "128x32")
        for seed in (1, 2)
    ]


def test_without_axes_there_is_one_point() -> None:
    assert grid(None, None) == grid({}, {}) == [Point()]


def test_values_are_parsed_by_their_keys() -> None:
    (first, second) = grid({"adc.full_scale_cells": texts("12,12+24")}, None)
    assert first.settings == {"adc.full_scale_cells": (12.0,)}
    assert second.settings == {"adc.full_scale_cells": (12.0, 24.0)}
    points = grid({"grid.rows": np.arange(1, 4)}, None)
    assert [point.settings["grid.rows"] for point in points] == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "vary", "words"),
    [
        ({"grid.row": [8]}, None, "`grid.row`: a target has no such key"),
        ({"grid.rows": []}, None, "no value for `grid.rows`"),
        ({"grid.rows": ["8", ""]}, None, "is empty"),
        ({"grid.rows": ["8", 8]}, None, "the value `8` twice"),
        ({"grid": ["8x8", "08x8"]}, None, "the value `8x8` twice"),
        ({"grid": ["8x8"], "grid.rows": [4]}, None, "give `grid.rows` twice"),
        ({"grid": ["0x8", "8"]}, None, "`grid=8` is not a size"),
        ({"grid.rows": range(200), "grid.columns": range(200)}, None, f"more than {MAX_POINTS}"),
        ([8], None, "axes of a sweep are a mapping"),
        (None, {"seed": []}, "no value for `seed`"),
        (None, {"seed": [1, 1]}, "twice"),
    ],
)
def test_what_is_no_grid_is_refused(settings: Any, vary: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        grid(settings, vary)
    assert words in caught.value.message
