"""Rows that a tile leaves free hold copies of its rows: small layers fill converters."""

from __future__ import annotations

import numpy as np
import pytest

from anacc import Program
from anacc.compiler import compile_image
from anacc.metrics import snr_db
from anacc.program.image import Image
from tests.end_to_end.checks import assert_same_bits, onnx_results
from tests.end_to_end.network import Network


def small_layers() -> Network:
    """A convolution of 9 rows, a product of 32, and an LSTM of 8 + 6."""
    net = Network(seed=3)
    x = net.input("N", 1, 6, 6)
    y = net.node("Conv", x, net.weight(8, 1, 3, 3, sums=9), strides=[2, 2])
    y = net.node("Reshape", net.node("Relu", y), net.integers(0, 4, 8))
    y = net.node("Transpose", net.node("MatMul", y, net.weight(8, 8, sums=8)), perm=[1, 0, 2])
    w, r = net.weight(1, 24, 8, sums=8), net.weight(1, 24, 6, sums=6)
    net.outputs.append(net.nodes("LSTM", (y, w, r), 1, hidden_size=6, shape=(4, 1, "N", 6))[0])
    return net


def copies(image: Image) -> list[int]:
    return [tile["copies"] for tile in image.mapping["tiles"]]


@pytest.mark.parametrize("read_mode", ["4-phase", "1-phase"])
def test_copies_give_the_same_bits_everywhere_and_less_error(read_mode: str) -> None:
    net = small_layers()
    model, feed = net.model(), net.feed(32, seed=4)
    exact = onnx_results(model, feed)
    ratios = {}
    for row_copies in ("auto", "never"):
        image, _ = compile_image(
            model, calibration=[feed], read_mode=read_mode, row_copies=row_copies
        )
        assert (max(copies(image)) > 1) == (row_copies == "auto")
        found = assert_same_bits(image, {name: array[:4] for name, array in feed.items()})
        assert found.keys() == exact.keys()
        outputs = Program(image).run(feed)
        ratios[row_copies] = min(snr_db(exact[name], outputs[name]) for name in exact)
        assert image.mapping["macs"]["crossbar"] == 4 * (9 * 8 + 8 * 8 + 14 * 24)
    assert ratios["auto"] > ratios["never"] + 6


def test_layers_that_share_crossbars_have_no_copies() -> None:
    net = small_layers()
    image, _ = compile_image(net.model(), calibration=[net.feed(8, seed=4)], packing="always")
    assert set(copies(image)) == {1}


def test_more_tiles_than_cores_have_no_copies() -> None:
    """Sixty-five products of two columns have to share 64 crossbars."""
    net = Network(seed=5)
    x = net.input("N", 4)
    for _ in range(65):
        net.outputs.append(net.node("MatMul", x, net.weight(4, 2, sums=4)))
    image, _ = compile_image(net.model(), calibration=[net.feed(8, seed=4)])
    assert set(copies(image)) == {1}
    assert np.isfinite(Program(image).run(net.feed(2, seed=6))[net.outputs[0]]).all()
