"""Which full scale the converters of a tile take, and which range its columns.

A small full scale resolves small sums and clips large ones; a target may offer several.  A column
whose sums still clip may use a part of the conductance range: its sums shrink, and its weights are
rounded more coarsely.  Where sums are so small that converters hardly resolve them, a column's
largest weights may saturate: its sums grow.  They also grow if rows that the matrix leaves free
hold more copies of it, driven by the same inputs: k copies make each sum k times as large.

All of this is chosen on vectors of calibration data, so that what the tile gives, converted, is
nearest to the product of the real inputs and weights: rounding and clipping of inputs, weights and
converters all count.  Copies cost energy; there are as few as reach `ENOUGH`, or are as good as the
most within `CLOSE`.  Without vectors the largest full scale, which clips least, the whole range
and one copy serve.  The arithmetic is that of docs/numerics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from anacc.targets import Target
from anacc.targets.adc import AdcSettings
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.samples import Vectors

Array = npt.NDArray[Any]
Coded = tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]


class Coding(Protocol):
    """Weights as codes."""

    def __call__(self, share: float, columns: npt.NDArray[np.int64] | None = None) -> Coded:
        """Weight codes, (rows, columns), and what one code of each column is worth, (columns,).

        Args:
            share: of the conductance range, what the largest weight of each column takes: with less
                than 1 the column uses a part of the range, with more than 1 its largest weights
                saturate.
            columns: those that are wanted; None: all.
        """
        ...


BEST = 100.0  # dB
EXACT = 2**24  # integers up to it are binary32 numbers
ENOUGH = 40.0  # dB: what 8-bit codes of inputs and weights leave
CLOSE = 1.0  # dB
STEPS = 8  # shares of the range that are tried on either side, each 2^(1/2) of the one before


@dataclass(frozen=True)
class Driven:
    """What a tile gives on calibration vectors.

    Attributes:
        product: of the real inputs (in units of their code) and weights, shape (n, columns).
        counts: what the converters give, shape (n, columns).
    """

    product: npt.NDArray[np.float64]
    counts: Array


@dataclass(frozen=True)
class Choice:
    """The converter settings of a tile and the codes of its weights, and how well they serve.

    Attributes:
        adc: the settings.
        codes: shape (rows, columns).
        scale: real value of one code of each column, shape (columns,).
        snr: signal-to-noise ratio of the converted product in dB, at most `BEST`; None if there are
            no vectors to measure it on.
        copies: how often the tile holds its rows.
        driven: what the tile gives on the vectors, if there are any.
    """

    adc: AdcSettings
    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]
    snr: float | None
    copies: int = 1
    driven: Driven | None = None


def choose(
    target: Target,
    read_mode: str,
    nonnegative: bool,
    weight: Array,
    coding: Coding,
    worth: Array,
    vectors: Vectors | None,
    most_copies: int = 1,
    zero: int = 0,
) -> Choice:
    """Converter settings and weight codes of a tile.

    Args:
        target: the chip, which offers the full scales.
        read_mode: `4-phase` or `1-phase`.
        nonnegative: no input code can be negative.
        weight: real weights, shape (rows, columns).
        coding: the weights as codes.
        worth: how much an error of each column counts, shape (columns,): what the column is
            multiplied by behind the product.
        vectors: inputs in units of their code, shape (n, rows), or None.
        most_copies: how often the tile may hold its rows.
        zero: the code that stands for 0.  What it adds to the sums the LDPU takes off again.
    """
    offered = sorted(target.adc.full_scale_cells.value, reverse=True)
    settings = [target.adc_settings(read_mode, cells, nonnegative) for cells in offered]
    if vectors is None or not vectors.size:
        return Choice(settings[0], *coding(1.0), None)
    drive = _Drive.of(vectors, weight, zero, most_copies)
    square = np.square(worth.astype(np.float64))
    signal = float(square @ np.square(drive.product).sum(axis=0))
    found: list[tuple[float, Choice]] = []
    for copies in _numbers(most_copies):
        for adc in settings:
            (codes, scale), counts, error = _fit(drive, adc, coding, copies)
            total = float(square @ error)
            snr = _decibels(signal, total)
            driven = Driven(drive.product, counts)
            found.append((total, Choice(adc, codes, scale, snr, copies, driven)))
        best = min(found, key=lambda each: each[0])
        if best[1].snr is not None and best[1].snr >= ENOUGH:
            return best[1]
    allowed = min(error for error, _ in found) * 10 ** (CLOSE / 10)
    fewest = min(choice.copies for error, choice in found if error <= allowed)
    return min((each for each in found if each[1].copies == fewest), key=lambda each: each[0])[1]


def _numbers(most: int) -> list[int]:
    """Numbers of copies that are tried: powers of two, and the most that there may be."""
    powers = [2**power for power in range(most.bit_length())]
    return powers if powers[-1] == most else [*powers, most]


@dataclass(frozen=True)
class _Drive:
    """What drives a tile, and what it should give.

    Attributes:
        codes: of the inputs, shape (n, rows), integers in a type that also holds their sums.
        product: of the real inputs (in units of their code) and weights, shape (n, columns).
        zero: the code that stands for 0.
    """

    codes: Array
    product: npt.NDArray[np.float64]
    zero: int

    @classmethod
    def of(cls, vectors: Vectors, weight: Array, zero: int, most_copies: int) -> _Drive:
        product = (vectors.astype(np.float64) - zero) @ weight.astype(np.float64, copy=False)
        return cls(input_codes(vectors, most_copies), product, zero)

    def times(self, copies: int) -> _Drive:
        """The same with copies of the rows."""
        return _Drive(self.codes * copies, self.product * copies, self.zero * copies)


def input_codes(vectors: Vectors, copies: int) -> Array:
    """Codes of inputs, (n, rows), in the smallest type that holds sums over all copies exactly."""
    codes = np.clip(np.rint(vectors), -LARGEST_CODE, LARGEST_CODE)
    exact = copies * vectors.shape[1] * LARGEST_CODE**2 < EXACT
    return np.asarray(codes, np.float32 if exact else np.float64)


def _fit(
    drive: _Drive, adc: AdcSettings, coding: Coding, copies: int
) -> tuple[Coded, Array, Array]:
    """The codes of all columns, what converters give, and the squared error of each column, with
    copies of the rows.

    The whole range comes first.  A column whose sums clip with it goes on to smaller and smaller
    shares, until nothing clips: from there on, only resolution could be lost.  Any other column
    goes on to larger shares, as long as the error becomes smaller; but not where there are fewer
    vectors than rows, which do not show what each weight is for.
    """
    drive = drive.times(copies)
    codes, scale = coding(1.0)
    counts, least, clipped = _errors(drive, adc, codes, scale)
    for step in (-1, 1):
        left = np.flatnonzero(clipped if step < 0 else ~clipped)
        if step > 0 and len(drive.codes) < len(codes):
            break
        for part in range(1, STEPS + 1):
            if not left.size:
                break
            tried, worth = coding(2.0 ** (step * part / 2), left)
            read, error, clips = _errors(drive, adc, tried, worth, left)
            better = error < least[left]
            places = left[better]
            codes[:, places], scale[places] = tried[:, better], worth[better]
            counts[:, places], least[places] = read[:, better], error[better]
            left = left[clips] if step < 0 else places
    return (codes, scale), counts, least / copies**2


def _errors(
    drive: _Drive,
    adc: AdcSettings,
    codes: Array,
    scale: Array,
    columns: npt.NDArray[np.int64] | None = None,
) -> tuple[Array, Array, Array]:
    """What converters give, the squared error of each of some columns, and whether some sum of it
    clips."""
    counts, clipped = converted(adc, drive.codes, codes)
    product = drive.product if columns is None else drive.product[:, columns]
    error = counts * (2.0**adc.b / adc.a)
    if drive.zero:
        error -= drive.zero * codes.sum(axis=0, dtype=np.int64)
    error *= scale
    error -= product
    return counts, np.square(error, out=error).sum(axis=0), clipped


def converted(adc: AdcSettings, inputs: Array, codes: npt.NDArray[np.int8]) -> tuple[Array, Array]:
    """What converters give, and which columns exceed them.

    Args:
        adc: the settings.
        inputs: integers, shape (n, rows), in a floating-point type that holds their sums exactly.
        codes: of weights, shape (rows, columns).

    Returns:
        counts, float64 of shape (n, columns), and whether some conversion of a column was clipped,
        shape (columns,).
    """
    weights = codes.astype(inputs.dtype)
    signed = (inputs @ weights).astype(np.float64)
    if adc.phases == 4:
        magnitude = (np.abs(inputs) @ np.abs(weights)).astype(np.float64)
        plus = _rounded(adc, magnitude + signed, 2)
        minus = _rounded(adc, np.subtract(magnitude, signed, out=magnitude), 2)
        beyond = np.maximum(plus.max(axis=0, initial=0), minus.max(axis=0, initial=0))
        np.minimum(plus, adc.c_max, out=plus)
        np.minimum(minus, adc.c_max, out=minus)
        counts = np.subtract(plus, minus, out=plus)
    else:
        counts = _rounded(adc, np.abs(signed), 1)
        beyond = counts.max(axis=0, initial=0)
        np.minimum(counts, adc.c_max, out=counts)
        np.copysign(counts, signed, out=counts)
    return counts, beyond > adc.c_max


def _rounded(adc: AdcSettings, charge: Array, divisor: int) -> Array:
    """(q * a + 2^(b-1)) >> b for q = charge / divisor, an integer that is not negative.

    `charge` is float64, and may be overwritten.  Its arithmetic is exact where q * a + 2^(b-1) is
    below 2^53, for all it does is to multiply by a and by a power of two and to add one half; where
    that is larger, integers compute it.
    """
    largest = int(charge.max(initial=0)) // divisor * adc.a + (1 << (adc.b - 1))
    if largest < 2**53:
        charge *= adc.a / (divisor * 2.0**adc.b)
        charge += 0.5
        return np.floor(charge, out=charge)
    whole = charge.astype(np.int64) // divisor
    return np.asarray((whole * adc.a + (1 << (adc.b - 1))) >> adc.b, np.float64)


def _decibels(signal: float, error: float) -> float:
    if error <= 0 or signal <= 0:
        return BEST
    return min(BEST, 10.0 * (math.log10(signal) - math.log10(error)))
