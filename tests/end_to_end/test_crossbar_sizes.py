"""Crossbars of other sizes than the shipped one: both executors give the same bits, up to the
tallest tiles, and accuracy does not suffer from how a layer is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anacc
from anacc.compiler import compile_image
from anacc.program.image import Image
from anacc_runtime import ConversionNoise
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.end_to_end.checks import assert_equal, assert_same_bits
from tests.end_to_end.network import Network
from tests.end_to_end.strategies import networks

READ_MODES = ["4-phase", "1-phase"]


def layers() -> Network:
    """A convolution of 594 rows, a product of 1,872 rows beside a residual addition, an LSTM."""
    net = Network(seed=11)
    x = net.input("N", 66, 4, 5)
    y = net.node("Conv", x, net.weight(78, 66, 3, 3, sums=594), pads=[1, 1, 0, 0])
    y = net.node("Reshape", net.node("Relu", y), net.integers(0, 78 * 3 * 4))
    y = net.node("Concat", y, y, axis=1)
    y = net.node("MatMul", y, net.weight(1872, 70, sums=1872))
    y = net.node("Add", y, net.node("MatMul", y, net.weight(70, 70, sums=70)))
    y = net.node("Unsqueeze", y, net.integers(0))
    w, r = net.weight(1, 4 * 37, 70, sums=70), net.weight(1, 4 * 37, 37, sums=37)
    net.outputs.append(net.nodes("LSTM", (y, w, r), 1, hidden_size=37, shape=(1, 1, "N", 37))[0])
    return net


def compiled(net: Network, crossbar: object, **options: Any) -> Image:
    chosen = {"crossbar": crossbar, "grid": "32x32"}
    feeds = [net.feed(3 if net.batch == "N" else int(net.batch), seed=1)]
    image, _ = compile_image(net.model(), calibration=feeds, settings=chosen, **options)
    return image


@pytest.mark.parametrize("read_mode", READ_MODES)
@pytest.mark.parametrize("size", [(64, 64), (512, 512), (1000, 300), (2000, 40), (37, 500)])
def test_any_size_gives_the_same_bits(size: tuple[int, int], read_mode: str) -> None:
    net = layers()
    image = compiled(net, size, read_mode=read_mode, row_copies="never")
    tallest = max(tile["rows"] for tile in image.mapping["tiles"])
    assert tallest <= size[0]
    if size[0] > 64:
        assert tallest > 0.6 * size[0]
    feed = net.feed(3, seed=2)
    assert_same_bits(image, feed)
    assert_same_bits(image, {name: 8 * array for name, array in feed.items()})


@pytest.mark.parametrize("read_mode", READ_MODES)
@pytest.mark.parametrize("rows", [512, 1000, 1536, 1537, 4096])
def test_the_largest_sums_of_a_tall_tile_are_exact(rows: int, read_mode: str) -> None:
    """All rows at the largest input and weight codes, under the largest noise."""
    net = Network(seed=1)
    weight = np.tile(np.array([1, -1, 1], np.float32), (rows, 1))
    weight[: rows // 2, 2] = -1
    net.outputs.append(net.node("MatMul", net.input("N", rows), net.constant(weight)))
    ones = {"input0": np.tile(np.array([[1], [-1]], np.float32), (1, rows))}
    image, _ = compile_image(
        net.model(),
        calibration=[ones],
        read_mode=read_mode,
        # Converters so wide that sums do not saturate.
        settings={"crossbar": (rows, 8), "adc.full_scale_cells": f"{rows}"},
    )
    assert [tile["rows"] for tile in image.mapping["tiles"]] == [rows]
    found = assert_same_bits(image, ones)["value0"]
    signs = np.array([[1, -1, 0], [-1, 1, 0]])
    np.testing.assert_allclose(found, rows * signs, atol=rows / 100)
    noise = ConversionNoise(1e9, seed=3)
    noisy = Executor(image).run(ones, noise=noise)
    assert_equal(NativeExecutor(image).run(ones, 1, noise), noisy, f"{rows} rows with noise")


@settings(max_examples=12)
@given(networks(), st.integers(8, 1100), st.integers(16, 600), st.sampled_from(READ_MODES))
def test_generated_networks_on_generated_crossbars(
    net: Network, rows: int, columns: int, read_mode: str
) -> None:
    samples = 2 if isinstance(net.batch, str) else net.batch
    feed = net.feed(samples, seed=5)
    chosen = {"crossbar": (rows, columns), "grid": (64, 64)}
    image, _ = compile_image(net.model(), calibration=[feed], settings=chosen, read_mode=read_mode)
    assert_same_bits(image, feed)


def test_the_target_of_a_program_says_what_was_set(recwarn: pytest.WarningsRecorder) -> None:
    net = Network(seed=1)
    net.outputs.append(net.node("MatMul", net.input("N", 8), net.weight(8, 4, sums=8)))
    model, feed = net.model(), net.feed(2, seed=1)
    plain = anacc.compile(model, calibration=feed)
    same = anacc.compile(model, calibration=feed, settings={"crossbar": "256x256"})
    assert same.image.manifest == plain.image.manifest
    assert not recwarn.list
    with pytest.warns(UserWarning, match="`chip.die_area` stays"):
        changed = anacc.compile(model, calibration=feed, settings={"grid.rows": 4})
    assert changed.report()["target_settings"] == {"grid.rows": 4}
    assert changed.report()["cores"]["available"] == 32
    rows = changed.image.manifest.target["grid"]["rows"]
    assert (rows["value"], rows["source"]) == (4, "assumed")
    assert changed.image.manifest.target["bridge"]["count"]["value"] == 32
