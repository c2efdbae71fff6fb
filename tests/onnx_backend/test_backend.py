"""The backend interface itself: what `onnx.backend.base` promises, and what anacc adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from onnx.backend.base import Backend, BackendRep

import anacc
import anacc.onnx_backend as backend
from anacc.errors import AnaccError, FeedError, ModelError, UsageError
from tests.frontend.check import floats, model

X, W = floats(5, 4), floats(4, 3, seed=1)
PRODUCT = "g (float[N,4] x, float[4,3] w) => (float[N,3] y) { y = MatMul (x, w) }"


def on_crossbars(prepared: backend.AnaccRep) -> bool:
    assert prepared.program is not None
    return bool(prepared.program.image.code.weights) and not prepared.program.report()["host"]


def test_it_is_a_backend() -> None:
    assert issubclass(backend.AnaccBackend, Backend)
    assert isinstance(backend.prepare(model(PRODUCT)), BackendRep)
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    for device in ("CUDA", "CUDA:1", "TPU", "", "CPU:x"):
        assert not backend.supports_device(device)
        assert not backend.is_compatible(model(PRODUCT), device)
        with pytest.raises(UsageError, match=f"there is no device `{device}`"):
            backend.prepare(model(PRODUCT), device)


def test_a_model_runs_as_it_is() -> None:
    prepared = backend.prepare(model(PRODUCT))
    assert prepared.program is None
    (y,) = prepared.run([X, W])
    np.testing.assert_allclose(y, X @ W, rtol=1e-6)
    assert not on_crossbars(prepared)
    np.testing.assert_array_equal(prepared.run({"w": W, "x": X})[0], y)
    found: Any = prepared.run([X[:2], W])
    np.testing.assert_array_equal(found["y"], y[:2])


def test_baked_inputs_lie_on_crossbars() -> None:
    prepared = backend.prepare(model(PRODUCT), baked={"w": W}, target="hermes")
    (y,) = prepared.run(X)
    assert on_crossbars(prepared)
    np.testing.assert_allclose(y, X @ W, atol=0.1)
    for executor in ("native", "reference"):
        (again,) = prepared.run([X], executor=executor, threads=1)
        np.testing.assert_array_equal(again, y)
    found = backend.run_model(model(PRODUCT), [X], baked={"w": W}, bake=True)
    np.testing.assert_array_equal(found[0], y)
    for bake in (True, ["w"]):
        np.testing.assert_array_equal(backend.run_model(model(PRODUCT), [X, W], bake=bake)[0], y)


def test_calibration_compiles_at_once() -> None:
    prepared = backend.prepare(model(PRODUCT), baked={"w": W}, calibration={"x": 100 * X})
    assert prepared.program is not None
    coarse, fine = prepared.run([X])[0], backend.run_model(model(PRODUCT), [X, W], bake=True)[0]
    assert np.std(coarse - X @ W) > 5 * np.std(fine - X @ W)


def test_noise_reaches_the_program() -> None:
    prepared = backend.prepare(model(PRODUCT), baked={"w": W})
    noisy = prepared.run([X], noise=anacc.ConversionNoise(5.0))
    assert not np.array_equal(noisy[0], prepared.run([X])[0])


def test_nodes() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    (exact,) = backend.run_node(node, [X, W])
    np.testing.assert_allclose(exact, X @ W, rtol=1e-6)
    baked: Any = backend.run_node(node, {"x": X, "w": W}, bake=True, read_mode="1-phase")
    assert 0 < np.max(np.abs(baked.y - X @ W)) < 0.2
    clip = helper.make_node("Clip", ["x", "", "high"], ["y"])
    (clipped,) = backend.run_node(clip, [X, np.array(0.5, np.float32)], opset_version=13)
    np.testing.assert_array_equal(clipped, np.minimum(X, np.float32(0.5)))
    lists = helper.make_node("SequenceLength", ["s"], ["n"])
    assert backend.run_node(lists, [[X, W]])[0] == 2
    scaler = helper.make_node(
        "Scaler", ["x"], ["y"], domain="ai.onnx.ml", scale=[2.0], offset=[0.0]
    )
    np.testing.assert_array_equal(backend.run_node(scaler, [X])[0], 2 * X)


def test_one_tensor_twice() -> None:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    np.testing.assert_array_equal(backend.run_node(node, [X])[0], X + X)


@pytest.mark.parametrize("opset", range(7, backend._newest("") + 1))
def test_every_operator_set(opset: int) -> None:
    proto = model("g (float[N,4] x, float[4,3] w) => (float[N,3] y) { y = MatMul (x, w) }", opset)
    assert backend.is_compatible(proto)
    np.testing.assert_allclose(backend.run_model(proto, [X, W], bake=True)[0], X @ W, atol=0.1)


def test_what_is_not_valid_is_not_compatible() -> None:
    broken = model("g (float[N,4] x) => (float[N,4] y) { y = NoSuchOperator (x) }")
    assert not backend.is_compatible(broken)
    with pytest.raises(ModelError, match="is not valid ONNX"):
        backend.prepare(broken)


REFUSED = [
    (lambda: backend.prepare(model(PRODUCT), colour="red"), UsageError, "no option `colour`"),
    (lambda: backend.prepare(model(PRODUCT), bake=True), UsageError, "the options are `baked`"),
    (lambda: backend.prepare(model(PRODUCT)).run([X, W], speed=1), UsageError, "no option `speed`"),
    (lambda: backend.run_model(model(PRODUCT), [X]), FeedError, "there are 1 inputs, not 2: `x`"),
    (lambda: backend.run_model(model(PRODUCT), [X, W.T]), FeedError, "`w` has shape"),
    (lambda: backend.run_model(model(PRODUCT), [X, [[1], [1, 2]]]), FeedError, "`w` is no array"),
    (lambda: backend.run_model(model(PRODUCT), [X, W], bake=["v"]), FeedError, "no input `v` to"),
    (
        lambda: backend.run_node(helper.make_node("Identity", ["x"], ["y"]), [None]),
        FeedError,
        "input `x` is missing",
    ),
    (
        lambda: backend.run_node(helper.make_node("SequenceLength", ["x"], ["y"]), [[]]),
        FeedError,
        "input `x` has no elements",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_wrong_use_is_one_sentence(call: Any, kind: type[AnaccError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in caught.value.message


def test_the_model_stays_as_it_was() -> None:
    proto = model(PRODUCT)
    before: ModelProto = model(PRODUCT)
    backend.run_model(proto, [X, W], bake=True)
    assert proto == before
