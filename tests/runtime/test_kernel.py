"""The C kernel, on every path that this CPU has, against the specification, bit for bit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import _kernel, arithmetic

Array = np.ndarray[Any, Any]
EXTREMES = [0.0, -0.0, 2.0**-24, -(2.0**-24), 2.0**-14, 1.0, -0.5, 0.5, 1.5, 65504.0, -65504.0]


@dataclass
class Case:
    """A layer: arguments of `_kernel.run`."""

    x: Array
    w: Array
    adc: Adc
    scale: Array
    offset: Array | None
    addends: tuple[tuple[Array, Array | None], ...]
    activation: Any

    def expected(self) -> tuple[Array, Array]:
        """Value and codes of the specification."""
        counts = arithmetic.mvm(self.x, self.w, self.adc)
        if self.offset is None:
            y = arithmetic.scale(counts, self.scale)
        else:
            y = arithmetic.affine(counts, self.scale, self.offset)
        for addend, scale in self.addends:
            if scale is not None:
                addend = arithmetic.scale(addend, scale)
            y = arithmetic.add(y, addend.astype(np.float16))
        if self.activation == "relu":
            y = arithmetic.relu(y)
        elif self.activation is not None:
            y = arithmetic.clamp(y, *self.activation)
        return y, arithmetic.quantise(y)

    def run(self, isa: str, value: Array | None, codes: Array | None) -> None:
        adc = self.adc
        _kernel.run(
            self.x,
            _kernel.pack(self.w),
            (adc.phases, adc.multiplier, adc.shift, adc.maximum),
            self.scale,
            self.offset,
            self.addends,
            self.activation,
            value,
            codes,
            isa,
        )

    def check(self) -> None:
        expected_value, expected_codes = self.expected()
        for isa in _kernel.isas():
            # Results into the middle of wider arrays, whose other elements must stay.
            wide_value = np.full((len(self.x), self.w.shape[1] + 3), 7, np.float16)
            wide_codes = np.full((len(self.x), self.w.shape[1] + 3), 7, np.int8)
            self.run(isa, wide_value[:, 1:-2], wide_codes[:, 1:-2])
            assert wide_value[:, 1:-2].tobytes() == expected_value.tobytes()
            assert wide_codes[:, 1:-2].tobytes() == expected_codes.tobytes()
            assert (wide_value[:, [0, -2, -1]] == 7).all()
            assert (wide_codes[:, [0, -2, -1]] == 7).all()


def numbers(rng: np.random.Generator, shape: Any, kind: int) -> Array:
    """Binary16 numbers: moderate, of all magnitudes, or extreme."""
    if kind == 0:
        values: Array = rng.normal(size=shape) * 4
    elif kind == 1:
        bits = rng.integers(0, 1 << 16, shape).astype(np.uint16)
        bits[bits & 0x7C00 == 0x7C00] = 0x7BFF  # neither infinite nor NaN
        values = bits.view(np.float16)
    else:
        values = rng.choice(np.array(EXTREMES), shape)
    return values.astype(np.float16)


def codes(rng: np.random.Generator, shape: tuple[int, int], kind: int, low: int) -> Array:
    """Codes: any, mostly zero, all zero, or extreme."""
    values = rng.integers(low, 128, shape)
    if kind == 1:
        values *= rng.random(shape) < 0.1
    elif kind == 2:
        values *= 0
    elif kind == 3:
        values = np.where(values < (127 + low) / 2, low, 127)
    result: Array = values.astype(np.int8)
    return result


kinds = st.integers(0, 2)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positions = draw(st.sampled_from((0, 1, 2, 3, 4, 47, 48, 49, 100)))
    sizes = st.one_of(st.integers(1, 20), st.integers(1, 256), st.just(256))
    rows, columns = draw(sizes), draw(sizes)
    adc = Adc(
        draw(st.sampled_from((1, 4))),
        draw(st.one_of(st.integers(1, 64), st.integers(1, 2**24 - 1))),
        draw(st.one_of(st.integers(0, 12), st.integers(0, 62))),
        draw(st.one_of(st.integers(1, 4095), st.just(427))),
    )
    addends: list[tuple[Array, Array | None]] = []
    for choice in draw(st.lists(st.integers(0, 2), max_size=3)):
        shape = positions, columns
        if choice == 0:
            addends.append((numbers(rng, shape, draw(kinds)), None))
        else:
            scale = numbers(rng, columns, draw(kinds))
            addend = codes(rng, shape, 0, -127) if choice == 1 else numbers(rng, shape, 0)
            addends.append((addend, scale))
    return Case(
        codes(rng, (positions, rows), draw(st.integers(0, 3)), draw(st.sampled_from((-127, 0)))),
        codes(rng, (rows, columns), draw(st.integers(0, 3)), -127),
        adc,
        numbers(rng, columns, draw(kinds)),
        draw(st.sampled_from((None, numbers(rng, columns, draw(kinds))))),
        tuple(addends),
        draw(st.sampled_from((None, "relu", (0.0, 6.0), (-65504.0, 65504.0), (-1.5, -0.0)))),
    )


@given(cases())
def test_every_path_gives_the_bits_of_the_specification(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("phases", [1, 4])
def test_ties_of_the_converter(phases: int) -> None:
    """Charges 0 to 127 with a gain of 1/2: every odd one is a tie."""
    x = np.arange(-127, 128, dtype=np.int8)[:, np.newaxis]
    one = np.ones(1, np.float16)
    Case(x, np.array([[1]], np.int8), Adc(phases, 1, 1, 40), one, None, (), None).check()


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
    case = Case(x, np.ones((1, 1), np.int8), Adc(4, 1, 0, 9), -one, None, ((addend, None),), None)
    case.check()


def test_an_input_of_minus_128_counts_fully() -> None:
    """No instruction makes it, but arithmetic that wraps would show."""
    x = np.full((3, 6), -128, np.int8)
    w = np.array([[127, -127]] * 6, np.int8)
    Case(x, w, Adc(4, 1, 6, 4095), np.ones(2, np.float16), None, (), None).check()


def test_either_result_may_be_left_out() -> None:
    case = Case(
        np.ones((2, 3), np.int8), np.ones((3, 4), np.int8), Adc(4, 1, 0, 9),
        np.ones(4, np.float16), None, (), None,
    )  # fmt: skip
    for isa in _kernel.isas():
        value, codes = np.zeros((2, 4), np.float16), np.zeros((2, 4), np.int8)
        case.run(isa, value, None)
        case.run(isa, None, codes)
        case.run(isa, None, None)
        assert (value == 3).all() and (codes == 3).all()


GOOD: dict[str, Any] = {
    "x": np.zeros((2, 3), np.int8),
    "weights": _kernel.pack(np.ones((3, 4), np.int8)),
    "adc": (4, 1, 0, 9),
    "scale": np.ones(4, np.float16),
    "offset": None,
    "addends": (),
    "activation": None,
    "value": np.zeros((2, 4), np.float16),
    "codes": np.zeros((2, 4), np.int8),
}
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
        ("weights", b""),
        ("weights", GOOD["weights"][:-1]),
        ("weights", GOOD["weights"] + b"\0"),
        ("weights", b"anaccw1\0" + b"\xff" * 200),
        ("adc", (2, 1, 0, 9)),
        ("adc", (4, -1, 0, 9)),
        ("adc", (4, 1, 63, 9)),
        ("adc", (4, 1, 0, 40000)),
        ("scale", None),
        ("scale", np.ones(3, np.float16)),
        ("scale", np.ones(4, np.float32)),
        ("offset", np.ones(5, np.float16)),
        ("addends", [1]),
        ("addends", (1,)),
        ("addends", ((np.zeros((2, 3), np.float16), None),)),
        ("addends", ((np.zeros((1, 4), np.float16), None),)),
        ("addends", ((np.zeros((2, 4), np.float16), None),) * 5),
        ("activation", "tanh"),
        ("activation", (2.0, 1.0)),
        ("activation", 5),
        ("value", np.zeros((2, 4), np.float32)),
        ("value", np.zeros((1, 4), np.float16)),
        ("value", np.zeros(17, np.int8)[1:].view(np.float16).reshape(2, 4)),
        ("codes", np.zeros((2, 5), np.int8)),
        ("codes", read_only),
        ("isa", "avx1024"),
    ],
)
def test_wrong_arguments_are_refused(name: str, value: Any) -> None:
    _kernel.run(**GOOD)
    with pytest.raises(ValueError):
        _kernel.run(**{**GOOD, name: value})


@pytest.mark.parametrize(
    "codes",
    [np.zeros((0, 4), np.int8), np.full((1, 1), -128, np.int8), np.zeros(4, np.int8), "no array"],
)
def test_pack_refuses_what_is_no_weight_block(codes: Any) -> None:
    with pytest.raises(ValueError):
        _kernel.pack(codes)
