"""Tables of functions: how far they are from the functions, by bounds that are derived.

Linear interpolation between exact samples that are h apart errs by h^2/8 max|f''| at most.  A
sample that binary16 holds errs by 2^-11 of its magnitude, and so does the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.errors import IrError
from anacc.ir import Op
from anacc.ir.functions import Steps, evaluate
from anacc_passes.tables import judge, range_of, read
from anacc_passes.tiling.function import lookup
from anacc_runtime import arithmetic
from tests.passes.chips import extended, target

CHIP = extended()
SEGMENTS = 1024
TABLE = CHIP.gdpu.function_table
HALF_ULP = 2.0**-11  # of binary16, in units of the number

SMOOTH: dict[str, tuple[Steps, float, float]] = {
    "tanh": ((("tanh", 0),), -4.0, 3.0),
    "erf": ((("erf", 0),), -3.0, 3.0),
    "gelu": ((("gelu", 0),), -8.0, 8.0),
    "silu": ((("sigmoid", 0), ("multiply", 0, 1)), -6.0, 9.0),
    "softplus": ((("softplus", 0),), -10.0, 10.0),
    "mish": ((("mish", 0),), -5.0, 20.0),
    "elu": ((("elu", 0, 1.0),), -4.0, -0.25),
    "selu": ((("selu", 0, 1.67, 1.05),), -3.0, -0.5),
    "celu": ((("celu", 0, 2.0),), -3.0, -0.5),
    "softsign": ((("softsign", 0),), 0.0, 12.0),
    "exp": ((("exp", 0),), -5.0, 2.0),
    "log": ((("log", 0),), 0.5, 9.0),
    "sqrt": ((("sqrt", 0),), 0.1, 9.0),
    "reciprocal": ((("reciprocal", 0),), 0.5, 4.0),
    "power": ((("power", 0, 1.5),), 0.25, 2.0),
    "sin": ((("sin", 0),), -7.0, 7.0),
    "cos": ((("cos", 0),), -7.0, 7.0),
    "atan": ((("atan", 0),), -30.0, 10.0),
    "asinh": ((("asinh", 0),), -3.0, 3.0),
    "acosh": ((("acosh", 0),), 1.5, 9.0),
    "asin": ((("asin", 0),), -0.7, 0.5),
    "sinh": ((("sinh", 0),), -2.0, 3.0),
    "cosh": ((("cosh", 0),), -2.0, 3.0),
    "far from zero": ((("sin", 0),), 100.0, 103.0),
}
"""Steps and a range over which the second derivative is bounded."""


def curvature(steps: Steps, low: float, high: float) -> tuple[float, float, float]:
    """The largest magnitudes of the function, of its slope, and of its second derivative."""
    x = np.linspace(low, high, 20_001)
    y, step = evaluate(steps, x), x[1] - x[0]
    first, second = np.diff(y) / step, np.diff(y, 2) / step**2
    return tuple(float(np.abs(each).max()) for each in (y, first, second))  # type: ignore[return-value]


@pytest.mark.parametrize("name", SMOOTH)
def test_interpolation(name: str) -> None:
    steps, low, high = SMOOTH[name]
    where = range_of(steps, low, high)
    assert where.odd == (name in ("tanh", "erf", "sin", "atan", "asinh", "asin", "sinh"))
    samples = where.samples(steps, SEGMENTS)
    x = np.linspace(low, high, 9973)
    _, _, second = (
        curvature(steps, low - 1e-3, high + 1e-3)
        if name == "sqrt"
        else curvature(steps, *((-where.half, where.half) if where.odd else (low, high)))
    )
    spacing = where.half * (1 if where.odd else 2) / SEGMENTS
    bound = spacing**2 / 8 * second
    error = np.abs(read(samples, where, x, linear=True) - evaluate(steps, x)).max()
    assert error <= bound * 1.01 + 1e-12
    # Without interpolation the nearest sample is off by half a step.
    nearest = np.abs(read(samples, where, x, linear=False) - evaluate(steps, x)).max()
    assert nearest > error


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(SMOOTH)),
    operand=st.floats(2.0**-9, 2.0**9),
    result=st.floats(2.0**-9, 2.0**9),
)
def test_what_the_chip_looks_up(name: str, operand: float, result: float) -> None:
    """The units of operand and result do not matter, but for the rounding to binary16."""
    steps, low, high = SMOOTH[name]
    largest, slope, second = curvature(steps, low, high)
    # Units as calibration gives them: the largest magnitude counts 127 units, or some times that.
    operand *= max(abs(low), abs(high)) / 127
    result *= largest / 127
    op = Op("function", ("%x",), ("%y",), {"steps": steps, "low": low, "high": high})
    made = lookup(op, CHIP, operand, result)
    codes = np.unique((np.linspace(low, high, 5000) / operand).astype(np.float16))
    x = codes.astype(np.float64) * operand
    codes, x = codes[(x >= low) & (x <= high)], x[(x >= low) & (x <= high)]
    scale, offset = (np.array([each], np.float16) for each in (made.scale, made.offset))
    assert float(scale[0]) == made.scale and float(offset[0]) == made.offset
    curve = arithmetic.Curve(made.samples, made.limit, made.odd, interpolate=True)
    y = (
        arithmetic.lookup(arithmetic.affine(codes, scale, offset), curve).astype(np.float64)
        * result
    )
    unit = operand / made.scale
    half = made.limit * unit
    spacing = half * (1 if made.odd else 2) / SEGMENTS
    _, _, second = curvature(steps, -half, half) if made.odd else (largest, slope, second)
    # The operand less its centre rounds to binary16, the place in the table to binary32.
    argument = half * (HALF_ULP + SEGMENTS * 2.0**-22)
    smallest = 2.0**-25 * (result + slope * unit)  # half the least subnormal number
    rounding = 2 * HALF_ULP * largest * 1.01 + slope * argument + 2 * smallest
    bound = spacing**2 / 8 * second * 1.05 + rounding
    assert np.abs(y - evaluate(steps, x)).max() <= bound


def test_beyond_its_range_the_outermost_sample_holds() -> None:
    steps: Any = (("log", 0),)
    where = range_of(steps, 0.5, 8.0)
    samples = where.samples(steps, SEGMENTS)
    assert np.isfinite(samples).all()  # although its first places would round to below 0.5
    found = read(samples, where, np.array([-3.0, 0.5, 8.0, 100.0]), linear=True)
    np.testing.assert_allclose(found, np.log([0.5, 0.5, 8.0, 8.0]), atol=1e-12)


def test_a_range_without_width() -> None:
    steps: Any = (("exp", 0),)
    for value in (0.0, 3.0, -3.0):
        where = range_of(steps, value, value)
        assert where.half > 0
        op = Op("function", ("%x",), ("%y",), {"steps": steps, "low": value, "high": value})
        made = lookup(op, CHIP, 0.05, np.exp(value) / 127)
        assert np.abs(made.samples.astype(float) - 127).max() <= 127 * HALF_ULP


def test_judgement() -> None:
    assert TABLE is not None
    rng = np.random.default_rng(0)
    data = rng.normal(size=4000)
    low, high = float(data.min()), float(data.max())
    good = judge((("gelu", 0),), range_of((("gelu", 0),), low, high), data, TABLE)
    assert good.snr_db > 65 and not good.nonnegative
    bad = judge((("reciprocal", 0),), range_of((("reciprocal", 0),), low, high), data, TABLE)
    assert bad.snr_db < 10
    outside = judge((("log", 0),), range_of((("log", 0),), low, high), data, TABLE)
    assert outside.snr_db == -np.inf
    positive = judge((("softplus", 0),), range_of((("softplus", 0),), low, high), data, TABLE)
    assert positive.nonnegative


def test_samples_that_cannot_be_negative_are_not() -> None:
    """What calibration found to be never negative counts as such in converters."""
    steps: Any = (("affine", 0, 1.0, -1e-4),)
    attributes: Any = {"steps": steps, "low": 0.0, "high": 1.0}
    op = Op("function", ("%x",), ("%y",), attributes)
    assert lookup(op, CHIP, 1 / 127, 1 / 127).samples.min() < 0
    sure = Op("function", ("%x",), ("%y",), {**attributes, "nonnegative": True})
    assert lookup(sure, CHIP, 1 / 127, 1 / 127).samples.min() == 0


def test_what_no_pass_lets_through() -> None:
    op = Op("function", ("%x",), ("%y",), {"steps": (("log", 0),)})
    with pytest.raises(IrError, match="not finite"):
        lookup(op, CHIP, 1.0, 1.0)
    with pytest.raises(IrError, match="no general tables"):
        lookup(op, target(), 1.0, 1.0)
