"""Multiply-adds of ONNX nodes, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper, numpy_helper

from anacc.frontend.listing import operator_name
from anacc.frontend.products import activation_products, is_product, multiply_adds
from anacc.frontend.source import Ports, SourceModel
from anacc.ir import TensorType

Shape = tuple[int | str, ...]


def source(
    node: NodeProto,
    types: dict[str, Shape],
    weights: dict[str, tuple[int, ...]],
    count: Callable[[SourceModel, list[str]], int] = multiply_adds,
) -> int:
    """Multiply-adds of a model of one node."""
    model = SourceModel(
        graph_name="g",
        sha256="0" * 64,
        model=helper.make_model(helper.make_graph([node], "g", [], [])),
        constants={name: np.ones(shape, np.float32) for name, shape in weights.items()},
        types={name: TensorType("float32", shape) for name, shape in types.items()},
        ports=Ports((), ()),
        stands_for={},
    )
    return count(model, [node.name])


@pytest.mark.parametrize(
    ("operator", "x", "weights", "y", "attributes", "count"),
    [
        ("MatMul", ("N", 4), {"w": (4, 5)}, ("N", 5), {}, 4 * 5),
        ("MatMul", ("N", 3, 4), {"w": (4, 5)}, ("N", 3, 5), {}, 3 * 4 * 5),
        ("Gemm", ("N", 4), {"w": (5, 4)}, ("N", 5), {"transB": 1}, 4 * 5),
        ("Conv", ("N", 4, 8), {"w": (6, 2, 3)}, ("N", 6, 6), {"group": 2}, 6 * 6 * 2 * 3),
        ("ConvTranspose", ("N", 4, 8), {"w": (4, 6, 3)}, ("N", 6, 10), {}, 8 * 4 * 6 * 3),
        ("Conv", ("N", 4, 3, 3, 3), {"w": (6, 4, 2, 2, 2)}, ("N", 6, 2, 2, 2), {}, 8 * 6 * 4 * 8),
        ("Einsum", ("N", 3, 4), {"w": (4, 5)}, ("N", 3, 5), {"equation": "nij,jk->nik"}, 3 * 4 * 5),
        ("Einsum", ("N", 3), {"w": (4, 5)}, ("N", 5), {"equation": "nij,jk->nik"}, 0),
        ("GRU", (7, "N", 4), {"w": (1, 15, 4), "r": (1, 15, 5)}, (7, 1, "N", 5), {}, 7 * 15 * 9),
        ("MatMulInteger", ("N", 4), {"w": (4, 5)}, ("N", 5), {}, 4 * 5),
        ("Einsum", ("N", 3, 4), {"w": (4, 5)}, ("N", 3, 5), {"equation": "nta,ab->ntb"}, 3 * 20),
        ("Einsum", ("N", 3, 4), {"w": (4, 5)}, ("N", 3, 5), {"equation": "...a, ab"}, 3 * 20),
        ("Relu", ("N", 4), {}, ("N", 4), {}, 0),
    ],
)
def test_count(
    operator: str,
    x: Shape,
    weights: dict[str, tuple[int, ...]],
    y: Shape,
    attributes: dict[str, Any],
    count: int,
) -> None:
    node = helper.make_node(operator, ["x", *weights], ["y"], name="node", **attributes)
    assert source(node, {"x": x, "y": y}, weights) == count


def test_quantised_products_hold_their_matrix_further_back() -> None:
    weights = {"s": (), "z": (), "w": (6, 2, 3), "t": (), "u": (), "v": (), "p": ()}
    node = helper.make_node("QLinearConv", ["x", *weights], ["y"], name="node", group=2)
    shapes: dict[str, Shape] = {"x": ("N", 4, 8), "y": ("N", 6, 6)}
    assert source(node, shapes, weights) == 6 * 6 * 2 * 3
    assert source(node, shapes, weights, activation_products) == 0


def test_products_of_onnx_runtime() -> None:
    weights = {"s": (), "z": (), "w": (5, 4), "t": (), "u": ()}
    node = helper.make_node(
        "QGemm", ["x", *weights], ["y"], "node", domain="com.microsoft", transB=1
    )
    shapes: dict[str, Shape] = {"x": ("N", 4), "y": ("N", 5)}
    assert is_product(operator_name(node))
    assert source(node, shapes, weights) == 4 * 5
    assert source(node, shapes, weights, activation_products) == 0


def test_products_of_two_activations_are_told_apart() -> None:
    types: dict[str, Shape] = {"x": ("N", 3, 4), "w": ("N", 4, 5), "y": ("N", 3, 5)}
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="node")
    assert source(node, types, {}, activation_products) == source(node, types, {}) == 3 * 4 * 5
    assert source(node, types, {"w": (4, 5)}, activation_products) == 0


@pytest.mark.parametrize(
    ("node", "weights", "count"),
    [
        (helper.make_node("Gemm", ["x", "w"], ["y"], "n"), {"w": (4, 5)}, 20),
        (helper.make_node("LSTM", ["x", "w", "r"], ["y"], "n"),
         {"w": (1, 20, 4), "r": (1, 20, 5)}, 180),
        (helper.make_node("MatMul", ["x", "z"], ["y"], "n"), {}, 0),
    ],
)  # fmt: skip
def test_rows_that_are_unknown_need_the_matrix_once(
    node: NodeProto, weights: dict[str, tuple[int, ...]], count: int
) -> None:
    assert source(node, {}, weights) == count
    assert source(node, {}, weights, activation_products) == 0


def test_a_branch_that_stays_whole_has_the_products_of_the_larger_one() -> None:
    output = helper.make_tensor_value_info("t", 1, None)
    small = helper.make_graph(
        [helper.make_node("MatMul", ["x", "v"], ["t"])], "small", [], [output]
    )
    own = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones((4, 9))))
    first = helper.make_node("Gemm", ["x", "w"], ["s"])
    second = helper.make_node("MatMul", ["s", "k"], ["t"])
    large = helper.make_graph([own, first, second], "large", [], [output])
    node = helper.make_node("If", ["c"], ["y"], "n", then_branch=small, else_branch=large)
    weights: dict[str, tuple[int, ...]] = {"v": (4, 5), "w": (4, 4)}
    assert source(node, {}, weights) == 16 + 36
    assert source(node, {}, weights, activation_products) == 0
