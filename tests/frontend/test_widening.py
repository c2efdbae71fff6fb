"""Models in other float types than float32 reach the crossbars and keep their types outside."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import numpy_helper

import anacc
from anacc.frontend import import_model
from tests.frontend.check import floats, model

TYPES: dict[str, Any] = {
    "float16": np.float16,
    "double": np.float64,
    "bfloat16": ml_dtypes.bfloat16,
}
CHAIN = """g (T[N,3] x) => (T[N,4] y, T[N,3] z, T[N,3] e) {
    m = MatMul (x, w)
    c = Cast <to=1> (m)
    two = Constant <value = float[1] {2.0}> ()
    p = Mul (c, two)
    q = CastLike (p, x)
    y = Relu (q)
    z = Identity (x)
    e = Exp (x)
}"""


@pytest.mark.parametrize("name", TYPES)
def test_products_of_all_float_types_run_on_crossbars(name: str) -> None:
    kind = TYPES[name]
    weight = floats(3, 4).astype(kind)
    proto = model(CHAIN.replace("T[", f"{name}["), w=weight)
    at_ports = np.float32 if name == "bfloat16" else kind
    x = floats(5, 3, seed=3).astype(kind).astype(at_ports)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program = anacc.compile(proto, calibration={"x": x})
    note = str(caught[0].message)
    assert f"multiplies in {'float64' if name == 'double' else name}" in note
    assert note in program.report()["warnings"]
    assert ("`x`, `y`" in note) == (name == "bfloat16")
    macs = program.report()["macs"]
    assert (macs["crossbar"], macs["host"], macs["crossbar_share"]) == (12, 0, 1.0)
    exact = np.maximum(2 * (x.astype(np.float64) @ weight.astype(np.float64)), 0)
    both = [program.run({"x": x}, executor=each) for each in ("native", "reference")]
    for outputs in both:
        assert {array.dtype for array in outputs.values()} == {np.dtype(at_ports)}
        # 8-bit codes and the converter's counts: a few hundredths of the full scale.
        assert np.abs(outputs["y"] - exact).max() < 0.05 * np.abs(exact).max()
        np.testing.assert_array_equal(outputs["z"], x.astype(np.float32).astype(at_ports))
        np.testing.assert_allclose(outputs["e"], np.exp(x.astype(np.float64)), rtol=2e-3)
    assert all(np.array_equal(both[0][key], both[1][key]) for key in both[0])


def test_a_type_without_products_stays() -> None:
    """Nothing of it could run on a crossbar; so its host keeps the bits."""
    proto = model(
        "g (float[N,3] x, double[N,3] d) => (float[N,4] y, double[N,3] e) "
        "{ y = MatMul (x, w)  e = Exp (d) }",
        w=floats(3, 4),
    )
    source = import_model(proto).source
    assert [port.dtype for port in source.ports.outputs] == ["float32", "float64"]
    assert source.types["e"].dtype == "float64" and not source.notes


def test_products_that_fold_do_not_count() -> None:
    """Exporters compute tables of positions in float64."""
    proto = model(
        "g (float[N,3] x, double[N,3,3] d) => (float[N,4] y, double[N,3,3] e) { y = MatMul (x, w)"
        "  t = MatMul (a, a)  s = Add (d, t)  e = Exp (s) }",
        w=floats(3, 4),
        a=floats(3, 3).astype(np.float64),
    )
    source = import_model(proto, shapes=None).source
    assert source.types["e"].dtype == "float64" and not source.notes


def test_types_in_attributes_and_inner_graphs() -> None:
    branch = "(float16[N,4] u) { u = MatMul (h, w) }"
    proto = model(
        "g (float[N,3] x, bool k) => (float[N,4] y) { h = Cast <to=10> (x)"
        f" a = If (k) <then_branch = t () => {branch},"
        " else_branch = e () => (float16[N,4] u) { z = ConstantOfShape <value = float16[1] {1}> (s)"
        "  u = Add (z, r) }>"
        " y = Cast <to=1> (a) }",
        r=floats(1, 4).astype(np.float16),
        s=np.array([1, 4]),
    )
    inner = proto.graph.node[1].attribute[0].g
    inner.initializer.append(numpy_helper.from_array(floats(3, 4).astype(np.float16), "w"))
    program = anacc.compile(proto)
    x = floats(2, 3)
    outputs = program.run({"x": x, "k": np.array(True)})
    np.testing.assert_allclose(outputs["y"], x @ floats(3, 4), atol=2e-2)
    assert outputs["y"].dtype == np.float32


def test_a_model_that_looks_at_bits_stays() -> None:
    proto = model(
        "g (float16[N,3] x) => (float16[N,4] y, uint16[N,3] b) "
        "{ y = MatMul (x, w)  b = BitCast <to=4> (x) }",
        26,
        w=floats(3, 4).astype(np.float16),
    )
    assert [port.dtype for port in import_model(proto).source.ports.inputs] == ["float16"]
