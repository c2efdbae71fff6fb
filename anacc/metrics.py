"""How well a program reproduces a reference, and how often it is right.

With r the reference, v the value, and sums over all elements in binary64::

    mse    = sum((r - v)^2) / count
    snr_db = 10 log10(sum(r^2) / sum((r - v)^2))
    top1   = share of positions whose largest score is the label's
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.errors import FeedError


@dataclass(frozen=True)
class ErrorSums:
    """The sums that `mse` and `snr_db` are made of; those of the parts of a data set add up.

    Attributes:
        signal: sum of the squares of the reference.
        error: sum of the squares of reference minus value.
        count: number of elements.
    """

    signal: float = 0.0
    error: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, reference: npt.ArrayLike, value: npt.ArrayLike) -> ErrorSums:
        """Return the sums of two numeric arrays of one shape.

        Raises:
            FeedError: the shapes differ, or an array does not hold real numbers.
        """
        r, v = _numbers(reference, "the reference"), _numbers(value, "the value")
        if r.shape != v.shape:
            raise FeedError(f"a value of shape {v.shape} has a reference of shape {r.shape}")
        # Infinite or absent numbers make the sums inf or nan, which is the answer: no warning.
        with np.errstate(invalid="ignore", over="ignore"):
            return cls(float(np.sum(r * r)), float(np.sum((r - v) ** 2)), r.size)

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(
            self.signal + other.signal, self.error + other.error, self.count + other.count
        )

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB: inf without error, -inf where only the reference is zero."""
        if not (math.isfinite(self.signal) and math.isfinite(self.error)):
            return math.nan
        if self.error == 0:
            return math.inf
        if self.signal == 0:
            return -math.inf
        # A difference of logarithms: the quotient could overflow.
        return 10 * (math.log10(self.signal) - math.log10(self.error))

    @property
    def mse(self) -> float:
        """Mean squared error; nan without elements."""
        return self.error / self.count if self.count else math.nan


def snr_db(reference: npt.ArrayLike, value: npt.ArrayLike) -> float:
    """Return 10 log10(sum(reference^2) / sum((reference - value)^2)), in dB.

    Args:
        reference: numbers of any shape and element type.
        value: numbers of the same shape.

    Returns:
        The ratio; inf if the two are equal, -inf if the reference is all zero and the value is
        not, nan if one holds inf or nan.

    Raises:
        FeedError: the shapes differ, or an array does not hold real numbers.
    """
    return ErrorSums.of(reference, value).snr_db


def mse(reference: npt.ArrayLike, value: npt.ArrayLike) -> float:
    """Return the mean of (reference - value)^2; arguments and errors are those of `snr_db`."""
    return ErrorSums.of(reference, value).mse


def correct(scores: npt.ArrayLike, labels: npt.ArrayLike) -> int:
    """Return for how many positions the largest score (the first of equals) is the label's.

    Args:
        scores: numbers, shape (..., classes): (N, C) for a classifier, (N, T, V) for a score of
            each next character.
        labels: class numbers, integers of shape (...).

    Raises:
        FeedError: the shapes do not fit, or the labels are not integers.
    """
    s, labels = _numbers(scores, "the score"), np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise FeedError(f"labels must be integers, not {labels.dtype}")
    if s.ndim == 0 or s.shape[-1] == 0 or s.shape[:-1] != labels.shape:
        raise FeedError(f"scores of shape {s.shape} do not fit labels of shape {labels.shape}")
    return int(np.count_nonzero(np.argmax(s, axis=-1) == labels))


def top1(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the share, in [0, 1], of positions whose largest score is the label's.

    Arguments and errors are those of `correct`; without positions the share is nan.
    """
    count = np.asarray(labels).size
    return correct(scores, labels) / count if count else math.nan


def _numbers(array: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """The array in binary64; int64 beyond 2^53 is rounded, which no ratio of interest notices."""
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise FeedError(f"{what} must hold real numbers, not {values.dtype}")
    return values.astype(np.float64)
