"""Small quantised graphs, one for each way in which integers meet the chip: its border, moves,
readers that are not on it, grids that differ, other integer types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper, parser

from anacc import Program
from anacc.compiler import compile_image
from tests.end_to_end.checks import assert_accurate, assert_same_bits, precise_target
from tests.end_to_end.quantised import plain_results

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


RNG = np.random.default_rng(3)
CODES = RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8)
MATRIX = RNG.integers(-127, 128, (10, 5)).astype(np.int8)
GRIDS: dict[str, Any] = {
    "s": np.float32(0.02),
    "t": np.float32(0.03),
    "i0": np.int8(0),
    "i12": np.int8(12),
    "low": np.int8(-128),
    "u0": np.uint8(0),
    "u110": np.uint8(110),
    "u128": np.uint8(128),
    "w": CODES,
    "wide": np.where(CODES > 120, -128, CODES).astype(np.int8),
    "columns": np.linspace(0.001, 0.004, 6, dtype=np.float32),
    "none": np.zeros(6, np.int8),
    "ws": np.float32(0.003),
    "b": RNG.integers(-3000, 3000, 6).astype(np.int32),
    "bs": np.float32(0.0001),
    "bz": np.int32(0),
    "m": MATRIX,
    "perm": np.array([0, -1], np.int64),
    "flat": np.array([0, -1], np.int64),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    "i5": np.int8(5),
    "long": np.float32(0.0002),
    "h0": np.int16(0),
    "one": np.float32(1.0),
}
WEIGHT = "W = DequantizeLinear <axis=0> (w, columns, none)  B = DequantizeLinear (b, bs, bz)"
X = "float[N,4,6,6] x"
Y = "float[N,6,a,c] y"

CASES: dict[str, tuple[str, int]] = {
    "symmetric": (
        f"g ({X}) => ({Y}) {{ {WEIGHT} q = QuantizeLinear (x, s, i0) "
        "r = DequantizeLinear (q, s, i0) y = Conv <pads=[1,1,1,1]> (r, W, B) }",
        0,
    ),
    "a zero point of its own, kept between crossbars, and padded": (
        f"g ({X}) => (float[N,6,a,c] y) {{ {WEIGHT} "
        "V = DequantizeLinear <axis=0> (square, columns, none) "
        "q = QuantizeLinear (x, s, i0) r = DequantizeLinear (q, s, i0) c1 = Conv (r, W, B) "
        "d = QuantizeLinear (c1, t, i12) e = DequantizeLinear (d, t, i12) "
        "y = Conv <pads=[1,2,2,1]> (e, V) }",
        0,
    ),
    "a relu by saturation": (
        f"g ({X}) => (float[N,6,a,c] y) {{ {WEIGHT} "
        "V = DequantizeLinear <axis=0> (square, columns, none) c1 = Conv (x, W, B) "
        "d = QuantizeLinear (c1, t, low) e = DequantizeLinear (d, t, low) "
        "y = Conv <pads=[1,1,1,1]> (e, V) }",
        0,
    ),
    "weights of -128, moved": (
        f"g ({X}) => ({Y}) {{ W = DequantizeLinear (wide, ws, i0) q = QuantizeLinear (x, s, u110) "
        "r = DequantizeLinear (q, s, u110) y = Conv (r, W) }",
        0,
    ),
    "integers at the border, small zero point": (
        f"g (int8[N,4,6,6] x) => (int8[N,6,a,c] y) {{ {WEIGHT} r = DequantizeLinear (x, s, i12) "
        "c = Conv <pads=[1,0,0,1]> (r, W, B) y = QuantizeLinear (c, t, i5) }",
        0,
    ),
    "integers at the border, unsigned": (
        f"g (uint8[N,4,6,6] x) => (uint8[N,6,a,c] y) {{ {WEIGHT} r = DequantizeLinear (x, s, u0) "
        "c = Conv <pads=[1,1,1,1]> (r, W, B) y = QuantizeLinear (c, t, u128) }",
        0,
    ),
    "integers at the border, moved before and after": (
        f"g (uint8[N,6,6,4] x) => (uint8[N,v] y) {{ {WEIGHT} "
        "x1 = Transpose <perm=[0,3,1,2]> (x) r = DequantizeLinear (x1, s, u110) "
        "c = Conv (r, W, B) q = QuantizeLinear (c, t, u128) y = Reshape (q, flat) }",
        0,
    ),
    "moves of integers": (
        f"g ({X}) => ({Y}) {{ {WEIGHT} q = QuantizeLinear (x, s, u110) "
        "p = MaxPool <kernel_shape=[2,2]> (q) u = Pad (p, pads, u0) "
        "left = Transpose <perm=[0,1,3,2]> (u) "
        "joined = Concat <axis=2> (left, u) r = DequantizeLinear (joined, s, u110) "
        "y = Conv (r, W, B) }",
        0,
    ),
    "integers that a reshape leaves as they are": (
        f"g (int8[N,4,6,6] x) => ({Y}) {{ {WEIGHT} k = Reshape (x, same) "
        "r = DequantizeLinear (k, s, i5) y = Conv (r, W, B) }",
        0,
    ),
    "several readers": (
        f"g ({X}) => ({Y}, float[N,6,e,f] z) {{ {WEIGHT} q = QuantizeLinear (x, s, i0) "
        "r1 = DequantizeLinear (q, s, i0) r2 = DequantizeLinear (q, s, i0) "
        "y = Conv (r1, W, B) k = Relu (x) z = Conv <pads=[1,1,1,1]> (r2, W) "
        " }",
        0,
    ),
    "a value that is read before and after it is quantised": (
        f"g ({X}) => ({Y}, float[N,6,e,f] z) {{ {WEIGHT} "
        "V = DequantizeLinear <axis=0> (square, columns, none) c = Conv (x, W, B) "
        "q = QuantizeLinear (c, t, i0) r = DequantizeLinear (q, t, i0) "
        "y = Conv (r, V) z = Relu (c) }",
        0,
    ),
    "the host reads integers": (
        f"g ({X}) => ({Y}, int8[N,6,e,f] z) {{ {WEIGHT} "
        "V = DequantizeLinear <axis=0> (square, columns, none) c = Conv (x, W, B) "
        "q = QuantizeLinear (c, t, i12) r = DequantizeLinear (q, t, i12) y = Conv (r, V) "
        "z = Abs (q) }",
        1,
    ),
    "the host reads real numbers, by two names": (
        f"g ({X}) => ({Y}, float[N,6,e,f] z) {{ {WEIGHT} "
        "V = DequantizeLinear <axis=0> (square, columns, none) c = Conv (x, W, B) "
        "q = QuantizeLinear (c, t, i12) r = DequantizeLinear (q, t, i12) y = Conv (r, V) "
        "p = DequantizeLinear (q, t, i12) z = Erf (p) }",
        1,
    ),
    "the host gives integers": (
        f"g (int8[N,4,6,6] x) => ({Y}) {{ {WEIGHT} a1 = Abs (x) r = DequantizeLinear (a1, s, i5) "
        "y = Conv <pads=[1,1,1,1]> (r, W, B) }",
        1,
    ),
    "a grid that is read as another": (
        f"g ({X}) => ({Y}) {{ {WEIGHT} q = QuantizeLinear (x, s, i0) "
        "r = DequantizeLinear (q, t, i5) y = Conv (r, W, B) }",
        0,
    ),
    "sixteen bits": (
        f"g ({X}) => ({Y}) {{ {WEIGHT} q = QuantizeLinear (x, long, h0) "
        "r = DequantizeLinear (q, long, h0) y = Conv (r, W, B) }",
        0,
    ),
    "weights of four bits": (
        "g (float[N,10] x) => (float[N,5] y) { M = DequantizeLinear (four, ws) y = MatMul (x, M) }",
        0,
    ),
    "weights in blocks": (
        "g (float[N,10] x) => (float[N,5] y) { M = DequantizeLinear <axis=0, block_size=5> "
        "(m, blocks) y = MatMul (x, M) }",
        0,
    ),
    "a product of integers": (
        "g (float[N,10] x) => (float[N,5] y) { q = QuantizeLinear (x, s, u110) "
        "p = MatMulInteger (q, m, u110) f = Cast <to=1> (p) y = Mul (f, both) }",
        0,
    ),
    "a dynamically quantised product": (
        "g (float[N,10] x) => (float[N,5] y) { q, qs, qz = DynamicQuantizeLinear (x) "
        "p = MatMulInteger (q, m, qz) f = Cast <to=1> (p) k = Mul (qs, ws) y = Mul (f, k) }",
        0,
    ),
    "a convolution of integers": (
        f"g ({X}) => ({Y}) {{ q = QuantizeLinear (x, s, u110) "
        "p = ConvInteger <pads=[1,1,1,1]> (q, w, u110) f = Cast <to=1> (p) y = Mul (f, both) }",
        0,
    ),
    "products of integers with a matrix for each group": (
        "g (int8[N,3,7,10] x) => (int8[N,3,7,5] y) "
        "{ y = QLinearMatMul (x, s, i12, groups, ws, i0, t, i5) }",
        0,
    ),
    "products of integers with a matrix for each group on the left": (
        "g (int8[N,3,5,7] x) => (int8[N,3,10,7] y) "
        "{ y = QLinearMatMul (groups, ws, i0, x, s, i12, t, i5) }",
        0,
    ),
    "an operator on integers that the host runs": (
        f"g ({X}) => ({Y}) {{ {WEIGHT} "
        "q = QuantizeLinear (x, s, i0) c = QLinearConv (q, s, i0, w, columns, none, t, i12, b) "
        "a1 = Abs (c) d = QLinearConv <pads=[1,1,1,1]> "
        "(a1, t, i12, square, columns, none, t, i5) y = DequantizeLinear (d, t, i5) }",
        1,
    ),
}
GRIDS["same"] = np.array([0, 4, 6, 6], np.int64)
GRIDS["square"] = RNG.integers(-127, 128, (6, 6, 3, 3)).astype(np.int8)
GRIDS["groups"] = RNG.integers(-127, 128, (3, 10, 5)).astype(np.int8)
GRIDS["four"] = RNG.integers(-8, 8, (10, 5)).astype(ml_dtypes.int4)
GRIDS["blocks"] = np.linspace(0.001, 0.004, 10, dtype=np.float32).reshape(2, 5)
GRIDS["both"] = np.float32(0.02 * 0.003)


def model_of(text: str) -> onnx.ModelProto:
    """The model of a graph's text; the constants above become initialisers."""
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    read = {name for node in proto.graph.node for name in node.input}
    for name, value in GRIDS.items():
        if name in read:
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return proto


def feeds_of(model: onnx.ModelProto) -> list[dict[str, Array]]:
    """Feeds of three samples that fill about all of the range of the grids."""
    kind = model.graph.input[0].type.tensor_type
    shape = [3, *(dim.dim_value for dim in kind.shape.dim[1:])]
    rng = np.random.default_rng(1)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype == np.float32:
        return [{"x": rng.normal(0, 0.8, shape).astype(np.float32)} for _ in range(3)]
    limits = np.iinfo(dtype)
    return [{"x": rng.integers(limits.min, limits.max + 1, shape).astype(dtype)} for _ in range(3)]


@pytest.mark.parametrize("case", CASES)
def test_case(precise: Path, case: str) -> None:
    """All executors give the same bits, and what ONNX Runtime gives for the graph as it is.

    Two layers at most, whose input errs twice as much as a code (symmetric codes lose a bit), and
    all of that again as ONNX Runtime rounds too: see `assert_accurate`.  An integer may be the
    next one.
    """
    text, segments = CASES[case]
    model = model_of(text)
    feeds = feeds_of(model)
    image, _ = compile_image(model, target=precise, calibration=feeds)
    assert len(image.segments) == segments
    assert_same_bits(image, feeds[0])
    program = Program(image)
    for feed in feeds:
        found, expected = program.run(feed), plain_results(model, feed)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            real = ({name: each[name].astype(np.float32)} for each in (found, expected))
            least = 0.0 if array.dtype == np.float32 else 1.0
            assert_accurate(next(real), next(real), noise=0.1, least=least)


def test_what_a_model_loses_is_reported(precise: Path) -> None:
    model = model_of(CASES["weights of -128, moved"][0])
    image, _ = compile_image(model, target=precise, calibration=feeds_of(model))
    found = {entry["tensor"]: entry for entry in Program(image).report()["quantisation"]}
    beyond = int(np.count_nonzero(GRIDS["wide"] == -128))
    assert beyond and found["W"]["codes_saturated"] == beyond
    assert (found["W"]["kind"], found["W"]["bits_lost"]) == ("weight", 0.0)
    # A zero point of 110 - 128: 110 codes below, 145 above.
    assert found["q"]["bits_lost"] == pytest.approx(np.log2(145 / 127), abs=1e-3)


@pytest.mark.parametrize("name", ["micro_kws_qdq", "mlperf_kws_ref_model"])
def test_real_models_leave_only_the_softmax_to_the_host(anacc_models: Path, name: str) -> None:
    image, _ = compile_image(anacc_models / f"{name}.onnx")
    report = Program(image).report()
    assert len(image.segments) == 1
    assert report["macs"]["host"] == 0 and report["macs"]["crossbar"] > 10**6
    operators = {n for part in report["host"] for n in part["reasons"]}
    assert "the chip has no operator Softmax" in operators
