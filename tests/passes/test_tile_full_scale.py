"""The ADC full scale of a tile: the one that reads calibration codes with the least error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir.parse import parse_module
from anacc.targets.adc import AdcSettings
from anacc_passes.tile import Tile
from anacc_passes.tiling.full_scale import choose
from tests.passes.chip_interpreter import Array
from tests.passes.chips import target

CELLS = (1.0, 12.0, 100.0)
SEVERAL = target(adc__full_scale_cells=list(CELLS))
MODES = ("4-phase", "1-phase")


def error(adc: AdcSettings, codes: Array, vectors: Array) -> float:
    """Squared error of a tile in units of the charge, one product and conversion after another."""

    def count(charge: int) -> int:
        """Round to the nearest, ties up (a charge is not negative), and clamp."""
        return min((charge * adc.a * 2 + (1 << adc.b)) >> (adc.b + 1), adc.c_max)

    total = 0.0
    for x in vectors.astype(int):
        for column in codes.astype(int).T:
            products = x * column
            up, down = int(products[products > 0].sum()), int(-products[products < 0].sum())
            if adc.phases == 4:
                read = count(up) - count(down)
            else:
                read = int(np.sign(up - down)) * count(abs(up - down))
            total += (read * 2.0**adc.b / adc.a - (up - down)) ** 2
    return total


@given(
    st.sampled_from(MODES),
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 127),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_the_least_error_wins(mode: str, sign: bool, rows: int, largest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, (rows, 2)).astype(np.int8)
    vectors = rng.integers(0 if sign else -largest, largest + 1, (4, rows)).astype(np.int8)
    offered = [SEVERAL.adc_settings(mode, cells, sign) for cells in CELLS]
    chosen = choose(SEVERAL, mode, sign, codes, vectors).adc
    assert chosen in offered
    least = min(error(adc, codes, vectors) for adc in offered)
    assert error(chosen, codes, vectors) == pytest.approx(least, rel=1e-9)


def test_without_codes_the_largest_clips_least() -> None:
    codes = np.ones((1, 1), np.int8)
    largest = SEVERAL.adc_settings("4-phase", 100.0, False)
    found = choose(SEVERAL, "4-phase", False, codes, None)
    assert (found.adc, found.snr) == (largest, None)


@dataclass
class FakeSource:
    """Gives what it is fed as every value."""

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
    lowered = Tile(SEVERAL, mode, feed)(module)
    (op,) = (op for op in lowered.ops if op.kind == "tile")
    adc = SEVERAL.adc_settings(mode, cells, False)
    assert (op.integer("multiplier"), op.integer("shift")) == (adc.a, adc.b)
