"""The arithmetic of the chip, one small function an instruction: the specification.

docs/numerics.md says the same in words.  Every function is pure and works elementwise over any
leading axes; binary16 values are carried as `numpy.float16`, and everything between two roundings
is computed in binary32 as written, one IEEE operation after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.program.model import Adc, Float16Array, Float32Array, Int8Array

Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8] | npt.NDArray[np.int16] | npt.NDArray[np.float16]

Draw = Callable[[int], Int32Array]
"""The noise of the conversions of a phase, 0 or 1."""

LARGEST = np.float32(65504.0)  # the largest finite binary16 number
CODE = 127  # the largest activation or weight code
FRACTION = 6  # bits of a conductance or of noise that are less than one code


def h(value: npt.NDArray[np.float32]) -> Float16Array:
    """Round binary32 to binary16: nearest even, subnormals kept, saturating at +-65504.

    Saturating before the conversion is the same as after it: all binary32 numbers between 65504
    and 65520, where IEEE rounding begins to give infinity, round to 65504 anyway.
    """
    result: Float16Array = np.clip(value, -LARGEST, LARGEST).astype(np.float16)
    return result


def code(value: npt.NDArray[np.float32]) -> Int8Array:
    """clamp(rint(value), -127, 127), ties to even: (...) binary32 to activation codes."""
    return np.clip(np.rint(value), -CODE, CODE).astype(np.int8)


# Crossbar and converter ---------------------------------------------------------------------------


def crossbar_sums(
    x: Int8Array, plus: npt.NDArray[Any], minus: npt.NDArray[Any]
) -> tuple[Int64Array, Int64Array]:
    """The exact sums of a crossbar.

    Args:
        x: (..., rows) int8 input codes.
        plus: (rows, columns) conductance g+, an integer type.
        minus: (rows, columns) conductance g-.

    Returns:
        s_d = sum x (g+ - g-) and s_m = sum |x| (g+ + g-), both (..., columns) int64.
    """
    # All terms and partial sums are integers below rows * 127 * 254 < 2**31 in magnitude (see
    # docs/numerics.md), so binary64 holds each of them and any order of adding is exact.
    inputs = x.astype(np.float64)
    difference = plus.astype(np.float64) - minus
    magnitude = plus.astype(np.float64) + minus
    s_d = (inputs @ difference).astype(np.int64)
    s_m = (np.abs(inputs) @ magnitude).astype(np.int64)
    return s_d, s_m


def round_half_up(charge: Int64Array, multiplier: int, shift: int) -> Int64Array:
    """floor(charge * multiplier / 2**shift + 1/2) for charge >= 0, in int64."""
    half = 1 << shift >> 1
    return (charge * multiplier + half) >> shift


def convert(
    s_d: Int64Array, s_m: Int64Array, adc: Adc, fraction: int = 0, noise: Draw | None = None
) -> Int16Array:
    """Counts of the converter from the sums of a crossbar: (..., columns) int16.

    4-phase: the charge of agreeing signs, q+ = (s_m + s_d)/2, and of opposite signs,
    q- = (s_m - s_d)/2, are converted one by one and subtracted.  1-phase: s_d is converted at
    once, rounded half away from zero.

    Args:
        s_d, s_m: (..., columns) sums in 1/2**fraction code, see `crossbar_sums`.
        adc: the converter; its settings are for charges in whole codes.
        fraction: bits of a charge that are less than one code.
        noise: what is added to the charge of the first and of the second conversion (phase 0 and
            1), in the unit of the sums: a function of the phase that gives (..., columns) int32.
    """
    shift = adc.shift + fraction
    if adc.phases == 1:
        charge = s_d if noise is None else s_d + noise(0)
        magnitude = round_half_up(np.abs(charge), adc.multiplier, shift)
        return (np.sign(charge) * np.minimum(magnitude, adc.maximum)).astype(np.int16)
    plus, minus = (s_m + s_d) >> 1, (s_m - s_d) >> 1
    if noise is not None:
        plus, minus = np.maximum(plus + noise(0), 0), np.maximum(minus + noise(1), 0)
    plus, minus = (round_half_up(q, adc.multiplier, shift) for q in (plus, minus))
    difference = np.minimum(plus, adc.maximum) - np.minimum(minus, adc.maximum)
    return difference.astype(np.int16)


def mvm_levels(x: Int8Array, codes: Int8Array, adc: Adc) -> npt.NDArray[np.float64]:
    """How far the conversions of an mvm go: arguments as `mvm`, (..., columns) binary64.

    The larger of a column's two counts, before they are clamped, over the converter's maximum:
    above 1, `convert` clips.
    """
    wide = codes.astype(np.int16)
    s_d, s_m = crossbar_sums(x, np.maximum(wide, 0), np.maximum(-wide, 0))
    charges = (np.abs(s_d),) if adc.phases == 1 else ((s_m + s_d) >> 1, (s_m - s_d) >> 1)
    counts = [round_half_up(charge, adc.multiplier, adc.shift) for charge in charges]
    return np.asarray(np.maximum.reduce(counts) / adc.maximum, np.float64)


def mvm(x: Int8Array, codes: Int8Array, adc: Adc, noise: Draw | None = None) -> Int16Array:
    """Counts of a crossbar with quiet devices: (..., rows) int8 and (rows, columns) int8 to
    (..., columns).

    g+ = max(code, 0) and g- = max(-code, 0), in units of one code; noise counts in 1/64 code.
    """
    wide = codes.astype(np.int16)
    s_d, s_m = crossbar_sums(x, np.maximum(wide, 0), np.maximum(-wide, 0))
    if noise is None:
        return convert(s_d, s_m, adc)
    return convert(s_d << FRACTION, s_m << FRACTION, adc, FRACTION, noise)


def mvm_conductances(
    x: Int8Array, plus: Int16Array, minus: Int16Array, adc: Adc, noise: Draw | None = None
) -> Int16Array:
    """Counts of a crossbar: (..., rows) int8 and (rows, columns) int16 to (..., columns).

    g+ and g- are in 1/64 code, in [0, 2**14 - 1].  Those of codes times 64 give the bits of `mvm`.
    """
    return convert(*crossbar_sums(x, plus, minus), adc, FRACTION, noise)


# LDPU and GDPU ------------------------------------------------------------------------------------


def scale(src: Codes, factor: Float16Array) -> Float16Array:
    """h(src * factor)."""
    return h(src.astype(np.float32) * factor.astype(np.float32))


def affine(src: Codes, factor: Float16Array, offset: Float16Array) -> Float16Array:
    """h(src * factor + offset); product and sum round to binary32 each."""
    return h(src.astype(np.float32) * factor.astype(np.float32) + offset.astype(np.float32))


def add(left: Float16Array, right: Float16Array) -> Float16Array:
    """h(left + right)."""
    return h(left.astype(np.float32) + right.astype(np.float32))


def multiply(left: Float16Array, right: Float16Array) -> Float16Array:
    """h(left * right)."""
    return h(left.astype(np.float32) * right.astype(np.float32))


def relu(src: Float16Array) -> Float16Array:
    """src where src > 0, else +0 (also for -0)."""
    return np.where(src > 0, src, np.float16(0))


def clamp(src: Float16Array, low: float, high: float) -> Float16Array:
    """low where src < low, high where src > high, else src (-0 stays -0); low <= high."""
    bottom, top = np.float16(low), np.float16(high)
    return np.where(src < bottom, bottom, np.where(src > top, top, src))


def quantise(src: Float16Array) -> Int8Array:
    """clamp(rint(src), -127, 127), ties to even."""
    return code(src.astype(np.float32))


@dataclass(frozen=True)
class Curve:
    """A function table with its samples: binary16, at least two of them."""

    samples: Float16Array
    limit: float
    odd: bool
    interpolate: bool


def lookup(src: Float16Array, curve: Curve) -> Float16Array:
    """The function of a table at src.

    The samples lie evenly over [0, limit] where the function is odd, whose sign is restored at the
    end, else over [-limit, limit].  The position u = (v - start) * factor is computed in binary32,
    the factor being (entries - 1) / length of the range, rounded to binary32 once.  Between
    samples t[i] and t[i + 1], with f = u - i: h(t[i] + (t[i + 1] - t[i]) * f), or the nearer
    sample, the upper one in the middle.  Outside the range the outermost sample holds.
    """
    samples = curve.samples.astype(np.float32)
    last = len(samples) - 1
    limit = np.float32(curve.limit)
    length = float(limit) * (1 if curve.odd else 2)
    factor = np.float32(last / length)
    x = src.astype(np.float32)
    from_start = np.abs(x) if curve.odd else np.maximum(x, -limit) + limit
    position = np.minimum(from_start * factor, np.float32(last))
    if curve.interpolate:
        index = np.minimum(position.astype(np.int32), last - 1)
        fraction = position - index.astype(np.float32)
        left = samples[index]
        y = left + (samples[index + 1] - left) * fraction
    else:
        y = samples[np.minimum((position + np.float32(0.5)).astype(np.int32), last)]
    beyond = np.abs(x) >= limit if curve.odd else x >= limit
    y = np.where(beyond, samples[last], y)
    return h(np.where(x < 0, -y, y) if curve.odd else y)


# Bridge -------------------------------------------------------------------------------------------


def maximum(src: Int8Array, length: int) -> Int8Array:
    """The maximum of k vectors: (..., k * length) to (..., length) int8."""
    result: Int8Array = _vectors(src, length).max(axis=-2)
    return result


def total(src: Int8Array, length: int) -> Int32Array:
    """The sum of k vectors: (..., k * length) int8 to (..., length) int32."""
    result: Int32Array = _vectors(src, length).sum(axis=-2, dtype=np.int32)
    return result


def average(src: Int32Array, factor: Float32Array) -> Float16Array:
    """h(src * factor); src rounds to binary32, then the product does."""
    with np.errstate(over="ignore"):  # an infinite product saturates
        return h(src.astype(np.float32) * factor)


def _vectors(src: Int8Array, length: int) -> Int8Array:
    """(..., k * length) as (..., k, length)."""
    return src.reshape(*src.shape[:-1], src.shape[-1] // length, length)
