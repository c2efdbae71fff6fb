"""Full scale and column ranges of a tile: those that give its product with the least error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir.parse import parse_module
from anacc.targets.adc import AdcSettings
from anacc_passes.tile import Tile
from anacc_passes.tiling.full_scale import ENOUGH, STEPS, Choice, choose, converted
from anacc_passes.tiling.matrix import weight_codes
from tests.passes.chip_interpreter import Array
from tests.passes.chips import target

CELLS = (1.0, 12.0, 100.0)
SEVERAL = target(adc__full_scale_cells=list(CELLS))
ONE = target(adc__full_scale_cells=[1.0])
MODES = ("4-phase", "1-phase")
SHARES = [2.0 ** (part / 2) for part in range(-STEPS, STEPS + 1)]


def read(adc: AdcSettings, codes: Array, column: Array) -> tuple[float, bool]:
    """The charge that a converter reports for one vector of codes, and whether it clips; one
    product and conversion after another."""
    clips = False

    def count(charge: int) -> int:
        """Round to the nearest, ties up (a charge is not negative), and clamp."""
        nonlocal clips
        rounded = (charge * adc.a * 2 + (1 << adc.b)) >> (adc.b + 1)
        clips = clips or rounded > adc.c_max
        return min(rounded, adc.c_max)

    products = codes.astype(int) * column.astype(int)
    up, down = int(products[products > 0].sum()), int(-products[products < 0].sum())
    if adc.phases == 4:
        counts = count(up) - count(down)
    else:
        counts = int(np.sign(up - down)) * count(abs(up - down))
    return counts * 2.0**adc.b / adc.a, clips


def error(adc: AdcSettings, weight: Array, share: float, vectors: Array) -> tuple[float, bool]:
    """Squared error of one column with a share of the range, and whether a vector clips."""
    scale = np.abs(weight).max() / (127 * share) or 1.0
    column = np.clip(np.rint(weight / scale), -127, 127)
    total, clips = 0.0, False
    for vector in vectors.astype(float):
        found, clipped = read(adc, np.clip(np.rint(vector), -127, 127), column)
        total += (found * scale - float(vector @ weight)) ** 2
        clips = clips or clipped
    return total, clips


def best(adc: AdcSettings, weight: Array, vectors: Array) -> float:
    """The least error of a column over all shares that the rules of `choose` admit."""
    least, clips = error(adc, weight, 1.0, vectors)
    if clips:
        for share in reversed([share for share in SHARES if share < 1]):
            found, clips = error(adc, weight, share, vectors)
            least = min(least, found)
            if not clips:
                break
    elif len(vectors) >= len(weight):
        for share in [share for share in SHARES if share > 1]:
            found, _ = error(adc, weight, share, vectors)
            if found >= least:
                break
            least = found
    return least


@given(
    st.sampled_from(MODES),
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 30),
    st.floats(0.3, 200.0),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_the_least_error_wins(
    mode: str, sign: bool, rows: int, count: int, largest: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, 3)) * [1.0, 0.1, 3.0]
    worth = np.array([1.0, 5.0, 0.1])
    vectors = rng.uniform(0 if sign else -largest, largest, (count, rows)).astype(np.float32)
    coding = partial(weight_codes, weight, 127)
    chosen = choose(SEVERAL, mode, sign, weight, coding, worth, vectors)
    errors = {
        adc: [best(adc, column, vectors) * w**2 for column, w in zip(weight.T, worth, strict=True)]
        for cells in CELLS
        for adc in [SEVERAL.adc_settings(mode, cells, sign)]
    }
    least = min(sum(each) for each in errors.values())
    assert sum(errors[chosen.adc]) == pytest.approx(least, rel=1e-9)
    for j, (column, of_column) in enumerate(zip(weight.T, errors[chosen.adc], strict=True)):
        found = sum(
            (
                read(chosen.adc, np.clip(np.rint(x), -127, 127), chosen.codes[:, j])[0]
                * chosen.scale[j]
                - float(x @ column)
            )
            ** 2
            for x in vectors.astype(float)
        )
        assert found * worth[j] ** 2 == pytest.approx(of_column, rel=1e-9, abs=1e-12)
    signal = float(np.square((vectors.astype(float) @ weight) * worth).sum())
    assert chosen.snr == pytest.approx(min(100.0, 10 * np.log10(signal / least)))


def test_a_column_that_clips_takes_a_part_of_the_range() -> None:
    weight = np.ones((4, 2)) * [1.0, 0.01]
    weight[1:, 1] = 0.0
    vectors = np.full((8, 4), 100, np.float32)
    coding = partial(weight_codes, weight, 127)
    found = choose(ONE, "4-phase", True, weight, coding, np.ones(2), vectors)
    # Four cells at 100/127 of full input are 3.1 times full scale; one fits.
    assert found.codes.max(axis=0).tolist() == [32, 127]
    assert found.scale == pytest.approx([4 / 127, 0.01 / 127])
    assert found.snr is not None and found.snr > 40


def test_small_sums_let_large_weights_saturate_where_there_are_vectors_enough() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((50, 1)) * 0.1
    weight[0] = 1.0
    vectors = rng.integers(-20, 21, (200, 50)).astype(np.float32)
    vectors[:, 0] = rng.integers(-1, 2, 200)
    coding = partial(weight_codes, weight, 127)
    large = target(adc__full_scale_cells=[12.0])
    few, many = (
        choose(large, "4-phase", False, weight, coding, np.ones(1), vectors[:count])
        for count in (49, 200)
    )
    assert few.scale == pytest.approx(1 / 127)
    assert many.scale < 0.5 / 127


def test_free_rows_hold_copies_where_sums_are_small() -> None:
    """Two rows of inputs of 20 codes at most make 0.3 cells of 12: some ten counts.  Eight copies
    make eight times as much; 64 are no better than 32 within a decibel."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((2, 3))
    vectors = rng.integers(-20, 21, (300, 2)).astype(np.float32)
    coding = partial(weight_codes, weight, 127)
    large = target(adc__full_scale_cells=[12.0])

    def found(most: int) -> Choice:
        return choose(large, "4-phase", False, weight, coding, np.ones(3), vectors, most)

    one, eight, many = found(1), found(8), found(128)
    assert one.copies == 1 and eight.copies == 8
    assert one.snr is not None and eight.snr is not None and many.snr is not None
    # Rounding loses a factor of 8 less, 18 dB, unless other errors are larger.
    assert one.snr + 12 < eight.snr < one.snr + 19
    assert 8 < many.copies < 128 or many.snr >= ENOUGH
    for choice in (one, eight, many):
        charge = np.clip(np.rint(vectors), -127, 127) * choice.copies
        exact = vectors.astype(float) @ weight
        counts = np.array([[read(choice.adc, x, g)[0] for g in choice.codes.T] for x in charge])
        error = float(np.square(counts * choice.scale / choice.copies - exact).sum())
        expected = 10 * np.log10(float(np.square(exact).sum()) / error)
        assert choice.snr == pytest.approx(expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("most", [1, 8])
def test_what_a_zero_point_adds_is_no_signal(mode: str, most: int) -> None:
    rng = np.random.default_rng(2)
    weight = rng.uniform(-0.3, 1.0, (12, 2))
    vectors = (30 + rng.uniform(-4, 4, (40, 12))).astype(np.float32)
    coding = partial(weight_codes, weight, 127)
    found = choose(SEVERAL, mode, False, weight, coding, np.ones(2), vectors, most, zero=30)
    charge = np.clip(np.rint(vectors), -127, 127) * found.copies
    counts = np.array([[read(found.adc, x, g)[0] for g in found.codes.T] for x in charge])
    given = (counts / found.copies - 30 * found.codes.sum(axis=0, dtype=int)) * found.scale
    exact = (vectors.astype(float) - 30) @ weight
    expected = np.square(exact).sum() / np.square(given - exact).sum()
    assert found.snr == pytest.approx(10 * np.log10(expected))


def test_no_more_copies_than_help() -> None:
    weight = np.ones((4, 1))
    vectors = np.full((8, 4), 100, np.float32)
    coding = partial(weight_codes, weight, 127)
    large = target(adc__full_scale_cells=[12.0])
    assert choose(large, "4-phase", True, weight, coding, np.ones(1), vectors, 64).copies == 1


def test_without_vectors_the_largest_clips_least() -> None:
    weight = np.ones((1, 1))
    largest = SEVERAL.adc_settings("4-phase", 100.0, False)
    coding = partial(weight_codes, weight, 127)
    found = choose(SEVERAL, "4-phase", False, weight, coding, np.ones(1), None)
    assert (found.adc, found.snr) == (largest, None)
    assert (found.codes.item(), found.scale.item()) == (127, 1 / 127)


@dataclass
class FakeSource:
    """Gives what it is fed as every value."""

    stands_for: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        return {name: np.asarray(feed["x"]) for name in names}


CONVOLUTION = """
module "m" level=layer batch=N {
  constant @w : float32[1, 1, 2, 2] = [1.0, 1.0, 1.0, 1.0]
  constant @s : float32[1] = [1.0]
  input %x : float32[N, 1, 8, 8] scale 1.0
  %y : float32[N, 1, 8, 8] scale 1.0 = crossbar(%x, @w, @s, @s, _) {activation = "none",
    dilations = [1, 1], group = 1, pads = [0, 0, 1, 1], strides = [1, 1]} from "Conv_0"
  output "y" = %y
}
"""
PRODUCT = """
module "m" level=layer batch=N {
  constant @w : float32[1, 8] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
  constant @s : float32[1] = [1.0]
  input %x : float32[N, 1, 8, 8] scale 1.0
  %y : float32[N, 1, 8, 1] scale 1.0 = crossbar(%x, @w, @s, @s, _) {activation = "none",
    dilations = [], group = 1, pads = [], strides = []} from "MatMul_0"
  output "y" = %y
}
"""


@pytest.mark.parametrize("text", [CONVOLUTION, PRODUCT])
@pytest.mark.parametrize("mode", MODES)
# One cell at full input is 127 codes; a window sums 4 of them, a row 8.
@pytest.mark.parametrize(("code", "cells"), [(10.0, 1.0), (100.0, 12.0)])
def test_calibration_data_decide(text: str, mode: str, code: float, cells: float) -> None:
    module = replace(parse_module(text), source=FakeSource())
    feed = {"x": np.full((3, 1, 8, 8), code, np.float32)}
    lowered = Tile(SEVERAL, mode, (feed,))(module)
    (op,) = (op for op in lowered.ops if op.kind == "tile")
    adc = SEVERAL.adc_settings(mode, cells, False)
    assert (op.integer("multiplier"), op.integer("shift")) == (adc.a, adc.b)


@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("bits", [1, 15, 30])
def test_converters_count_as_the_integers_of_the_specification(phases: int, bits: int) -> None:
    """Also where the products are too large for binary64 to be exact."""
    rng = np.random.default_rng(bits)
    for shift in (1, 20, 40):
        adc = AdcSettings(phases, int(rng.integers(2 ** (bits - 1), 2**bits)), shift, 900)
        inputs = rng.integers(-127, 128, (20, 200)).astype(np.float32)
        codes = rng.integers(-127, 128, (200, 9)).astype(np.int8)
        products = inputs.astype(np.int64)[:, :, np.newaxis] * codes.astype(np.int64)
        parts = [np.maximum(products, 0).sum(1), np.maximum(-products, 0).sum(1)]
        if phases == 1:
            difference = parts[0] - parts[1]
            parts = [np.maximum(difference, 0), np.maximum(-difference, 0)]
        plus, minus = ((part * adc.a + (1 << (shift - 1))) >> shift for part in parts)
        counts, clipped = converted(adc, inputs, codes)
        np.testing.assert_array_equal(counts, np.minimum(plus, 900) - np.minimum(minus, 900))
        np.testing.assert_array_equal(clipped, np.maximum(plus, minus).max(0) > 900)
