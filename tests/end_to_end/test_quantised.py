"""Random networks that ONNX Runtime's quantiser quantised: all executors give the same bits, and
what ONNX Runtime gives for the graph as it is, in float32 between the integers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_dynamic

from anacc import Program
from anacc.compiler import compile_image
from tests.end_to_end.checks import assert_accurate, assert_same_bits, precise_target
from tests.end_to_end.quantised import Recipe, feeds_of, float_model, plain_results, quantised

RECIPES = [
    Recipe(qdq, per_channel, unsigned, symmetric, signed_weights)
    for qdq, per_channel, unsigned, symmetric, signed_weights in itertools.product(
        (True, False), repeat=5
    )
    if unsigned or signed_weights  # the quantiser knows no int8 with uint8 weights
]

NOISE = 0.15
"""Six layers at most.  Each errs by a code in its input, twice (symmetric codes lose a bit), by a
code in its converter, and, where its weights are quantised anew, by one of theirs; ONNX Runtime
rounds its codes too.  That is sqrt(4 + 1 + 1 + 1) = 2.6 % a layer (see `assert_accurate`), 6.5 %
in all; as much again where large terms cancel."""


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


def check(
    model: onnx.ModelProto, feeds: list[dict[str, np.ndarray]], precise: Path, bits: bool
) -> None:
    """Compile for a chip that does not limit the accuracy, run, and compare."""
    image, _ = compile_image(model, target=precise, calibration=feeds)
    assert not image.segments
    if bits:
        assert_same_bits(image, feeds[0])
    program = Program(image)
    found = [program.run(feed)["y"] for feed in feeds]
    expected = [plain_results(model, feed)["y"] for feed in feeds]
    assert_accurate({"y": np.stack(found)}, {"y": np.stack(expected)}, NOISE)


@pytest.mark.parametrize("number", range(len(RECIPES)))
@pytest.mark.parametrize("convolutional", [True, False], ids=["convolutional", "products"])
def test_static(precise: Path, tmp_path: Path, number: int, convolutional: bool) -> None:
    model = float_model(number, convolutional)
    feeds = feeds_of(model, number)
    check(quantised(model, RECIPES[number], feeds, tmp_path), feeds, precise, number % 4 == 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("convolutional", [True, False], ids=["convolutional", "products"])
def test_dynamic(precise: Path, tmp_path: Path, seed: int, convolutional: bool) -> None:
    model = float_model(seed, convolutional)
    onnx.save(model, tmp_path / "model.onnx")
    quantize_dynamic(tmp_path / "model.onnx", tmp_path / "dynamic.onnx", per_channel=seed == 1)
    dynamic = onnx.load(tmp_path / "dynamic.onnx")
    check(dynamic, feeds_of(model, seed), precise, seed == 0)
