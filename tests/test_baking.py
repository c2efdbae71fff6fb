"""Baking inputs into a model, and which inputs are parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anacc
from anacc.baking import parameter_inputs
from anacc.errors import FeedError, UsageError
from tests.frontend.check import floats, model, reference

PRODUCT = "g (float[N,K] x, float[K,3] w) => (float[N,3] y) { y = MatMul (x, w) }"
W = floats(4, 3)


def test_a_baked_model_computes_the_same() -> None:
    proto = model(PRODUCT)
    baked = anacc.bake(proto, {"w": W})
    feed = {"x": floats(2, 4, seed=1)}
    expected = reference(proto, {**feed, "w": W})["y"]
    np.testing.assert_array_equal(reference(baked, feed)["y"], expected)
    assert [entry.name for entry in baked.graph.input] == ["x"]
    # The array tells the size of K.
    assert baked.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 4
    assert [entry.name for entry in proto.graph.input] == ["x", "w"]
    assert not proto.graph.initializer


def test_strings_and_scalars_can_be_baked() -> None:
    proto = model("g (string[N] x, string[] s) => (string[N] y) { y = StringConcat (x, s) }", 20)
    baked = anacc.bake(proto, {"s": np.array("!")})
    feed = {"x": np.array(["a", "b"], object)}
    assert reference(baked, feed)["y"].tolist() == ["a!", "b!"]


def test_old_models_need_not_list_initialisers_as_inputs() -> None:
    proto = model(PRODUCT)
    proto.ir_version = 3
    assert reference(anacc.bake(proto, {"w": W}), {"x": floats(2, 4)})["y"].shape == (2, 3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"v": W}, "there is no input `v` to bake"),
    ({"w": W.astype(np.float64)}, "`w` cannot be baked: the array has element type float64, not f"),
    ({"w": W.T}, r"`w` cannot be baked: the array has shape \(3, 4\), not \(3, 3\)"),
    ({"w": W[0]}, r"`w` cannot be baked: the array has shape \(3,\), not \("),
    ({"w": [[1], [1, 2]]}, "`w` cannot be baked: it is no array"),
    ({"w": W, "x": floats(2, 5)}, r"`x` cannot be baked: the array has shape \(2, 5\), not \(2, 4"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED)
def test_what_does_not_fit_is_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        anacc.bake(model(PRODUCT), arrays)


def test_other_types_are_refused() -> None:
    path: Any = "model.onnx"
    nothing: Any = None
    with pytest.raises(UsageError, match="`model` is an ONNX model, not a value of type str"):
        anacc.bake(path, {})
    with pytest.raises(UsageError, match="`arrays` is a mapping by input name, not NoneType"):
        anacc.bake(model(PRODUCT), nothing)


def test_a_sequence_is_refused() -> None:
    proto = model("g (seq(float[N]) s) => (int64[] n) { n = SequenceLength (s) }")
    with pytest.raises(FeedError, match="`s` cannot be baked: it is of type sequence_float32"):
        anacc.bake(proto, {"s": [W]})


def inputs(*names: str) -> str:
    return ", ".join(f"float[N,4] {name}" for name in names)


@pytest.mark.parametrize(
    ("given", "body", "parameters"),
    [
        (("x", "w"), "y = MatMul (x, w)", ["w"]),
        (("x", "w", "c"), "y = Gemm (x, w, c)", ["w", "c"]),
        # A sum has no parameters: both may be activations.
        (("x", "z"), "y = Add (x, z)", []),
        # What becomes a weight only behind other nodes is one too.
        (("x", "w"), "t = Transpose (w) y = MatMul (x, t)", ["w"]),
        (("w", "x"), "t = Relu (w) u = Add (t, t) y = MatMul (x, u)", ["w"]),
        # What is a weight here and an activation there is an activation.
        (("x", "w"), "t = MatMul (x, w) y = Add (t, w)", []),
        (("x", "w", "r", "b"), "y = LSTM (x, w, r, b)", ["w", "r", "b"]),
        (("x", "w", "r", "h"), "y = GRU (x, w, r, , , h)", ["w", "r"]),
        # By definition an integer: a shape, axes.
        (("x", "s"), "y = Reshape (x, s)", ["s"]),
        (("x", "s", "e"), "y = Slice (x, s, e)", ["s", "e"]),
        # Indices are data.
        (("x", "i"), "y = Gather (x, i)", []),
        (("x", "q", "z"), "y = DequantizeLinear (x, q, z)", ["q", "z"]),
        (("x", "unused"), "y = Relu (x)", ["unused"]),
        # An inner graph may use what it reads in any way.
        (
            ("x", "w"),
            "c = Constant <value = bool {1}> () "
            "y = If (c) <then_branch = g (float[N,4] a) => { a = MatMul (x, w) }, "
            "else_branch = h (float[N,4] b) => { b = Relu (x) }>",
            [],
        ),
    ],
)
def test_parameters(given: tuple[str, ...], body: str, parameters: list[str]) -> None:
    text = f"g ({inputs(*given)}) => (float[N,4] y) {{ {body} }}"
    text = text.replace("g (float[N,4] a) =>", "g () => (float[N,4] a)")
    text = text.replace("h (float[N,4] b) =>", "h () => (float[N,4] b)")
    assert list(parameter_inputs(model(text))) == parameters


def test_initialisers_are_no_inputs() -> None:
    proto = model("g (float[N,4] x) => (float[N,3] y) { y = MatMul (x, w) }", w=W)
    proto.graph.input.add(name="w").type.tensor_type.elem_type = 1
    assert parameter_inputs(proto) == ()
    with pytest.raises(FeedError, match="no input `w`"):
        anacc.bake(proto, {"w": W})
