"""The ONNX node tests of convolutions and products, all inputs but one baked in as constants: they
run on crossbars, and give what ONNX says they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from anacc.compiler import compile_image
from anacc.frontend.reading import NEWEST_OPSET
from tests.end_to_end.checks import assert_accurate, assert_same_bits, precise_target
from tests.onnx_backend.cases import cases_of

Array = npt.NDArray[Any]

MODULES = ("conv", "convtranspose", "einsum", "gemm", "matmul")
CONVOLUTIONS = ("test_basic_conv_", "test_conv_", "test_convtranspose")
PRODUCTS = ("test_gemm_", "test_matmul_", "test_einsum_batch_matmul", "test_einsum_inner_prod")
"""Either operand may be the activation.  Other sums of Einstein are no products."""
OTHER_TYPES = ("_bfloat16",)


def cases() -> dict[str, tuple[onnx.ModelProto, list[Array], list[Array], int]]:
    """Models with their inputs and outputs, and which input stays one."""
    tests = [case for module in MODULES for case in cases_of(module)]
    found = {}
    for test in tests:
        wanted = test.name.startswith((*CONVOLUTIONS, *PRODUCTS))
        if not wanted or test.name.endswith(OTHER_TYPES) or not (test.model and test.data_sets):
            continue
        inputs, outputs = (list(arrays) for arrays in test.data_sets[0])
        for kept in (0, 1) if test.name.startswith(PRODUCTS) else (0,):
            name = f"{test.name.removeprefix('test_')}-{'left' if kept == 0 else 'right'}"
            found[name] = (test.model, inputs, outputs, kept)
    return found


CASES = cases()


def baked(model: onnx.ModelProto, inputs: list[Array], kept: int) -> onnx.ModelProto:
    """The model in float32, all inputs but one being constants."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.input[:], result.opset_import[:]
    version = min(model.opset_import[0].version, NEWEST_OPSET)
    result.opset_import.append(onnx.helper.make_opsetid("", version))
    for position, (entry, array) in enumerate(zip(model.graph.input, inputs, strict=True)):
        if position == kept:
            result.graph.input.append(entry)
        else:
            tensor = numpy_helper.from_array(array.astype(np.float32), entry.name)
            result.graph.initializer.append(tensor)
    for entry in (*result.graph.input, *result.graph.output):
        entry.type.tensor_type.elem_type = TensorProto.FLOAT
    return result


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


@pytest.mark.parametrize("name", CASES)
def test_node(precise: Path, name: str) -> None:
    model, inputs, outputs, kept = CASES[name]
    proto = baked(model, inputs, kept)
    feed = {proto.graph.input[0].name: inputs[kept].astype(np.float32)}
    image, _ = compile_image(proto, target=precise, calibration=[feed])
    assert not image.segments
    found = assert_same_bits(image, feed)
    expected = [array.astype(np.float32) for array in outputs]
    names = [entry.name for entry in proto.graph.output]
    least = half_steps(*inputs) if expected[0].size == 1 else 0.0
    assert_accurate(found, dict(zip(names, expected, strict=True)), noise=0.06, least=least)


def half_steps(x: Array, w: Array) -> float:
    """How far off a single sum of products is if all its codes are off by half an LSB the same way:
    with one result there is no spread to measure an error by, and large terms may cancel."""
    x, w = np.abs(x), np.abs(w)
    return float(x.max() * w.sum() + w.max() * x.sum()) / 254
