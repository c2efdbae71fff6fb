"""Tiles, on every instruction set that this CPU has, against the specification, bit for bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import _kernel
from tests.runtime.tile_cases import MOST, Array, Case, Noise, cases, codes


@given(cases())
def test_tiles_of_codes(made: tuple[Case, tuple[int, ...]]) -> None:
    case, cuts = made
    case.check(cuts)


@given(cases(wide=True))
def test_tiles_of_conductances(made: tuple[Case, tuple[int, ...]]) -> None:
    case, cuts = made
    case.check(cuts)


@given(cases(), st.data())
def test_noise(made: tuple[Case, tuple[int, ...]], data: st.DataObject) -> None:
    case, cuts = made
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = rng.integers(0, 1 << 32, (2, len(case.x))).astype(np.uint32)
    deviation = data.draw(st.sampled_from((1.0, 100.0, 5000.0)))
    noise = Noise((int(rng.integers(1 << 32)), 7), deviation, words[0], words[1], 9)
    replace(case, noise=noise).check(cuts)


@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_with_noise(phases: int, sign: int) -> None:
    """Charges of codes next to overflowing in 1/64 code, and the largest deviation."""
    rows = _kernel.MAX_NOISY_ROWS
    samples = np.arange(11, dtype=np.uint32)
    noise = Noise((1, 2), 2.0**26, samples, samples, 3)
    x, w = np.full((11, rows), 127 * sign, np.int8), np.full((rows, 70), 127, np.int8)
    scale = np.full(70, 2.0**-5, np.float16)
    Case(x, w, Adc(phases, 1, 12, 32767), scale, noise=noise).check()


def test_noise_is_refused_where_charges_would_not_fit() -> None:
    rows = _kernel.MAX_NOISY_ROWS + 1
    case = Case(
        np.ones((1, rows), np.int8),
        np.ones((rows, 1), np.int8),
        Adc(1, 1, 0, 9),
        np.ones(1, np.float16),
    )
    one = np.zeros(1, np.uint32)
    for isa in _kernel.isas():
        tile = case.tile(case.weights, ((0, rows),), isa)
        with pytest.raises(ValueError, match="rows cannot have noise"):
            tile.run(case.x, (), np.zeros((1, 1), np.float16), None, ((1, 2), 1.0, one, one, 0))


@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums(phases: int, sign: int) -> None:
    """All conductances and inputs at their limits, where sums are next to overflowing."""
    full = np.full((256, 33), MOST, np.int16)
    zero = np.zeros_like(full)
    adc = Adc(phases, 1, 12, 32767)
    x = np.full((13, 256), 127 * sign, np.int8)
    scale = np.full(33, 2.0**-5, np.float16)
    for weights in ((full, zero), (zero, full), (full, full)):
        Case(x, weights, adc, scale).check()


@pytest.mark.parametrize("rows", [512, 1000, 4096])
def test_tall_tiles(rows: int) -> None:
    rng = np.random.default_rng(rows)
    x, w = codes(rng, (5, rows), 0, -127), codes(rng, (rows, 40), 3, -127)
    for phases in (1, 4):
        Case(x, w, Adc(phases, 3, 14, 4095), np.ones(40, np.float16)).check((7,))


@pytest.mark.parametrize("phases", [1, 4])
def test_ties_of_the_converter(phases: int) -> None:
    """Charges 0 to 127 with a gain of 1/2: every odd one is a tie."""
    x = np.arange(-127, 128, dtype=np.int8)[:, np.newaxis]
    one = np.ones(1, np.float16)
    Case(x, np.array([[1]], np.int8), Adc(phases, 1, 1, 40), one).check()


def test_negative_zero_survives_a_scale_but_not_an_offset_or_relu() -> None:
    x, w, minus = np.zeros((1, 1), np.int8), np.ones((1, 1), np.int8), -np.ones(1, np.float16)
    adc, zero = Adc(4, 1, 0, 10), np.zeros(1, np.float16)
    for offset, activation, sign in (
        (None, None, True),
        (zero, None, False),
        (None, "relu", False),
    ):
        case = Case(x, w, adc, minus, offset, (), activation)
        assert bool(np.signbit(case.expected()[0][0, 0])) is sign
        case.check()


def test_all_binary16_numbers_pass_through() -> None:
    """Every finite number as an addend to zero: conversions both ways, and the requantisation."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    finite = bits[bits & 0x7C00 != 0x7C00].view(np.float16)
    x, one = np.zeros((len(finite), 1), np.int8), np.ones(1, np.float16)
    addend = finite[:, np.newaxis]
    Case(x, np.ones((1, 1), np.int8), Adc(4, 1, 0, 9), -one, None, ((addend, None),)).check()


def test_rows_of_weights_may_be_strided() -> None:
    rng = np.random.default_rng(0)
    block = codes(rng, (20, 50), 0, -127)
    Case(
        codes(rng, (3, 10), 0, -127), block[5:15, 3:43], Adc(1, 1, 4, 99), np.ones(40, np.float16)
    ).check()


GOOD: dict[str, Any] = {
    "weights": np.ones((3, 4), np.int8),
    "adc": (4, 1, 0, 9),
    "scale": np.ones(4, np.float16),
    "offset": None,
    "addends": (),
    "activation": None,
    "runs": ((0, 3),),
    "nonnegative": False,
}


def test_either_result_may_be_left_out() -> None:
    x = np.ones((2, 3), np.int8)
    for isa in _kernel.isas():
        value, codes = np.zeros((2, 4), np.float16), np.zeros((2, 4), np.int8)
        tile = _kernel.Tile(**GOOD, isa=isa)
        tile.run(x, (), value, None)
        tile.run(x, (), None, codes)
        tile.run(x, (), None, None)
        assert (value == 3).all() and (codes == 3).all()


def cells(value: int, dtype: Any = np.int16) -> Array:
    return np.full((3, 4), value, dtype)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", None),
        ("weights", np.ones(4, np.int8)),
        ("weights", np.ones((0, 4), np.int8)),
        ("weights", np.ones((3, 8), np.int8)[:, ::2]),
        ("weights", np.ones((3, 4), np.uint8)),
        ("weights", cells(-128, np.int8)),
        ("weights", cells(MOST + 1)),
        ("weights", cells(-MOST - 1)),
        ("weights", (cells(4),)),
        ("weights", (cells(4), cells(3))),
        ("weights", (cells(4), cells(5))),
        ("weights", (cells(4), cells(2 * MOST - 2))),
        ("weights", (cells(4), cells(4)[:2])),
        ("weights", (cells(4, np.int8), cells(4, np.int8))),
        ("adc", (2, 1, 0, 9)),
        ("adc", (4, -1, 0, 9)),
        ("adc", (4, 1, 63, 9)),
        ("adc", (4, 1, 0, 40000)),
        ("adc", (4, 1)),
        ("adc", None),
        ("scale", None),
        ("scale", np.ones(3, np.float16)),
        ("scale", np.ones(4, np.float32)),
        ("offset", np.ones(5, np.float16)),
        ("addends", [1]),
        ("addends", (1,)),
        ("addends", (("int8",),)),
        ("addends", (("int16", None),)),
        ("addends", (("int8", np.ones(3, np.float16)),)),
        ("addends", (("int8", None),) * 5),
        ("activation", "tanh"),
        ("activation", (2.0, 1.0)),
        ("activation", (float("nan"), 1.0)),
        ("activation", 5),
        ("runs", ()),
        ("runs", ((0, 2),)),
        ("runs", ((0, 2), (5, 2))),
        ("runs", ((-1, 3),)),
        ("runs", ((0, 3), (9, 0))),
        ("runs", ((2**31 - 2, 3),)),
        ("runs", (0, 3)),
        ("runs", [(0, 3)]),
        ("isa", "avx1024"),
    ],
)
def test_tiles_that_are_refused(name: str, value: Any) -> None:
    _kernel.Tile(**GOOD)
    with pytest.raises(ValueError):
        _kernel.Tile(**{**GOOD, name: value})


read_only = np.zeros((2, 4), np.int8)
read_only.flags.writeable = False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", np.zeros((2, 4), np.int8)),
        ("x", np.zeros((2, 3), np.uint8)),
        ("x", np.zeros(3, np.int8)),
        ("x", np.zeros((2, 6), np.int8)[:, ::2]),
        ("x", None),
        ("addends", ()),
        ("addends", [np.zeros((2, 4), np.int8)]),
        ("addends", (np.zeros((2, 4), np.float16),)),
        ("addends", (np.zeros((1, 4), np.int8),)),
        ("value", np.zeros((2, 4), np.float32)),
        ("value", np.zeros((1, 4), np.float16)),
        ("value", np.zeros(17, np.int8)[1:].view(np.float16).reshape(2, 4)),
        ("codes", np.zeros((2, 5), np.int8)),
        ("codes", read_only),
        ("noise", 5),
        ("noise", ((0, 0), 1.0)),
        ("noise", ((0, 0), -1.0, np.zeros(2, np.uint32), np.zeros(2, np.uint32), 0)),
        ("noise", ((0, 0), float("nan"), np.zeros(2, np.uint32), np.zeros(2, np.uint32), 0)),
        ("noise", ((0, 0), 1.0, np.zeros(2, np.uint32), np.zeros(3, np.uint32), 0)),
        ("noise", ((0, 0), 1.0, np.zeros(2, np.int64), np.zeros(2, np.uint32), 0)),
    ],
)
def test_arguments_that_are_refused(name: str, value: Any) -> None:
    good: dict[str, Any] = {
        "x": np.zeros((2, 3), np.int8),
        "addends": (np.zeros((2, 4), np.int8),),
        "value": np.zeros((2, 4), np.float16),
        "codes": np.zeros((2, 4), np.int8),
    }
    tile = _kernel.Tile(**{**GOOD, "addends": (("int8", None),)})
    tile.run(**good)
    with pytest.raises(ValueError):
        tile.run(**{**good, name: value})
