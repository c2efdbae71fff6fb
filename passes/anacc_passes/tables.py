"""Tables of functions: which samples they hold, and how well they serve on given data.

A table has evenly spaced samples over a range around a centre; an odd function has its samples over
the magnitudes alone, the centre being 0.  The range is what calibration saw of the operand: beyond
it the outermost sample holds, as a code saturates beyond the range of its tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.ir.functions import Steps, evaluate
from anacc.targets.sections import FunctionTable

Array = npt.NDArray[np.float64]

_NARROWEST = 2.0**-10  # half a range, in units of its centre: binary16 resolves no less
_ALIKE = 1e-9  # how far f(-x) and -f(x) may be apart, in units of the largest value: rounding


@dataclass(frozen=True)
class Range:
    """Where a table has samples: centre - half to centre + half; if odd, 0 to half.

    Attributes:
        low, high: where the function is known to be defined: outermost samples lie there.
    """

    centre: float
    half: float
    odd: bool
    low: float
    high: float

    def samples(self, steps: Steps, segments: int) -> Array:
        """The function at the ends of all segments, shape (segments + 1,)."""
        first = 0.0 if self.odd else -self.half
        places = self.centre + np.linspace(first, self.half, segments + 1)
        return evaluate(steps, places if self.odd else np.clip(places, self.low, self.high))


def range_of(steps: Steps, low: float, high: float) -> Range:
    """The range of a function's table for operands from `low` to `high`."""
    if low < 0 < high and _is_odd(steps, max(-low, high)):
        return Range(0.0, max(-low, high), True, low, high)
    centre = (low + high) / 2
    half = max((high - low) / 2, _NARROWEST * abs(centre), float(np.finfo(np.float16).tiny))
    return Range(centre, half, False, low, high)


def _is_odd(steps: Steps, limit: float) -> bool:
    places = np.linspace(0.0, limit, 1025)
    plus, minus = evaluate(steps, places), evaluate(steps, -places)
    if not (np.isfinite(plus).all() and np.isfinite(minus).all()):
        return False
    return bool(np.abs(plus + minus).max() <= _ALIKE * np.abs(plus).max())


def read(samples: Array, where: Range, x: Array, linear: bool) -> Array:
    """What a table of exact samples gives at x; see `lookup` in docs/numerics.md."""
    last = len(samples) - 1
    start = where.centre - (0.0 if where.odd else where.half)
    length = where.half * (1.0 if where.odd else 2.0)
    place = np.clip((np.abs(x) if where.odd else x - start) * (last / length), 0.0, last)
    left = np.minimum(np.floor(place), last - 1).astype(np.int64)
    share = place - left if linear else np.floor(place - left + 0.5)
    y = samples[left] + (samples[left + 1] - samples[left]) * share
    return np.where(x < 0, -y, y) if where.odd else y


@dataclass(frozen=True)
class Judgement:
    """How a table serves.

    Attributes:
        snr_db: signal-to-noise ratio of what it gives on the data; -inf if the function is not
            finite on the whole range.
        nonnegative: no sample is negative.
    """

    snr_db: float
    nonnegative: bool = False


def judge(steps: Steps, where: Range, data: Array, table: FunctionTable) -> Judgement:
    """Measure a table on the elements that its operand had in calibration."""
    samples = where.samples(steps, table.segments.value)
    if not np.isfinite(samples).all():
        return Judgement(-np.inf)
    # Samples count in units of the result, of which the largest magnitude has 127.
    unit = max(float(np.abs(samples).max()), float(np.finfo(np.float64).tiny)) / 127
    held = (samples / unit).astype(np.float16).astype(np.float64)
    given = read(held, where, data, table.interpolation.value == "linear")
    exact = evaluate(steps, data) / unit
    signal, error = float(np.sum(exact**2)), float(np.sum((exact - given) ** 2))
    if error == 0:
        snr_db = math.inf
    else:
        snr_db = 10 * math.log10(signal / error) if signal > 0 else -math.inf
    return Judgement(snr_db, not where.odd and bool(samples.min() >= 0))
