"""A node that is at fault is named, with the reason in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.errors import CompileError, ModelError
from anacc.frontend import import_model
from anacc.frontend.evaluation import reason_of
from tests.frontend.check import floats, model

W44: dict[str, Any] = {"w": floats(4, 4)}


@pytest.mark.parametrize(
    ("text", "constants", "message"),
    [
        (
            "g (int64[N,4] x) => (float[N,4] y) { y = MatMul (x, w) }",
            W44,
            "node `MatMul:y` (MatMul) does not take the types of `x` int64, `w` float32: "
            "B has inconsistent type tensor(float)",
        ),
        (
            "g (uint64[N,1,4,4] x) => (uint64[N,1,2,2] y) { y = Conv (x, k) }",
            {"k": np.ones((1, 1, 3, 3), np.uint64)},
            "node `Conv:y` (Conv) does not take the types of `x` uint64, `k` uint64: "
            "X cannot have type tensor(uint64)",
        ),
        (
            "g (float[N,3] x) => (float[N,3] y) { a = Add (c, w) y = Add (x, a) }",
            {"c": np.ones(4, np.int32), **W44},
            "node `Add:a` (Add) does not take the types of `c` int32, `w` float32: "
            "B has inconsistent type tensor(float)",
        ),
    ],
)
def test_types_that_no_operator_takes(text: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        import_model(model(text, **constants))
    assert caught.value.message == message


@pytest.mark.parametrize(
    "text",
    [
        "g (float[N,3] x) => (float[N,4] y) { y = Gemm (x, w) }",
        "g (float[N,3] x, float[N,M] z) => (float[N,4] y) { u = Relu (z) y = Gemm (x, w) }",
        "g (float[5,3] x) => (float[5,4] y) { y = Gemm (x, w) }",
    ],
)
def test_a_misfit_whatever_the_sizes_is_the_fault_of_the_node(text: str) -> None:
    with pytest.raises(ModelError, match=r"node `Gemm:y`.*Dimension mismatch.* 4 and 3$") as caught:
        import_model(model(text, **W44))
    assert "batch" not in caught.value.message


def test_a_misfit_of_some_sizes_is_a_lack_of_sizes() -> None:
    with pytest.raises(CompileError, match="dimension `K` of input `x` has no size"):
        import_model(model("g (float[N,K] x) => (float[N,4] y) { y = Gemm (x, w) }", **W44))


PLACE = "/onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:87 virtual OrtValue* "
RUNNING = "Non-zero status code returned while running Conv node. Name:'c' Status Message: "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : Node (n) Op (Gemm) [ShapeInferenceError] No", "No"),
        (RUNNING + PLACE + "onnxruntime::A::B(int, const onnxruntime::T&) [ONNXRuntimeError] : 1 "
         ": FAIL : Size overflowed\n", "Size overflowed"),
        (RUNNING + PLACE + "onnxruntime::A::B(int) const a == b was false. It is 1. No", "It is 1"),
        (RUNNING + "concatbase.h:135 Prepare Axes must match: 4 and 3",
         "Axes must match: 4 and 3"),
        ("[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. In Node, (\"\", Foo, "
         "\"\", -1) : () -> () , Error No Op registered for Foo", "No Op registered for Foo"),
        ("", "RuntimeError"),
    ],
)  # fmt: skip
def test_reasons_of_onnx_runtime(text: str, reason: str) -> None:
    shown = reason_of(RuntimeError(text)).removeprefix("node `c` (Conv): ")
    assert shown.removeprefix("node `n` (Gemm): ") == reason


def test_onnx_runtime_writes_nothing_itself(capfd: pytest.CaptureFixture[str]) -> None:
    proto = model(
        "g (float[N,4] x) => (float[N,1] y) { y = Gather <axis=1> (x, i) }", i=np.array([11])
    )
    source = import_model(proto).source
    with pytest.raises(ModelError, match=r"node `Gather:y` \(Gather\): .*out of data bounds"):
        source.activations({"x": floats(2, 4)}, ["y"])
    assert capfd.readouterr() == ("", "")
