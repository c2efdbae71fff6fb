"""The matrices of a network as the mapper gets them are those of its publication."""

from __future__ import annotations

import pytest

from bench import shapes
from bench.matrices import Matrix, main, matrices
from bench.networks import RESNET9


def test_matrices_of_resnet9() -> None:
    """Sizes of Fig. 3a of the HERMES publication."""
    found = matrices(shapes.build("resnet-9"))
    sizes = [(27, 56), (504, 112), (1008, 112), (1008, 112), (1008, 224)]
    sizes += [(2016, 224)] * 3 + [(224, 10)]
    assert [(each.rows, each.columns) for each in found] == sizes
    assert [each.positions for each in found] == [1024, 1024, 256, 256, 256, 64, 16, 16, 1]
    assert sum(each.weights for each in found) == RESNET9.weights == 1_866_536
    assert sum(each.weights * each.positions for each in found) == RESNET9.multiply_adds


def test_matrices_of_an_lstm() -> None:
    assert matrices(shapes.build("ptb-lstm")) == [
        Matrix("lstm (input)", 128, 2016, 1, 100),
        Matrix("lstm (state)", 504, 2016, 1, 100),
        Matrix("dense.product", 504, 50, 1, 100),
    ]


def test_groups_are_matrices_of_their_own() -> None:
    """MobileNetV2 has 300 million multiply-accumulates (arXiv 1801.04381, table 4)."""
    found = matrices(shapes.build("mobilenet-v2"))
    assert found[1] == Matrix("stage1.0.depthwise", 9, 1, 32, 112**2)
    assert sum(each.weights for each in found) == 3_469_760
    assert sum(each.weights * each.positions for each in found) == 300_774_272


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain-4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "2 layers, 2,048 weights, 2,048 multiply-accumulates a sample"
    assert main(["chain-no"]) == 2
