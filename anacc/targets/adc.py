"""The integers that model a column's converter: c = round(q * a / 2^b), clamped to c_max.

q is the exact charge of a column in units of one input code times one conductance code.  The
converter gives `levels` counts when `full_scale_cells` cells at G_max see the largest input, hence

    counts per unit of q = levels / (full_scale_cells * input_max * g_max)

which a / 2^b approximates: a is the nearest integer, and b is the only exponent that gives a
exactly `multiplier_bits` bits, so that the relative error is at most 2^-multiplier_bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

#: Conductances of the device model are in 1 / 2^6 code and saturate at 2^14 - 1 of them.  This is
#: the number format of the arithmetic, not a property of a chip.
FINE_CONDUCTANCE_BITS = 6
FINE_CONDUCTANCE_MAX = 2**14 - 1

#: Noise of a conversion is less than this, in 1 / 2^6 code.
NOISE_LIMIT = 2**29

#: Largest exponent b of a converter's scale, in every conductance unit.
MAX_SHIFT = 62


@dataclass(frozen=True)
class AdcSettings:
    """Settings of the converters of one core.

    Attributes:
        phases: 4 or 1, the number of modulation phases of the read mode.  4: c+ and c- are each
            clamp(floor((q * a + 2^(b-1)) / 2^b), 0, c_max) and c = c+ - c-.  1: c =
            clamp(round_half_away(s_d * a / 2^b), -c_max, c_max).
        a: multiplier, 2^(multiplier_bits-1) <= a < 2^multiplier_bits.
        b: binary exponent, 1 <= b <= 62.
        c_max: largest count of one counter.
    """

    phases: int
    a: int
    b: int
    c_max: int


def fixed_point_scale(ratio: Fraction, multiplier_bits: int) -> tuple[int, int]:
    """Return (a, b) with a / 2^b nearest to `ratio`, a having exactly `multiplier_bits` bits.

    Args:
        ratio: the scale, positive.
        multiplier_bits: bits of a, at least 1.

    Returns:
        a and b; b is negative for a ratio above 2^multiplier_bits.  |a / 2^b - ratio| is at most
        2^-(b+1).

    Raises:
        ValueError: ratio is not positive or multiplier_bits is below 1.
    """
    if ratio <= 0 or multiplier_bits < 1:
        raise ValueError("the ratio must be positive and the multiplier have at least one bit")
    # An estimate of log2(ratio) that is right or one too small; the loop settles it exactly.
    log2 = ratio.numerator.bit_length() - ratio.denominator.bit_length() - 1
    b = multiplier_bits - 1 - log2
    while (a := _round_half_up(ratio * Fraction(2) ** b)) >= 2**multiplier_bits:
        b -= 1
    return a, b


def most_rows(input_max: int, multiplier_bits: int) -> int:
    """Return for how many rows of a crossbar a conversion is exact in 64-bit integers.

    A row adds at most input_max (2^14 - 1) to each of the charges s_d, q+ and q-, for an input
    drives either g+ or g- of a column into q+, and the other one into q-.  With the noise, charges
    of R rows are q < R input_max (2^14 - 1) + 2^29 in 1/64 code.  What is shifted is q a + 2^(b-1)
    with a < 2^multiplier_bits and b <= 62: it stays below 2^63 where q <= (2^63 - 2^61) /
    2^multiplier_bits.  The sums s_d and s_m, at most twice as large, then are below 2^53, in which
    binary64 holds them, wherever multiplier_bits >= 11; for fewer bits there is the second bound.
    """
    largest = min((2**63 - 2**61) >> multiplier_bits, 2**52)
    return (largest - NOISE_LIMIT) // (input_max * FINE_CONDUCTANCE_MAX)


def _round_half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def counts_per_charge(levels: int, full_scale_cells: float, input_max: int, g_max: int) -> Fraction:
    """Return the exact counts per unit of q (input code times conductance code)."""
    return Fraction(levels) / (Fraction(full_scale_cells) * input_max * g_max)
