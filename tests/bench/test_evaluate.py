"""Medians, ratios and shares of the limit are what their definitions say."""

import pytest

from bench import goals
from bench.cases import CASES, ENGINES, LIMIT
from bench.evaluate import case_result, least_seconds
from bench.measure import Series
from bench.results import ratio, spread

PRODUCT = "vpmaddubsw + vpmaddwd + vpaddd ymm"


def series(*seconds: float) -> Series:
    """One engine's times, round by round."""
    return Series({number: {"seconds": time} for number, time in enumerate(seconds)})


def limit(rate: float, read: float, rounds: int) -> Series:
    """The same rates of the CPU in each round."""
    return Series({number: {PRODUCT: rate, "read": read} for number in range(rounds)})


def test_spread_is_median_and_quartiles() -> None:
    found = spread([5, 1, 3, 2, 4])
    assert (found.median, found.lower, found.upper, found.rounds) == (3, 2, 4, 5)


def test_ratio_pairs_rounds() -> None:
    # A machine that becomes twice as slow changes no ratio of a round.
    above, below = {0: 2.0, 1: 4.0, 2: 4.0, 5: 1.0}, {0: 1.0, 1: 2.0, 2: 2.0, 3: 9.0}
    found = ratio(above, below)
    assert (found.median, found.lower, found.upper, found.rounds) == (2, 2, 2, 3)


def test_share_of_the_limit_counts_both_sums() -> None:
    case = CASES["resnet9-64"]
    rate = case.multiply_adds / 0.1  # one sum takes 0.1 s
    measured = {
        "anacc-1-phase": series(0.2, 0.2),
        "anacc-4-phase": series(0.4, 0.4),
        "onnxruntime-u8u8": series(0.1, 0.4),
        "aihwkit-torch": Series(unavailable="not installed"),
        LIMIT: limit(rate, 1e15, 2),
    }
    result = case_result("resnet9-64", measured, "avx2")
    assert list(result.engines) == ["anacc-1-phase", "anacc-4-phase", "onnxruntime-u8u8"]
    assert result.unavailable == {"aihwkit-torch": "not installed"}
    for engine in ("anacc-1-phase", "anacc-4-phase"):
        share = result.engines[engine].limit
        assert share is not None and share.median == 0.5
    assert result.engines["onnxruntime-u8u8"].limit is None
    assert result.engines["anacc-1-phase"].relative.median == pytest.approx(0.8)


def test_reading_weights_is_a_limit_too() -> None:
    case = CASES["resnet9-1"]
    rates = {PRODUCT: {0: 1e15}, "read": {0: case.layers.weights / 0.25}}
    assert least_seconds(case, ENGINES["anacc-1-phase"], rates, "avx2") == {0: 0.25}
    # Of an instruction set without known products nothing is said.
    assert least_seconds(case, ENGINES["anacc-1-phase"], rates, "portable") == {}


def test_goals_name_what_is_measured() -> None:
    for goal in goals.GOALS:
        assert goal.engine in CASES[goal.case].engines
        if isinstance(goal, goals.Faster):
            assert {*goal.than} <= {*CASES[goal.case].engines}
        if isinstance(goal, goals.FasterThanAll):
            assert {*goal.others} <= {*CASES[goal.case].engines}


def test_goals_without_an_engine_are_not_measured() -> None:
    measured = {"lstm-1": {"anacc-1-phase": series(1.0), "onnxruntime-u8s8": series(2.0)}}
    results = {"lstm-1": case_result("lstm-1", measured["lstm-1"], "avx2")}
    found = goals.measured(measured, results)
    assert [(one.holds, one.value and one.value.median) for one in found] == [
        (True, 0.5),
        (None, None),
        (None, None),
    ]
