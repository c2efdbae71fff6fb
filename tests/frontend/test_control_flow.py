"""Branches and loops: what the model decides is expanded, all else runs whole on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from anacc.frontend import import_model
from anacc.frontend.control_flow import MOST_COPIES
from tests.frontend.check import check, floats, host_reason, model

TRUE, FALSE = np.array(True), np.array(False)
X = "float[N,3] x"
Y = "float[N,3] y"


def branches(condition: str, then: str, otherwise: str, result: str = "y") -> str:
    """The text of an If; both branches give `u`."""
    return (
        f"{result} = If ({condition}) <then_branch = t () => (float[N,3] u) {{ {then} }}, "
        f"else_branch = e () => (float[N,3] u) {{ {otherwise} }}>"
    )


@pytest.mark.parametrize(("condition", "kind"), [(TRUE, "relu"), (FALSE, "tanh")])
def test_the_branch_that_is_taken_takes_the_place(condition: Any, kind: str) -> None:
    text = f"g ({X}) => ({Y}) {{ {branches('c', 'u = Relu (x)', 'u = Tanh (x)')} }}"
    check(model(text, c=condition), kind, "identity")


def test_a_condition_that_follows_from_shapes() -> None:
    text = (
        f"g (float[N,3,1] x) => ({Y}) {{ s = Shape <start=2> (x)  c = Equal (s, one)"
        "  k = Squeeze (c)  z = Sigmoid (x)"
        f"  {branches('k', 'u = Squeeze (z, two)', 'u = Identity (z)')} }}"
    )
    proto = model(text, 15, one=np.array([1]), two=np.array([2]))
    check(proto, "sigmoid", "reshape", "identity")


def test_branches_in_branches_see_all_around_them() -> None:
    inner = branches("d", "u = Add (m, v)", "u = Sub (m, v)", "w")
    text = (
        f"g ({X}) => ({Y}) {{ m = Relu (x)"
        f"  {branches('c', f'v = Tanh (x)  {inner}  u = Neg (w)', 'u = Identity (x)')} }}"
    )
    # The inner result is declared as `u`, which the outer branch defines too.
    text = text.replace("u = Neg (w)", "z = Neg (w)").replace(
        "t () => (float[N,3] u) { v =", "t () => (float[N,3] z) { v ="
    )
    check(model(text, c=TRUE, d=FALSE), "relu", "tanh", "affine", "add", "identity", "affine",
          "identity")  # fmt: skip


def test_initialisers_of_branches_are_constants() -> None:
    text = f"g ({X}) => (float[N,4] y) {{ {branches('c', 'u = MatMul (x, w)', 'u = Relu (x)')} }}"
    proto = model(text, c=TRUE)
    branch = proto.graph.node[0].attribute[0].g
    branch.initializer.append(numpy_helper.from_array(floats(3, 4), "w"))
    module = check(proto, "linear", "identity")
    np.testing.assert_array_equal(module.constants["@w"], floats(3, 4))


def test_names_of_branches_that_meet() -> None:
    both = branches("c", "a = Relu (x)  u = Neg (a)", "u = Tanh (x)", "p") + branches(
        "c", "a = Tanh (p)  u = Neg (a)", "u = Tanh (p)"
    )
    check(model(f"g ({X}) => ({Y}) {{ {both} }}", c=TRUE), "relu", "affine", "identity", "tanh",
          "affine", "identity")  # fmt: skip


@pytest.mark.parametrize(
    ("then", "otherwise"), [("u = Identity (x)", "u = Relu (x)"), ("u = Neg (m)", "u = Relu (m)")]
)
def test_undecided_branches_run_whole(then: str, otherwise: str) -> None:
    text = (
        f"g ({X}, bool k) => ({Y}) {{ m = MatMul (x, w) {branches('k', then, otherwise, 'a')}"
        " y = MatMul (a, w) }"
    )
    module = check(model(text, w=floats(3, 3)), *(["host", "linear"] if "x" in then else
                   ["linear", "host", "linear"]))  # fmt: skip
    host = next(op for op in module.ops if op.kind == "host")
    assert "condition" in str(host.attributes["reasons"])


def loop(trips: str, condition: str, body: str, *, x: str = X) -> str:
    """A model of one Loop over the state s; it gives v for each iteration."""
    return (
        f"g ({x}) => (float[N,3] y, float[A,N,3] z) {{ y, z = Loop ({trips}, {condition}, x)"
        " <body = b (int64 i, bool k, float[N,3] s) => (bool o, float[N,3] u, float[N,3] v)"
        f" {{ {body} }}> }}"
    )


CARRIED = "o = Identity (k)  u = Add (s, x)  v = Relu (u)"


@pytest.mark.parametrize("opset", [11, 12, 13, 21])
def test_a_loop_of_known_length_is_unrolled(opset: int) -> None:
    module = check(
        model(loop("n", "c", CARRIED), opset, n=np.array(3), c=TRUE),
        *["add", "relu"] * 3,
        "identity",
        *["reshape"] * 3,
        "concat",
    )
    assert [op.origins for op in module.ops][:3] == [("Add:u[0]",), ("Relu:v[0]",), ("Add:u[1]",)]


def test_a_loop_ends_by_its_condition() -> None:
    body = "o = Less (i, last)  u = Add (s, x)  v = Relu (u)"
    text = loop("", "", body)
    module = check(model(text, last=np.array(1)), *["add", "relu"] * 2, "identity",
                   *["reshape"] * 2, "concat")  # fmt: skip
    assert module.ops[-1].kind == "concat"


def test_an_iteration_knows_its_number() -> None:
    then = "then_branch = t () => (float[N,3] f) { f = Relu (s) }"
    other = "else_branch = e () => (float[N,3] f) { f = Tanh (s) }"
    body = (
        "o = Identity (k)  j = Cast <to=1> (i)  u = Mul (s, j)"
        f"  c = Equal (i, one)  v = If (c) <{then}, {other}>"
    )
    proto = model(loop("n", "", body), n=np.array(2), one=np.array(1))
    kinds = [op.kind for op in import_model(proto).ops]
    assert kinds.count("tanh") == kinds.count("relu") == 1
    check(proto, *kinds)


def test_a_loop_without_iterations_hands_on_its_state() -> None:
    text = (
        f"g ({X}) => ({Y}) {{ y = Loop (n, , x) <body = b (int64 i, bool k, float[N,3] s)"
        " => (bool o, float[N,3] u) { o = Identity (k)  u = Relu (s) }> }"
    )
    check(model(text, n=np.array(0)), "identity")
    assert "iteration" in host_reason(model(loop("n", "", CARRIED), n=np.array(0)))


def test_what_does_not_change_is_computed_once() -> None:
    body = "o = Identity (k)  e = Floor (x)  r = Relu (x)  u = Add (s, r)  v = Add (u, e)"
    module = import_model(model(loop("n", "", body), n=np.array(4)))
    kinds = [op.kind for op in module.ops]
    assert kinds.count("relu") == kinds.count("host") == 1 and kinds.count("add") == 8


PRODUCT = "o = Identity (k)  u = MatMul (s, w)  v = Relu (u)"


def test_matrices_are_repeated_a_few_times() -> None:
    few = model(loop("n", "", PRODUCT), n=np.array(2), w=floats(3, 3))
    module = check(few, "linear", "relu", "linear", "relu", "identity", "reshape", "reshape",
                   "concat")  # fmt: skip
    assert list(module.constants) == ["@w"]
    many = model(loop("n", "", PRODUCT), n=np.array(MOST_COPIES + 1), w=floats(3, 3) / 3)
    assert "takes crossbars in each one" in host_reason(many)
    # A product of activations takes none.
    body = "o = Identity (k)  u = MatMul (s, e)  v = Relu (u)"
    free = loop("n", "", body, x="float[3,3] x").replace("[N,3]", "[3,3]").replace("e)", "x)")
    kinds = [op.kind for op in import_model(model(free, n=np.array(MOST_COPIES + 1))).ops]
    assert kinds.count("host") == MOST_COPIES + 1 and "relu" in kinds


def test_weights_made_in_the_body_count_as_constants() -> None:
    body = "o = Identity (k)  t = Transpose (w)  u = MatMul (s, t)  v = Relu (u)"
    module = import_model(model(loop("n", "", body), n=np.array(3), w=floats(3, 3)))
    assert [op.kind for op in module.ops].count("linear") == 3
    assert list(module.constants) == ["@t"]
    many = model(loop("n", "", body), n=np.array(100), w=floats(3, 3))
    assert [op.kind for op in import_model(many).ops] == ["host"]


@pytest.mark.parametrize(
    ("trips", "condition", "body", "reason"),
    [
        ("m", "", CARRIED, "number of iterations"),
        ("", "q", CARRIED, "number of iterations"),
        ("n", "", "o = Not (q)  u = Add (s, x)  v = Relu (u)", "number of iterations"),
        ("huge", "", CARRIED, "20,000 nodes"),
        ("", "c", CARRIED, "20,000 nodes"),
    ],
)
def test_other_loops_run_whole(trips: str, condition: str, body: str, reason: str) -> None:
    proto = model(
        loop(trips, condition, body, x="float[N,3] x, int64 m, bool q"),
        n=np.array(3), huge=np.array(10**6), c=TRUE,
    )  # fmt: skip
    module = import_model(proto)
    assert [op.kind for op in module.ops] == ["host"]
    assert reason in str(module.ops[0].attributes["reasons"])


def scan(attributes: str, body: str = "a = Add (s, e)  u = Tanh (a)  v = Neg (a)") -> str:
    """A model of one Scan over x, with the state h."""
    return (
        "g (float[N,4] h, float[3,N,4] x) => (float[N,4] y, float[A,B,C] z) { y, z = Scan "
        f"<num_scan_inputs=1, {attributes} body = b (float[N,4] s, float[N,4] e) => "
        f"(float[N,4] u, float[N,4] v) {{ {body} }}> (h, x) }}"
    )


@pytest.mark.parametrize("opset", [11, 16, 21])
@pytest.mark.parametrize(
    "attributes",
    ["", "scan_input_directions=[1],", "scan_output_directions=[1],", "scan_output_axes=[1],",
     "scan_output_axes=[-1], scan_input_axes=[-3],"],
)  # fmt: skip
def test_a_scan_is_unrolled(attributes: str, opset: int) -> None:
    taken = ["slice", "reshape", "add", "tanh", "affine"]
    check(model(scan(attributes), opset), *taken * 3, "identity", *["reshape"] * 3, "concat")


def test_a_scan_over_the_batch_runs_whole() -> None:
    text = scan("").replace("float[3,N,4] x", "float[N,3,4] x").replace("[N,4]", "[3,4]")
    module = import_model(model(text), shapes=None)
    assert "number of iterations" in str(module.ops[0].attributes["reasons"])


def test_a_loop_that_proves_undecided_leaves_no_trace() -> None:
    """Its first iteration says that it goes on, its second one depends on the input."""
    then = "then_branch = t () => (bool f) { f = Identity (k) }"
    other = "else_branch = e () => (bool f) { f = Identity (q) }"
    body = f"l = Less (i, n)  o = If (l) <{then}, {other}>  u = Add (s, x)  v = Relu (u)"
    proto = model(loop("", "", body, x="float[N,3] x, bool q"), n=np.array(1))
    module = import_model(proto)
    assert [op.kind for op in module.ops] == ["host"]
    assert [node.op_type for node in module.source.model.graph.node] == ["Loop"]
