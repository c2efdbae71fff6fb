"""From the magnitudes that calibration saw to the clipping range of int8 codes.

- `mse`, the default: of 64 candidates, the range with the least mean squared error of the codes, of
  what rounding and clipping do to them and of what converters add (`anacc_passes.converter_noise`).
- `minmax`: the largest magnitude seen.
- `percentile`: the magnitude that 99.99 % of the elements stay below.
- `entropy`: of 64 candidates, the range whose quantised distribution loses least information about
  the clipped one, by the Kullback-Leibler divergence [1]_.

This is code of its own, not `onnxruntime.quantization.calibrate`: that wants the model as a file
and float32 inputs only, keeps every activation of the data in memory, and knows nothing of
converters.  A test holds the two against each other.

References:
    .. [1] S. Migacz, "8-bit inference with TensorRT", GPU Technology Conference 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST_CODE = 127  # the largest code; design of the int8 format, the same for every chip
LEVELS = LARGEST_CODE + 1  # magnitudes that codes can have
BINS = 4096
CANDIDATES = 64
KEPT = 0.9999  # share of the elements that `percentile` does not clip


@dataclass
class Magnitudes:
    """What is known of the magnitudes of one value: their maximum and a histogram up to it.

    Attributes:
        maximum: the largest one.
        elements: how many were seen.
        counts: how many of those that are not zero are in each bin, shape (BINS,).
        zeros: how many are zero.  Code 0 holds them exactly, whatever the range, so that they say
            nothing of it; behind a relu they are most.
        noise: variance of the error that each element gets behind its rounding, in squares of the
            code's unit.
    """

    maximum: float = 0.0
    elements: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    zeros: int = 0
    noise: float = 0.0

    def widen(self, array: npt.NDArray[Any]) -> None:
        """First round: the maximum."""
        if array.size:
            self.elements += array.size
            # Not the built-in function, which loses NaN.
            self.maximum = float(np.maximum(self.maximum, np.max(np.abs(array))))

    def count(self, array: npt.NDArray[Any]) -> None:
        """Second round: the histogram."""
        if self.maximum > 0:
            magnitudes = np.abs(array[array != 0])
            self.zeros += array.size - magnitudes.size
            places = (magnitudes * (BINS / self.maximum)).astype(np.int32)
            self.counts += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Magnitude of the middle of each bin, shape (BINS,)."""
        return np.asarray((np.arange(BINS) + 0.5) * (self.maximum / BINS), np.float64)


def _minmax(seen: Magnitudes) -> float:
    return seen.maximum


def _percentile(seen: Magnitudes) -> float:
    total = int(seen.counts.sum()) + seen.zeros
    if total == 0:
        return seen.maximum
    last = int(np.searchsorted(np.cumsum(seen.counts) + seen.zeros, KEPT * total))
    return seen.maximum * min(last + 1, BINS) / BINS


def _best(seen: Magnitudes, cost: Callable[[int], float]) -> float:
    """The range of least cost; the cost of the first k of CANDIDATES equal parts is cost(k)."""
    costs = [cost(part) for part in range(CANDIDATES, 0, -1)]  # on a tie, the widest range
    return seen.maximum * (CANDIDATES - costs.index(min(costs))) / CANDIDATES


def _least_error(seen: Magnitudes) -> float:
    centres = seen.centres

    def error(part: int) -> float:
        lsb = max(seen.maximum * part / CANDIDATES / LARGEST_CODE, 1e-300)
        codes = np.clip(np.rint(centres / lsb), 0, LARGEST_CODE)
        errors = np.square(centres - codes * lsb) + seen.noise * lsb**2
        return float(np.sum(seen.counts * errors)) + seen.zeros * seen.noise * lsb**2

    return _best(seen, error)


def _least_divergence(seen: Magnitudes) -> float:
    def divergence(part: int) -> float:
        bins = BINS * part // CANDIDATES
        if bins < LEVELS:
            return float("inf")
        inside = seen.counts[:bins].astype(np.float64)
        clipped = inside.copy()
        clipped[-1] += seen.counts[bins:].sum()
        level = np.arange(bins) * LEVELS // bins
        used = np.bincount(level, inside > 0, LEVELS)
        spread = np.bincount(level, inside, LEVELS) / np.maximum(used, 1)
        quantised = np.where(inside > 0, spread[level], 0.0)
        if not quantised.any():
            return float("inf")
        p, q = clipped / clipped.sum(), quantised / quantised.sum()
        some = p > 0
        # An empty bin that got what was clipped is infinitely unlike, but for this floor.
        return float(np.sum(p[some] * np.log(p[some] / np.maximum(q[some], 1e-12))))

    return _best(seen, divergence)


METHODS: dict[str, Callable[[Magnitudes], float]] = {
    "mse": _least_error,
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _least_divergence,
}
