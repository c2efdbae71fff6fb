"""A model that needs more cores than the chip has, and a chip that has them."""

from __future__ import annotations

from pathlib import Path

import pytest

import anacc
from anacc.errors import CompileError
from tests.end_to_end.checks import assert_same_bits
from tests.end_to_end.network import Network

LARGE = """\
inherit = "hermes"
[grid]
rows = 9
columns = 9
"""


def network() -> Network:
    """Two layers of 5 x 8 and 8 x 4 crossbars, each of them full, and a small one."""
    net = Network(1)
    x = net.input("N", 5 * 256)
    for number, (rows, columns) in enumerate([(1280, 2048), (2048, 1024), (1024, 10)]):
        x = net.node("MatMul", x, net.weight(rows, columns, sums=rows))
        x = net.node("Relu", x) if number < 2 else x
    net.outputs.append(x)
    return net


@pytest.mark.parametrize("packing", ["auto", "always", "never"])
def test_error_names_the_number_and_the_layers(packing: str) -> None:
    net = network()
    with pytest.raises(CompileError) as caught:
        anacc.compile(net.model(), calibration=net.feed(1, seed=1), packing=packing)
    # 40 + 32 full crossbars; the last layer has 4 tiles of 256 x 10, which can share one.
    needed = 76 if packing == "never" else 73
    message = caught.value.message
    assert f"needs {needed} cores" in message and "has 64" in message
    assert "`MatMul_0` (40), `MatMul_2` (32)" in message
    assert "\n" not in message
    assert caught.value.hint is not None and "grid.rows" in caught.value.hint


def test_larger_chip_holds_it(tmp_path: Path) -> None:
    net = network()
    target = tmp_path / "large.toml"
    target.write_text(LARGE, encoding="utf-8")
    feed = net.feed(2, seed=1)
    program = anacc.compile(net.model(), target=target, calibration=feed)
    assert 73 <= program.report()["cores"]["used"] <= 81
    assert_same_bits(program.image, feed)
