"""Metrics against values computed by hand."""

import math

import numpy as np
import pytest

from anacc.errors import FeedError
from anacc.metrics import ErrorSums, correct, mse, snr_db, top1


@pytest.mark.parametrize(
    ("reference", "value", "expected"),
    [
        # 25 / 0.25 = 100, which is 20 dB
        ([3.0, 4.0], [3.0, 4.5], 20.0),
        # 10 log10(2)
        ([1.0, 1.0], [1.0, 0.0], 3.0103),
        # a sign flip: 1 / 4
        ([2.0], [-2.0], -6.0206),
        ([1, 2, 3], [1, 2, 3], math.inf),
        ([0.0, 0.0], [0.0, 0.0], math.inf),
        ([0.0, 0.0], [0.0, 1.0], -math.inf),
        ([], [], math.inf),
        # int8 differences must not wrap around: (100 + 100)^2
        (np.array([100], np.int8), np.array([-100], np.int8), -6.0206),
        (np.array([3e4], np.float16), np.array([-3e4], np.float16), -6.0206),
        ([True, False], [True, True], 0.0),
    ],
)
def test_snr(reference: object, value: object, expected: float) -> None:
    assert snr_db(reference, value) == pytest.approx(expected, abs=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.filterwarnings("error")
def test_snr_of_what_is_no_number(value: float) -> None:
    assert math.isnan(snr_db([1.0, value], [1.0, 2.0]))
    assert math.isnan(snr_db([1.0, 2.0], [1.0, value]))


def test_mse() -> None:
    assert mse([[1.0, 2.0], [3.0, 4.0]], [[1.0, 4.0], [3.0, 1.0]]) == (4 + 9) / 4
    assert math.isnan(mse([], []))


def test_sums_of_parts_are_those_of_the_whole() -> None:
    r = np.random.default_rng(0).normal(size=(4, 6))
    v = r + np.random.default_rng(1).normal(size=r.shape)
    parts = ErrorSums.of(r[:1], v[:1]) + ErrorSums.of(r[1:], v[1:])
    assert parts.snr_db == pytest.approx(snr_db(r, v), rel=1e-12)
    assert parts.mse == pytest.approx(float(np.mean((r - v) ** 2)), rel=1e-12)


def test_top1() -> None:
    scores = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]
    # The first of equal scores counts.
    assert top1(scores, [1, 0, 0, 0]) == 0.75
    assert math.isnan(top1(np.zeros((0, 3)), np.zeros(0, np.int64)))


def test_top1_of_positions() -> None:
    """Scores (N, T, V) with labels (N, T)."""
    labels = np.array([[0, 2, 1], [1, 1, 0]])
    scores = np.eye(3)[labels]
    assert top1(scores, labels) == 1.0
    assert top1(scores, (labels + [[0, 0, 1], [0, 0, 1]]) % 3) == pytest.approx(4 / 6)
    assert correct(scores, labels) == 6


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, np.int64), "do not fit labels of shape"),
        (np.zeros((2, 3)), np.zeros((2, 1), np.int64), "do not fit labels of shape"),
        (np.zeros(()), np.zeros((), np.int64), "do not fit labels of shape"),
        (np.zeros((2, 0)), np.zeros(2, np.int64), "do not fit labels of shape"),
        (np.zeros((2, 3)), np.zeros(2), "labels must be integers"),
        (np.array([["a"]]), np.zeros(1, np.int64), "must hold real numbers"),
    ],
)
def test_top1_refusals(scores: object, labels: object, message: str) -> None:
    with pytest.raises(FeedError, match=message):
        top1(scores, labels)  # type: ignore[arg-type]


def test_shapes_are_not_broadcast() -> None:
    with pytest.raises(FeedError, match=r"shape \(2, 1\) .* shape \(2,\)"):
        snr_db([1.0, 2.0], [[1.0], [2.0]])
