"""However layers are packed and cut, both executors give the same bits; cuts between columns change
none at all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc import Program
from anacc.compiler import compile_image
from anacc.errors import CompileError
from anacc.program.image import Image
from tests.end_to_end.checks import assert_accurate, assert_same_bits, onnx_results
from tests.end_to_end.network import Network
from tests.end_to_end.strategies import convolutional, networks

# Crossbars so small that most layers are cut; converters so fine that they lose nothing.
SMALL = """\
inherit = "hermes"
[crossbar]
rows = {rows}
columns = {columns}
[grid]
rows = 40
columns = 40
max_chips = 1
[adc]
full_scale_cells = [12.0, 256.0]
levels_per_phase = 2047
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("target") / "small.toml"
    path.write_text(SMALL.format(rows=48, columns=20), encoding="utf-8")
    return path


def compiled(net: Network, target: Path, packing: str) -> Image:
    image, _ = compile_image(
        net.model(),
        target=target,
        calibration=[net.feed(4, seed=net.seed)],
        packing=packing,
        row_copies="never",
    )
    return image


def cores(image: Image) -> int:
    return int(image.mapping["cores_used"])


@settings(max_examples=40)
@given(net=st.one_of(convolutional, networks()))
def test_packed_networks(small: Path, net: Network) -> None:
    feed = net.feed(4 if isinstance(net.batch, str) else net.batch, seed=net.seed)
    try:
        image = compiled(net, small, "densest")
    except CompileError as error:  # a large layer needs more than 1,600 of these
        assert "cores" in error.message
        return
    assert_same_bits(image, feed)
    plain = compiled(net, small, "never")
    assert cores(image) <= cores(plain)
    for each in (image, plain):
        found = Program(each).run(feed)
        assert_accurate(found, onnx_results(net.model(), feed), 0.2)


def wide_layers() -> Network:
    """Products of 48 rows each: whatever is cut is cut between columns."""
    net = Network(seed=7)
    x = net.input("N", 48)
    taken = [net.node("Relu", net.node("MatMul", x, net.weight(48, 13, sums=48))) for _ in range(6)]
    taken.append(net.node("MatMul", x, net.weight(48, 42, sums=48)))
    net.outputs += taken
    return net


def test_cuts_between_columns_change_no_bit(small: Path) -> None:
    """Six layers of 13 columns and one of 42 fill six crossbars of 20: none fits beside another."""
    net = wide_layers()
    plain, dense = (compiled(net, small, packing) for packing in ("always", "densest"))
    assert (cores(plain), cores(dense)) == (9, 6)
    pieces = Counter(tile["layer"] for tile in dense.mapping["tiles"])
    assert max(pieces.values()) > 1
    feed = net.feed(5, seed=2)
    found, expected = (Program(image).run(feed) for image in (dense, plain))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_layers_are_cut_where_nothing_else_fits(tmp_path: Path) -> None:
    """`auto` cuts only if the chip is too small otherwise."""
    path = tmp_path / "eight.toml"
    text = SMALL.format(rows=48, columns=20)
    path.write_text(text.replace("rows = 40\ncolumns = 40", "rows = 1\ncolumns = 8"))
    net = wide_layers()
    image = compiled(net, path, "auto")
    assert cores(image) == 6
    assert_same_bits(image, net.feed(3, seed=1))
    with pytest.raises(CompileError, match="needs 9 cores") as caught:
        compiled(net, path, "always")
    assert caught.value.hint is not None and "--packing densest" in caught.value.hint
