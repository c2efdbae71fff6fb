"""Gaussian noise of the conversions, by counter: the specification; docs/numerics.md, Noise.

Each conversion has a number of its own, made of where in the program, the crossbar and the batch it
happens, and its noise is a function of that number and of the seed.  So no split of the work over
threads, parts of the batch or columns changes a bit.  Everything is integer arithmetic and single
IEEE binary32 operations, which round the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import UsageError
from anacc.program.image import Image
from anacc.program.model import Adc, Float32Array, Slice, Unit
from anacc.program.walk import Path, walk

UInt32Array = npt.NDArray[np.uint32]
Int32Array = npt.NDArray[np.int32]

# Columns whose noise is made together: 8 counters give 4 words each, a word 2 Gaussians.
GROUP = 64

# Bounds of a deviation in 1/64 code.  A Gaussian is at most 4.86, so that noise stays below 2**29.
MIN_DEVIATION = 2.0**-8
MAX_DEVIATION = 2.0**26


class Purpose(IntEnum):
    """What a stream of random numbers is for; two purposes never share numbers."""

    CONVERSION = 1


@dataclass(frozen=True)
class ConversionNoise:
    """Gaussian noise of each conversion of an ADC: chosen for a run, no part of a program.

    Attributes:
        deviation: standard deviation of one conversion, in counts (LSB) of the converter.
        seed: of all random numbers, in [0, 2**64).
        trial: which of many runs with the same seed, in [0, 2**32).

    Raises:
        UsageError: a value is out of range.
    """

    deviation: float
    seed: int = 0
    trial: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.deviation, Real):
            raise UsageError(f"the deviation of noise is a number, not {self.deviation!r}")
        for name, value in (("seed", self.seed), ("trial", self.trial)):
            _check_integer(name, value)
        if not (math.isfinite(self.deviation) and self.deviation >= 0):
            raise UsageError(
                f"the noise of a conversion cannot have the deviation {self.deviation}",
                "give a finite number of counts, 0 or more",
            )
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"the seed {self.seed} is out of range", "choose one in [0, 2**64)")
        if not 0 <= self.trial < 1 << 32:
            raise UsageError(f"the trial {self.trial} is out of range", "choose one in [0, 2**32)")


# Random words ------------------------------------------------------------------------------------


def philox4x32(counter: npt.NDArray[Any], key: npt.NDArray[Any]) -> UInt32Array:
    """Philox4x32 with 10 rounds [1]_.

    Args:
        counter: (..., 4) uint32.
        key: (..., 2) uint32.

    Returns:
        (..., 4) uint32 random words.

    References:
        .. [1] Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
    """
    c0, c1, c2, c3 = (counter[..., k].astype(np.uint64) for k in range(4))
    k0, k1 = (key[..., k].astype(np.uint64) for k in range(2))
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        left, right = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = right >> np.uint64(32) ^ c1 ^ k0, right & low
        c2, c3 = left >> np.uint64(32) ^ c3 ^ k1, left & low
        k0, k1 = k0 + np.uint64(0x9E3779B9) & low, k1 + np.uint64(0xBB67AE85) & low
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def tile_key(
    noise: ConversionNoise, unit: Unit, row: int, column: int, use: int, purpose: Purpose
) -> UInt32Array:
    """The key of the random numbers of one mvm: (2,) uint32.

    Args:
        noise: has seed and trial.
        unit: the core.
        row, column: the first ones of the crossbar region.
        use: how many mvms of the same unit and region stand before it in the program.
        purpose: what the numbers are for.
    """
    seed = _words(noise.seed & 0xFFFFFFFF, noise.seed >> 32)
    run = philox4x32(_words(noise.trial, unit.chip, unit.index, purpose), seed)[:2]
    return philox4x32(_words(row, column, use, 0), run)[:2]


def _words(*values: int) -> UInt32Array:
    return np.array(values, np.uint32)


# Gaussians ---------------------------------------------------------------------------------------


# Polynomials of the mantissa for -2 ln(u), whose errors at 1 and 2 are the same, and of the square
# of an angle in units of pi/2; fitted to the least maximum of the error.
LOGARITHM = np.array(
    [0.11516897, -0.90856004, 2.9759662, -4.2955127, -1.6525917e-07, 222.53397], np.float32
)
SINE = np.array([0.07186088, -0.64211315, 1.57032], np.float32)
COSINE = np.array([-0.019095743, 0.25258026, -1.2334845, 0.9999933], np.float32)


def gaussians(words: UInt32Array, deviation: np.float32) -> tuple[Float32Array, Float32Array]:
    """Two independent Gaussians of each word by Box and Muller: (...) uint32 to two (...) binary32.

    The word is a radius and, in its low 16 bits, an angle.  Those are also the last bits of the
    radius, to which they hardly matter: they move u by 2**-16 at most.

        u = (int32(word) + 2**31 + 2**15) / (2**32 + 2**16)      radius = sqrt(-2 ln(u))

    The polynomials are off by 2e-4 in -2 ln(u) and by 7e-5 in sine and cosine; the radius is at
    most 4.855 deviations.
    """
    # -2 ln(u) = -2 ln(2) (exponent + mantissa - 1) + polynomial(mantissa), up to a constant: the
    # bits of a binary32 number, as an integer, are 2**23 (exponent + 127 + mantissa - 1).
    a, b, c, d, slope, constant = LOGARITHM * (deviation * deviation)
    bits = (words.view(np.int32).astype(np.float32) + np.float32(2147516416)).view(np.int32)
    m = (bits & 0x7FFFFF | 0x3F800000).view(np.float32)
    curve = ((m * a + b) * m + c) * m + d
    radius = np.sqrt((bits.astype(np.float32) * slope + constant) + m * curve)

    # Bit 15 turns by pi; bits 0 to 14 are an angle in [-1, 1), as the last bits of 512 to 514.
    sign = words << np.uint32(16) & np.uint32(0x80000000)
    radius = (radius.view(np.uint32) ^ sign).view(np.float32)
    angle = (words & np.uint32(0x7FFF) | np.uint32(0x44000000)).view(np.float32) - np.float32(513)
    z = angle * angle
    sine = angle * ((z * SINE[0] + SINE[1]) * z + SINE[2])
    cosine = ((z * COSINE[0] + COSINE[1]) * z + COSINE[2]) * z + COSINE[3]
    return radius * cosine, radius * sine


def conversion_noise(
    key: UInt32Array,
    deviation: np.float32,
    phase: int,
    sample: npt.NDArray[Any],
    position: npt.NDArray[Any],
    time: int,
    first: int,
    count: int,
) -> Int32Array:
    """What is added to the charges of conversions, in 1/64 code.

    Args:
        key: (2,) of the mvm, see `tile_key`.
        deviation: in 1/64 code, at most `MAX_DEVIATION`.
        phase: 0, or 1 for q- of 4-phase mode.
        sample: (...) index in the whole batch.
        position: (...) row-major index over the parallel loops around the mvm.
        time: row-major index over the sequential loops around it.
        first, count: the columns, counted from the first one of the mvm.

    Returns:
        (..., count) int32.
    """
    groups = np.arange(first // GROUP, -(-(first + count) // GROUP))
    columns = (8 * groups[:, np.newaxis] + np.arange(8) | phase << 31).astype(np.uint32)
    lead = np.broadcast_shapes(np.shape(sample), np.shape(position))
    counter = np.empty((*lead, len(groups), 8, 4), np.uint32)
    counter[..., 0] = np.asarray(sample)[..., np.newaxis, np.newaxis]
    counter[..., 1] = columns
    counter[..., 2] = time
    counter[..., 3] = np.asarray(position)[..., np.newaxis, np.newaxis]
    # (..., group, counter, half, odd) and, with the two Gaussians of a word before the counter,
    # the order of the columns: column = 64 group + 32 half + 16 (is a sine) + 2 counter + odd.
    words = philox4x32(counter, key).reshape(*lead, len(groups), 8, 2, 2)
    pairs = np.stack(gaussians(words, deviation), axis=-3)
    ordered = np.moveaxis(pairs, (-2, -3), (-4, -3))
    whole = np.rint(ordered).astype(np.int32).reshape(*lead, len(groups) * GROUP)
    start = first - int(groups[0]) * GROUP
    return whole[..., start : start + count]


def charge_deviation(noise: ConversionNoise, adc: Adc) -> np.float32:
    """The deviation of a conversion in 1/64 code of charge: 0, or from 2**-8 to 2**26.

    What is smaller would always be rounded to 0.  A converter with multiplier 0 counts nothing,
    whatever the noise.
    """
    if adc.multiplier == 0:
        return np.float32(0)
    deviation = noise.deviation * 2.0**adc.shift / adc.multiplier * 64
    return np.float32(0 if deviation < MIN_DEVIATION else min(deviation, MAX_DEVIATION))


# A run of a program ------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunNoise:
    """The noise of one run of a program.

    Attributes:
        settings: deviation, seed and trial.
        keys: of each mvm, by its stream and path; see `tile_keys`.
        first_sample: index in the whole batch of the first sample of the run.
    """

    settings: ConversionNoise
    keys: Mapping[tuple[int, Path], UInt32Array]
    first_sample: int


def run_noise(image: Image, noise: ConversionNoise, first_sample: int, batch: int) -> RunNoise:
    """The noise of a run on samples [first_sample, first_sample + batch).

    Raises:
        UsageError: the samples' numbers do not fit into 32 bits.
    """
    _check_integer("first sample", first_sample)
    if not 0 <= first_sample <= (1 << 32) - batch:
        raise UsageError(
            f"the first sample {first_sample} is out of range",
            "samples count from 0 and stay below 2**32",
        )
    return RunNoise(noise, tile_keys(image, noise), first_sample)


def _check_integer(name: str, value: object) -> None:
    if not isinstance(value, Integral):
        raise UsageError(f"the {name} of noise is an integer, not {value!r}")


def tile_keys(image: Image, noise: ConversionNoise) -> Mapping[tuple[int, Path], UInt32Array]:
    """The key of each mvm of a program, by its stream and path: (2,) uint32."""
    keys: dict[tuple[int, Path], UInt32Array] = {}
    uses: dict[tuple[Unit, int, int, int, int], int] = {}
    for number, stream in enumerate(image.code.streams):
        for place in walk(stream.body):
            match place.instr.op, place.instr.operands:
                case "mvm", (Slice() as dst, Slice() as src, int(row), int(column), _):
                    region = stream.unit, row, column, src.length, dst.length
                    use = uses.get(region, 0)
                    uses[region] = use + 1
                    key = tile_key(noise, stream.unit, row, column, use, Purpose.CONVERSION)
                    keys[number, place.path] = key
    return keys
