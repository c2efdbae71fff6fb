"""Products with constants over the space of their shapes and attributes, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

from anacc.frontend.einsum import parse
from anacc.frontend.node import Unsupported
from tests.frontend.check import check, floats, model
from tests.frontend.test_generated import agrees

Shape = list[int | str]


def product(
    op: str, x: Shape, weights: dict[str, Any], order: list[str], **attributes: Any
) -> ModelProto:
    """A model of one node with one input `x`; `order` are its operands."""
    graph = helper.make_graph(
        [helper.make_node(op, order, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", 1, x)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@settings(max_examples=150)
@given(st.data())
def test_matmul(data: st.DataObject) -> None:
    """A constant on either side; leading axes of either operand missing or one."""
    leading = data.draw(st.lists(st.integers(1, 3), max_size=2))
    missing = data.draw(st.integers(0, len(leading) + 2))
    rows, inner, columns = (data.draw(st.integers(1, 4)) for _ in range(3))
    constant_left = data.draw(st.booleans())
    own = [data.draw(st.sampled_from([1, n])) for n in leading]
    x: Shape = [data.draw(st.sampled_from([1, n])) for n in leading]
    x += [inner, columns] if constant_left else [rows, inner]
    full = [*own, *([rows, inner] if constant_left else [inner, columns])]
    shape = full[missing:] if missing <= len(own) else [inner]
    if data.draw(st.booleans()) and len(shape) <= len(x):
        x = ["N", *x]
    order = ["w", "x"] if constant_left else ["x", "w"]
    batched = "N" in x
    lost = constant_left and batched and len(x) == 2
    agrees(product("MatMul", x, {"w": floats(*shape)}, order), *(() if lost else ("host",)))


@given(st.data())
def test_gemm(data: st.DataObject) -> None:
    rows, inner, columns = (data.draw(st.integers(2, 5)) for _ in range(3))
    first, second = (data.draw(st.integers(0, 1)) for _ in range(2))
    constant_left, batched = data.draw(st.booleans()), data.draw(st.booleans())
    batched = batched and bool(second if constant_left else not first)  # the batch comes first
    a: Shape = [inner, rows] if first else [rows, inner]
    b: Shape = [columns, inner] if second else [inner, columns]
    x, weight = (b, a) if constant_left else (a, b)
    added = data.draw(st.sampled_from([(), (1,), (columns,), (1, 1), (1, columns), None]))
    if batched:
        x = ["N", *x[1:]]
    if not batched or constant_left:
        added = data.draw(st.sampled_from([added, (rows, 1)]))
    if not batched:
        added = data.draw(st.sampled_from([added, (rows, columns)]))
    if batched and constant_left and added is not None and added[-1:] == (columns,):
        added = None
    weights = {"w": floats(*(int(n) for n in weight))}
    order = ["w", "x"] if constant_left else ["x", "w"]
    if added is not None:
        weights["c"] = np.asarray(floats(*added, seed=4), np.float32)
        order.append("c")
    attributes = {"alpha": data.draw(st.sampled_from([1.0, 0.5])),
                  "beta": data.draw(st.sampled_from([1.0, 2.0, 0.0]))}  # fmt: skip
    proto = product("Gemm", x, weights, order, transA=first, transB=second, **attributes)
    agrees(proto, "host")


EQUATIONS: list[tuple[str, Shape, tuple[int, ...], str]] = [
    ("nij,jk->nik", ["N", 3, 4], (4, 5), "linear"),
    ("nij,kj->nki", ["N", 3, 4], (5, 4), "linear transpose"),
    ("nij,ik->nkj", ["N", 3, 4], (3, 5), "conv"),
    ("nij,ijk->nk", ["N", 3, 4], (3, 4, 5), "reshape linear"),
    ("nij,ikj->nik", ["N", 3, 4], (3, 5, 4), "reshape conv reshape"),
    ("nij,ijk->nik", ["N", 3, 4], (3, 4, 5), "reshape conv reshape"),
    ("nhid,hde->nie", ["N", 2, 3, 4], (2, 4, 5), "transpose reshape linear"),
    ("nsd,dhe->nhse", ["N", 3, 4], (4, 2, 5), "linear reshape transpose"),
    ("n...i,ij->n...j", ["N", 2, 3, 4], (4, 5), "linear"),
    ("...i,ij", ["N", 3, 4], (4, 5), "linear"),
    ("ij,jk", ["N", 4], (4, 5), "linear"),
    ("ni,ij->n", ["N", 4], (4, 5), "linear reshape"),
    ("nij,jk->nk", ["N", 3, 4], (4, 5), "reshape linear"),
    ("nij,jjk->nik", ["N", 3, 4], (4, 4, 5), "linear"),
    ("nij,ij->n", ["N", 3, 4], (3, 4), "reshape linear reshape"),
]


@pytest.mark.parametrize(("equation", "x", "shape", "kinds"), EQUATIONS)
def test_einsum(equation: str, x: Shape, shape: tuple[int, ...], kinds: str) -> None:
    proto = product("Einsum", x, {"w": floats(*shape)}, ["x", "w"], equation=equation)
    check(proto, *kinds.split())
    left, arrow, result = equation.partition("->")
    turned = ",".join(reversed(left.split(","))) + arrow + result
    if arrow:
        proto = product("Einsum", x, {"w": floats(*shape)}, ["w", "x"], equation=turned)
        check(proto, *kinds.split())


def test_einsum_permutes_its_only_operand() -> None:
    check(product("Einsum", ["N", 2, 3], {}, ["x"], equation="nij->nji"), "transpose")


def test_labels_of_an_equation() -> None:
    labels, result = parse("a...b, bc -> c...a", [4, 2])
    assert labels == (("a", "...2", "...1", "b"), ("b", "c"))
    assert result == ("c", "...2", "...1", "a")
    assert parse("ba,a", [2, 1])[1] == ("b",)
    for equation, ranks in (("ab,bc", [2]), ("ab", [3]), ("a1,b", [2, 1]), ("a..,b->a", [3, 1])):
        with pytest.raises(Unsupported, match="its equation fits its operands"):
            parse(equation, ranks)


def test_a_stack_of_matrices_is_one_grouped_convolution() -> None:
    proto = model(
        "g (float[N,3,5,4] x) => (float[N,3,5,6] y) { y = MatMul (x, w) }", w=floats(3, 4, 6)
    )
    module = check(proto, "transpose", "reshape", "conv", "reshape", "transpose")
    assert module.ops[2].attributes["group"] == 3


def test_matrices_that_share_their_rows_are_one_product() -> None:
    """Each head projects the same activation: the columns of all heads stand side by side."""
    proto = model(
        "g (float[N,1,5,4] x) => (float[N,3,5,6] y) { y = MatMul (x, w) }", w=floats(3, 4, 6)
    )
    module = check(proto, "reshape", "linear", "reshape", "transpose")
    assert module.tensor(module.ops[1].operands[1]).shape == (4, 18)


def test_a_constant_on_the_left_moves_no_data() -> None:
    proto = model("g (float[N,4,5] x) => (float[N,3,5] y) { y = MatMul (w, x) }", w=floats(3, 4))
    check(proto, "conv")
