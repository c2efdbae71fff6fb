"""Gather streams: row by row where possible, and never ahead of what was stored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anacc.ir import Op
from anacc.program.model import Loop, Stream
from anacc_backends.emission.bridge import emit_gather
from anacc_backends.emission.stream import Emission, StreamWriter
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.crossbar import lower_crossbar
from anacc_passes.tiling.pooling import lower_pool
from tests.backends.simulator import Array, Simulator
from tests.passes.chip_interpreter import chip_module, feed, run
from tests.passes.chips import target
from tests.passes.layers import Window, distinct_weights, layer_module, windows

SMALL = target(crossbar__rows=12, crossbar__columns=8)


def gathered(builder: Builder) -> tuple[Op, Stream, Emission]:
    """The one gather of a builder, as a stream."""
    (op,) = (op for op in builder.ops if op.kind == "gather")
    module = chip_module(builder)
    emission = Emission(module, SMALL, {name: k for k, name in enumerate(module.values)})
    writer = StreamWriter(emission, "bridge 0.0", "gather")
    emit_gather(emission, op, writer)
    return op, writer.finish(), emission


def check(builder: Builder, channels: dict[str, Array]) -> Stream:
    """Run the emitted stream iteration by iteration: it does what the op means.

    Returns:
        the stream.
    """
    op, stream, emission = gathered(builder)
    expected = run(builder, channels)
    tokens = {emission.numbers[name]: expected[name] for name in op.operands[1:]}
    sent = Simulator(stream, tokens, emission.constants32.array()).sent
    assert sent.keys() == {emission.numbers[name] for name in op.results}
    for name in op.results:
        np.testing.assert_allclose(sent[emission.numbers[name]], expected[name], rtol=1e-6)
    return stream


def convolution(window: Window, group: int, part: int = 3) -> tuple[Builder, dict[str, Array]]:
    """A convolution with one output for each group."""
    weight = distinct_weights((group, window.channels // group, *window.kernel))
    shapes = {"%x": (window.channels, *window.sizes), "%y": (group, *window.positions)}
    ones = np.ones(group, np.float32)
    module = layer_module(
        "crossbar",
        shapes,
        ("%x", "@w", "@s", "@o", ""),
        {"@w": weight, "@s": ones, "@o": ones},
        {**window.attributes(), "group": group, "activation": "none"},
    )
    builder = Builder(module, SMALL, "4-phase")
    x = np.arange(np.prod(shapes["%x"])).reshape(shapes["%x"])
    channels = feed(builder, "%x", builder.layouts["%x"], x, 0.5, part)
    lower_crossbar(builder, module.ops[0], frozenset({"i8"}))
    return builder, channels


@given(st.integers(1, 3), st.integers(1, 3), st.data())
@settings(max_examples=150)
def test_windows_never_run_ahead(group: int, channels: int, data: st.DataObject) -> None:
    window = data.draw(windows(group * channels))
    builder, tokens = convolution(window, group)
    if any(op.kind == "gather" for op in builder.ops):
        check(builder, tokens)


@given(windows(2, pool=True), st.sampled_from(["max_pool", "average_pool"]))
@settings(max_examples=100)
def test_pooling_never_runs_ahead(window: Window, kind: str) -> None:
    assume((window.im2col(np.ones((1, *window.sizes))) > 0).any(axis=1).all())  # no padding alone
    attributes = {**window.attributes(), "kernel": window.kernel}
    if kind == "average_pool":
        if set(window.dilations) != {1}:
            return
        del attributes["dilations"]
        attributes["count_include_pad"] = False
    shapes = {"%x": (2, *window.sizes), "%y": (2, *window.positions)}
    module = layer_module(kind, shapes, ("%x",), {}, attributes)
    builder = Builder(module, SMALL, "4-phase")
    x = np.arange(np.prod(shapes["%x"])).reshape(shapes["%x"]) - 5
    channels = feed(builder, "%x", builder.layouts["%x"], x, 0.5)
    forms = frozenset({"i8"} if kind == "max_pool" else {"i8", "f16"})
    lower_pool(builder, module.ops[0], forms)
    check(builder, channels)


@pytest.mark.parametrize(
    ("kernel", "stride", "hole", "before", "rows"),
    [(3, 1, 1, 1, 2), (3, 2, 1, 1, 2), (3, 1, 2, 2, 3), (1, 2, 1, 0, 1), (2, 1, 1, 0, 2)],
)
def test_the_first_row_leaves_as_soon_as_its_window_is_full(
    kernel: int, stride: int, hole: int, before: int, rows: int
) -> None:
    pads = (before, 0, 0, 0)
    window = Window(1, (8, 5), (kernel, 1), (stride, 1), (hole, 1), pads)
    builder, channels = convolution(window, 1)
    op, stream, emission = gathered(builder)
    tokens = {emission.numbers[name]: channels[name] for name in op.operands[1:]}
    steps = Simulator(stream, tokens, emission.constants32.array()).steps
    assert steps.index("send") == rows * 5
    # From then on each further row of windows takes as many rows as its stride.
    between = "".join(step[0] for step in steps[rows * 5 :]).split("r" * stride * 5)
    assert between[0] == between[1] == "s" * 5


def test_a_single_row_has_no_loop_over_rows() -> None:
    builder, channels = convolution(Window(2, (1, 4), (1, 2), (1, 1), (1, 1), (0, 0, 0, 0)), 1)
    store, load = check(builder, channels).body
    assert isinstance(store, Loop) and store.count == 4
    assert isinstance(load, Loop) and load.count == 3
