"""Pooling on the bridge: windows are those of NumPy, and averages count what they should."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anacc.ir.module import AttributeValue
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.pooling import averaged, lower_pool
from tests.passes.chip_interpreter import Array, feed, run, whole_tokens
from tests.passes.chips import target
from tests.passes.layers import Window, layer_module, windows

SMALL = target(crossbar__rows=3)  # so that tokens come in several parts


def lowered(
    window: Window, kind: str, form: str, scale: float, **attributes: AttributeValue
) -> tuple[Builder, Array, Array]:
    """A pooling of random codes.

    Returns:
        the builder; the codes (channels, *sizes); the result (positions, channels) in LSBs.
    """
    shapes = {
        "%x": (window.channels, *window.sizes),
        "%y": (window.channels, *window.positions),
    }
    attributes = {"strides": window.strides, "pads": window.pads, **attributes}
    module = layer_module(kind, shapes, ("%x",), {}, {"kernel": window.kernel, **attributes})
    builder = Builder(module, SMALL, "4-phase")
    x = np.random.default_rng(0).integers(-127, 128, shapes["%x"])
    channels = feed(builder, "%x", builder.layouts["%x"], x, scale, 3)
    tokens = lower_pool(builder, module.ops[0], frozenset({form}))
    assert tokens.scale == 2.0
    return builder, x, whole_tokens(tokens, form, run(builder, channels))


@given(st.integers(1, 7).flatmap(lambda channels: windows(channels, pool=True)))
@settings(max_examples=60)
def test_a_maximum(window: Window) -> None:
    _, x, found = lowered(window, "max_pool", "i8", 2.0, dilations=window.dilations)
    expected = window.im2col(x, fill=-np.inf).max(axis=1)
    assume(np.isfinite(expected).all())  # a dilated window may step over a small sample
    np.testing.assert_array_equal(found, expected)


def no_holes(window: Window) -> bool:
    return set(window.dilations) == {1}


@given(
    st.integers(1, 7).flatmap(lambda channels: windows(channels, pool=True)).filter(no_holes),
    st.booleans(),
    st.sampled_from(["i8", "f16"]),
)
@settings(max_examples=60)
def test_an_average(window: Window, padding_counts: bool, form: str) -> None:
    builder, x, found = lowered(window, "average_pool", form, 0.5, count_include_pad=padding_counts)
    elements = window.im2col(x, fill=0.0 if padding_counts else np.nan)
    expected = 0.5 / 2.0 * np.nanmean(elements, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # One factor is enough where all windows hold as many elements.
    (factors,) = builder.constants.values()
    alike = padding_counts or not np.isnan(elements).any()
    assert factors.size == 1 if alike else factors.size in (1, math.prod(window.positions))


@given(windows(1, pool=True).filter(no_holes))
def test_averaged_counts_what_is_not_padding(window: Window) -> None:
    inside = window.im2col(np.ones((1, *window.sizes))).sum(axis=(1, 2))
    counts = averaged(
        window.sizes, window.positions, window.kernel, window.strides, window.pads, window.dilations
    )
    assert counts.shape == window.positions
    np.testing.assert_array_equal(counts.reshape(-1), inside)
