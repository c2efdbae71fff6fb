"""Quantised models: what integers become, and which stay with the host."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from anacc.frontend import import_model
from tests.frontend.check import Array, check, floats, host_reason, model

CODES = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
GRID: dict[str, Any] = {"s": np.float32(0.05), "z": np.int8(3)}


def proto_array(proto: onnx.ModelProto, name: str) -> Array:
    """An initialiser by name."""
    return next(
        numpy_helper.to_array(each) for each in proto.graph.initializer if each.name == name
    )


def test_a_pair() -> None:
    check(
        model(
            """g (float[N,4] x) => (float[N,4] y) {
                q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)
            }""",
            **GRID,
        ),
        "quantise",
        "dequantise",
    )


def test_a_scale_for_each_channel_of_an_activation() -> None:
    proto = model(
        "g (float[N,4] x) => (int8[N,4] y) { y = QuantizeLinear <axis=1> (x, s, z) }",
        s=np.full(4, 0.1, np.float32),
        z=np.zeros(4, np.int8),
    )
    reason = host_reason(proto)
    assert reason.endswith("its scale is one positive constant, and its zero point one constant")


def test_codes_are_kept_column_by_column() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,6] y) {
            w = DequantizeLinear <axis=1> (q, scale)  y = Gemm (x, w, b)
        }""",
        q=CODES,
        scale=np.linspace(0.1, 0.6, 6, dtype=np.float32),
        b=floats(6),
    )
    module = check(proto, "linear", "affine")
    np.testing.assert_array_equal(module.constants["@y.codes"], CODES)
    assert not module.recoded


@pytest.mark.parametrize(
    ("zero", "bits"),
    [(np.uint8(128), None), (np.uint8(0), 1.0), (np.uint8(255), 1.0)],
    ids=["fits", "all positive", "all negative"],
)
def test_weights_that_leave_the_codes_are_quantised_anew(zero: Any, bits: float | None) -> None:
    proto = model(
        """g (float[N,2] x) => (float[N,2] y) {
            w = DequantizeLinear (q, scale, zero)  y = MatMul (x, w)
        }""",
        q=np.array([[1, 254], [200, 3]], np.uint8),
        scale=np.float32(0.01),
        zero=zero,
    )
    if bits is None:
        check(proto, "linear", "affine")
        return
    module = check(proto, "linear")
    (entry,) = module.recoded
    assert (entry.tensor, entry.kind) == ("w", "weight")
    assert entry.bits == pytest.approx(bits, abs=0.02)


def test_qlinear_operators_are_one_node_each() -> None:
    proto = model(
        """g (int8[N,4] x) => (int8[N,6] y) {
            y = QLinearMatMul (x, s, z, w, t, o, s, z)
        }""",
        w=CODES,
        t=np.float32(0.01),
        o=np.int8(0),
        **GRID,
    )
    module = import_model(proto)
    assert [op.kind for op in module.ops] == ["dequantise", "linear", "affine", "quantise"]
    assert len({op.origins for op in module.ops}) == 1


def test_an_operand_of_integers_that_is_repeated_has_values_for_calibration() -> None:
    """As a squeeze-and-excitation block scales the channels of an image."""
    proto = model(
        """g (int8[N,2,3,3] x, int8[N,2,1,1] gate) => (float[N,2,3,3] y) {
            q = com.microsoft.QLinearMul (x, s, z, gate, t, z, s, z)
            y = DequantizeLinear (q, s, z)
        }""",
        t=np.float32(0.01),
        **GRID,
    )
    proto.opset_import.add(domain="com.microsoft", version=1)
    module = check(
        proto, "dequantise", "dequantise", "expand", "multiply", "quantise", "dequantise"
    )
    (repeated,) = module.ops[2].results
    gate = np.array([[-7, 103]], np.int8).reshape(1, 2, 1, 1)
    feed = {"x": np.zeros((1, 2, 3, 3), np.int8), "gate": gate}
    found = module.source.activations(feed, (repeated,))[repeated]
    np.testing.assert_allclose(np.unique(found), [-0.1, 1.0], rtol=1e-6)


@pytest.mark.parametrize("columns", [False, True], ids=["for each direction", "for each column"])
def test_a_dynamically_quantised_lstm_is_an_lstm(columns: bool) -> None:
    rng = np.random.default_rng(2)
    w, r = (rng.integers(-128, 128, (2, rows, 20)).astype(np.int8) for rows in (3, 5))
    shape = (2, 20) if columns else (2,)
    proto = model(
        """g (float[7,N,3] x) => (float[7,2,N,5] y) {
            y = com.microsoft.DynamicQuantizeLSTM <hidden_size=5, direction="bidirectional">
                (x, w, r, b, , , , , ws, wz, rs, rz)
        }""",
        w=w,
        r=r,
        b=floats(2, 40),
        ws=rng.uniform(0.001, 0.01, shape).astype(np.float32),
        rs=rng.uniform(0.001, 0.01, shape).astype(np.float32),
        wz=rng.integers(-9, 9, shape).astype(np.int8),
        rz=np.zeros(shape, np.int8),
    )
    proto.opset_import.add(domain="com.microsoft", version=1)
    module = import_model(proto)
    (op,) = module.ops
    assert op.kind == "lstm"
    scale, zero = (proto_array(proto, name).reshape(2, 1, -1) for name in ("ws", "wz"))
    real = ((w - zero.astype(np.float32)) * scale).transpose(0, 2, 1)
    np.testing.assert_allclose(module.constants[op.operands[1]], real, rtol=1e-6)


DYNAMIC = """g (float[N,4] x) => (float[N,6] y) {
    q, qs, qz = DynamicQuantizeLinear (x)
    p = MatMulInteger (q, w, qz)
    f = Cast <to=1> (p)
    k = Mul (qs, s)
    %s
}"""


def test_a_dynamically_quantised_product_is_one_op() -> None:
    module = import_model(model(DYNAMIC % "y = Mul (f, k)", w=CODES, **GRID))
    assert [op.kind for op in module.ops] == ["linear", "affine"]
    assert all(len(op.origins) == 5 for op in module.ops)


def test_a_dynamic_scale_that_something_else_reads() -> None:
    """The nodes are then imported one by one."""
    proto = model(DYNAMIC % "n = Mul (f, k)  y = Add (n, qs)", w=CODES, **GRID)
    check(proto, *["host"] * 6)


@pytest.mark.parametrize(
    ("text", "condition", "hint"),
    [
        (
            "g (int8[N,4] x) => (int8[N,6] y) { y = QLinearMatMul (x, ss, z, w, s, z, s, z) }",
            "its scale is one positive constant, and its zero point one constant",
            "quantise with one scale for the whole tensor",
        ),
        (
            "g (int8[N,4] x) => (int8[N,6] y) { y = QLinearMatMul (x, s, z, w, s, z, ss, z) }",
            "its scale is one positive constant, and its zero point one constant",
            "quantise with one scale for the whole tensor",
        ),
        (
            "g (int8[N,4,4] x) => (int8[N,4,4] y) { y = QLinearMatMul (x, s, z, x, s, z, s, z) }",
            "one of its two operands is a constant: a product of two activations is digital",
            "leave it to the host: crossbars hold constants only, so that products of two "
            "activations stay digital",
        ),
    ],
)
def test_reasons_and_hints_of_operators_on_integers(text: str, condition: str, hint: str) -> None:
    proto = model(text, w=CODES, ss=np.full(4, 0.1, np.float32), **GRID)
    used = {name for node in proto.graph.node for name in node.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    (op,) = import_model(proto).ops
    assert op.attributes["reasons"] == (f"it runs on the chip only if {condition}",)
    assert op.attributes["hints"] == (hint,)
