"""Every function of the specification against exact scalar models."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import arithmetic

singles = st.floats(width=32, allow_nan=False)
halves = st.floats(width=16, allow_nan=False, allow_infinity=False)


def single(value: float) -> float:
    """A double rounded to binary32.  One operation on binary32 numbers, done in binary64 and then
    rounded, is correctly rounded, because 53 >= 2 * 24 + 2."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def half(value: float) -> float:
    """A number rounded to binary16, saturating."""
    try:
        return float(struct.unpack("<e", struct.pack("<e", value))[0])
    except OverflowError:
        return math.copysign(65504.0, value)


def scalar(value: float, dtype: type = np.float16) -> np.ndarray:
    return np.array([value], dtype)


def same(left: float, right: float) -> bool:
    """Equal, and of one sign if zero."""
    return left == right and math.copysign(1, left) == math.copysign(1, right)


@given(singles)
@example(65519.99609375)
@example(65520.0)
@example(-math.inf)
@example(2.0**-25)
@example(float(np.nextafter(np.float32(2.0**-25), np.float32(1))))
@example(3 * 2.0**-25)
@example(-1e-30)
@example(2049.0)
def test_h(value: float) -> None:
    result = arithmetic.h(scalar(value, np.float32))
    expected = math.copysign(65504.0, value) if math.isinf(value) else half(value)
    assert result.dtype == np.float16
    assert same(float(result[0]), expected)


def exact_count(charge: int, adc: Adc) -> int:
    value = Fraction(charge * adc.multiplier, 2**adc.shift)
    return min(math.floor(value + Fraction(1, 2)), adc.maximum)


adcs = st.builds(
    Adc,
    st.sampled_from((1, 4)),
    st.integers(1, 2**24 - 1),
    st.integers(0, 40),
    st.integers(1, 4095),
)


@given(st.integers(0, 2**30), st.integers(0, 2**30), adcs)
@example(3, 0, Adc(4, 1, 1, 427))  # 1.5 is a tie
@example(3, 0, Adc(1, 1, 1, 427))
@example(0, 3, Adc(1, 1, 1, 427))  # and -1.5
@example(2**30, 0, Adc(4, 2**24 - 1, 0, 4095))
def test_convert(plus: int, minus: int, adc: Adc) -> None:
    s_d, s_m = np.array([plus - minus]), np.array([plus + minus])
    if adc.phases == 4:
        expected = exact_count(plus, adc) - exact_count(minus, adc)
    else:
        sign = 1 if plus >= minus else -1
        expected = sign * exact_count(abs(plus - minus), adc)
    assert arithmetic.convert(s_d, s_m, adc).tolist() == [expected]


@given(
    st.lists(st.tuples(st.integers(-127, 127), st.integers(-127, 127)), min_size=1, max_size=256),
    adcs,
)
def test_mvm_is_the_sum_of_agreeing_less_opposite_charges(
    pairs: list[tuple[int, int]], adc: Adc
) -> None:
    x = np.array([[x for x, _ in pairs]], np.int8)
    w = np.array([[w] for _, w in pairs], np.int8)
    plus = sum(x * w for x, w in pairs if x * w > 0)
    minus = -sum(x * w for x, w in pairs if x * w < 0)
    assert arithmetic.mvm(x, w, adc).tolist() == [
        arithmetic.convert(np.array([plus - minus]), np.array([plus + minus]), adc).tolist()
    ]


@given(st.integers(-4095, 4095), halves, halves)
def test_affine_and_scale(count: int, factor: float, offset: float) -> None:
    src, factors = np.array([count], np.int16), scalar(factor)
    product = single(count * factor)
    assert same(float(arithmetic.scale(src, factors)[0]), half(product))
    result = arithmetic.affine(src, factors, scalar(offset))
    assert same(float(result[0]), half(single(product + offset)))


@given(halves, halves)
@example(65504.0, 65504.0)
@example(-0.0, 0.0)
@example(-0.0, -0.0)
@example(2.0**-24, 0.5)
def test_add_and_multiply(left: float, right: float) -> None:
    a, b = scalar(left), scalar(right)
    assert same(float(arithmetic.add(a, b)[0]), half(single(left + right)))
    assert same(float(arithmetic.multiply(a, b)[0]), half(single(left * right)))


@given(halves)
@example(-0.0)
def test_relu_gives_positive_zero(value: float) -> None:
    assert same(float(arithmetic.relu(scalar(value))[0]), value if value > 0 else 0.0)


@given(halves, halves, halves)
@example(-0.0, 0.0, 6.0)
def test_clamp_keeps_what_lies_inside(value: float, left: float, right: float) -> None:
    low, high = min(left, right), max(left, right)
    expected = low if value < low else high if value > high else value
    assert same(float(arithmetic.clamp(scalar(value), low, high)[0]), expected)


@given(halves)
@example(0.5)
@example(1.5)
@example(-126.5)
@example(127.5)
@example(-65504.0)
def test_quantise(value: float) -> None:
    # Python rounds ties to even too.
    assert arithmetic.quantise(scalar(value)).tolist() == [max(-127, min(127, round(value)))]


@st.composite
def curves(draw: st.DrawFn) -> arithmetic.Curve:
    samples = draw(st.lists(halves, min_size=2, max_size=40))
    limit = draw(st.sampled_from((1.0, 6.0, 8.0, 0.3)))
    return arithmetic.Curve(
        np.array(samples, np.float16), limit, draw(st.booleans()), draw(st.booleans())
    )


@given(st.one_of(halves, st.floats(-9, 9, width=16)), curves())
def test_lookup(value: float, curve: arithmetic.Curve) -> None:
    samples = [float(sample) for sample in curve.samples]
    last, limit = len(samples) - 1, single(curve.limit)
    factor = single(last / (limit if curve.odd else 2 * limit))
    start = abs(value) if curve.odd else single(max(value, -limit) + limit)
    position = min(single(start * factor), last)
    if (abs(value) if curve.odd else value) >= limit:
        y = samples[last]
    elif curve.interpolate:
        index = min(math.floor(position), last - 1)
        rise = single(samples[index + 1] - samples[index])
        y = single(samples[index] + single(rise * single(position - index)))
    else:
        y = samples[min(math.floor(single(position + 0.5)), last)]
    expected = half(-y if curve.odd and value < 0 else y)
    assert same(float(arithmetic.lookup(scalar(value), curve)[0]), expected)


def test_lookup_meets_its_samples_and_holds_the_last() -> None:
    curve = arithmetic.Curve(np.array([0, 1, 3], np.float16), 2.0, True, True)
    x = np.array([-70.0, -2.0, -0.5, 0.0, 1.0, 1.5, 2.0, 9.0], np.float16)
    assert arithmetic.lookup(x, curve).tolist() == [-3, -3, -0.5, 0, 1, 2, 3, 3]


def test_folding() -> None:
    src = np.array([[[1, -5, 3, 2, -7, 9]]], np.int8)
    assert arithmetic.maximum(src, 2).tolist() == [[[3, 9]]]
    assert arithmetic.total(src, 2).tolist() == [[[-3, 6]]]
    assert arithmetic.maximum(src[:0], 2).shape == (0, 1, 2)


@given(st.integers(-(2**31), 2**31 - 1), st.floats(2.0**-40, 2.0**20, width=32))
def test_average(value: int, factor: float) -> None:
    result = arithmetic.average(np.array([value], np.int32), scalar(factor, np.float32))
    assert float(result[0]) == half(single(single(value) * factor))


@pytest.mark.parametrize("value", [0.5, -0.5, 126.5, 127.5, math.inf, -math.inf])
def test_code_rounds_ties_to_even_and_saturates(value: float) -> None:
    expected = 127 if value > 127 else -127 if value < -127 else round(value)
    assert arithmetic.code(scalar(value, np.float32)).tolist() == [expected]
