"""Zero points and integer weights on crossbars, in real arithmetic: all that remains is the
rounding of LDPU constants to binary16."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir.module import AttributeValue
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.crossbar import lower_crossbar
from anacc_passes.tiling.matrix import weight_codes
from tests.passes.chip_interpreter import feed, run, whole_tokens
from tests.passes.chips import target
from tests.passes.layers import Matrix, Window, layer_module
from tests.passes.test_tile_crossbar import ACTIVATIONS, activated, convolutions, ldpu_constants

SMALL = target(crossbar__rows=12, crossbar__columns=8)


@given(
    convolutions(),
    st.sampled_from(ACTIVATIONS),
    st.integers(-32, 32),
    st.integers(-32, 32),
    st.integers(0, 99),
)
@settings(max_examples=100)
def test_zero_points_of_operand_and_result(
    layer: tuple[Window, int, int],
    activation: dict[str, AttributeValue],
    zero: int,
    result_zero: int,
    seed: int,
) -> None:
    window, outputs, group = layer
    outputs *= group
    rng = np.random.default_rng(seed)
    shape = (outputs, window.channels // group, *window.kernel)
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    shapes = {"%x": (window.channels, *window.sizes), "%y": (outputs, *window.positions)}
    attributes = {**window.attributes(), "group": group, **activation}
    constants = {"@w": weight, **ldpu_constants(outputs)}
    module = layer_module("crossbar", shapes, ("%x", "@w", "@s", "@o", ""), constants, attributes)
    values = {
        "%x": replace(module.values["%x"], zero=zero),
        "%y": replace(module.values["%y"], zero=result_zero),
    }
    module = replace(module, values=values)
    builder = Builder(module, SMALL, "4-phase")
    codes = rng.integers(-127, 128, shapes["%x"])
    channels = feed(builder, "%x", builder.layouts["%x"], codes, 0.5)
    builder.tokens["%x"] = replace(builder.tokens["%x"], zero=zero)
    tokens = lower_crossbar(builder, module.ops[0], frozenset({"i8"}))
    found = run(builder, channels)
    dense = Matrix(weight, group)
    # Padding is 0 in real numbers: the code of zero.
    vectors = dense.vectors(window.im2col(0.5 * (codes - zero)))
    products = (vectors @ dense.dense()) * constants["@s"]
    expected = activated(module.ops[0], products + constants["@o"])
    # Products of what the rows are driven with, zero points included, meet rounded constants.
    driven = 0.5 * 127 * np.abs(dense.dense()).sum(axis=0) * constants["@s"]
    tolerance = (2 * driven + np.abs(constants["@o"]) + 64 * 2.0) * 2.0**-10
    assert tokens.zero == result_zero
    real = 2.0 * (whole_tokens(tokens, "i8", found) - result_zero)
    reach = 2.0 * (2 * 127 - abs(result_zero))  # beyond, codes saturate anyway
    expected = np.minimum(expected, reach) if activation["activation"] == "relu" else expected
    real = np.minimum(real, reach) if activation["activation"] == "relu" else real
    assert (np.abs(real - expected) <= tolerance).all()


@pytest.mark.parametrize(
    ("column", "codes", "scale"),
    [
        ([3, -127, 0], [3, -127, 0], 1.0),
        ([-128, 5, 127], [-127, 5, 127], 1.0),  # -128 saturates
        ([7, -8, 1], [105, -120, 15], 1 / 15),  # four bits: the same weights, fifteen times
        ([40, -42, 1], [120, -126, 3], 1 / 3),
        ([0, 0, 0], [0, 0, 0], 0.0),
    ],
)
def test_integers_stay_as_they_are(column: list[int], codes: list[int], scale: float) -> None:
    found, scales = weight_codes(np.array([column], np.int8).T, 127)
    assert found.dtype == np.int8
    assert found[:, 0].tolist() == codes
    assert scales.tolist() == [scale]
