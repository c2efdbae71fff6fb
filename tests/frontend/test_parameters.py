"""The initialisers behind layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.frontend import SourceModel, import_model
from anacc.frontend.parameters import Parameters, parameters_of
from tests.frontend.check import floats, model

W = floats(6, 5)
I8 = np.arange(30, dtype=np.int8).reshape(6, 5)
SCALE, ZERO = np.float32(0.1), np.int8(0)

CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...], Parameters]] = {
    "Gemm": (
        "y = Gemm(x, w, b)",
        {"w": floats(5, 4), "b": floats(4)},
        ("Gemm:y",),
        Parameters("Gemm", "w", "b", (5, 4)),
    ),
    "an addition behind": (
        "p = MatMul(x, w) y = Add(b, p)",
        {"w": floats(5, 4), "b": floats(4)},
        ("MatMul:p", "Add:y"),
        Parameters("MatMul", "w", "b", (5, 4)),
    ),
    "no bias": (
        "p = MatMul(x, w) y = Mul(b, p)",
        {"w": floats(5, 4), "b": floats(4)},
        ("MatMul:p", "Mul:y"),
        Parameters("MatMul", "w", "", (5, 4)),
    ),
    "a transposed weight": (
        "t = Transpose(w) y = MatMul(x, t)",
        {"w": W},
        ("MatMul:y",),
        Parameters("MatMul", "w", "", (5, 6)),
    ),
    "a weight of integers": (
        "f = DequantizeLinear(w, s, z) t = Transpose(f) y = MatMul(x, t)",
        {"w": I8, "s": SCALE, "z": ZERO},
        ("MatMul:y",),
        Parameters("MatMul", "w", "", (5, 6)),
    ),
    "a constant on the left": (
        "t = Transpose(x) y = MatMul(w, t)",
        {"w": floats(4, 5)},
        ("MatMul:y",),
        Parameters("MatMul", "w", "", (4, 5)),
    ),
    "a weight that a node states": (
        "w = Constant<value = float[5, 1] {1, 2, 3, 4, 5}>() y = MatMul(x, w)",
        {},
        ("MatMul:y",),
        Parameters("MatMul", "", "", (5, 1)),
    ),
    "no such node": ("y = Relu(x)", {}, ("Conv:y",), Parameters()),
}


@pytest.mark.parametrize(
    ("text", "constants", "nodes", "expected"), CASES.values(), ids=CASES.keys()
)
def test_parameters(
    text: str, constants: dict[str, Any], nodes: tuple[str, ...], expected: Parameters
) -> None:
    graph = f"small (float[3, 5] x) => (float[a, c] y) {{ {text} }}"
    source = import_model(model(graph, **constants)).source
    assert isinstance(source, SourceModel)
    assert parameters_of(source, nodes) == expected


def test_parameters_of_a_grouped_convolution() -> None:
    graph = "small (float[N, 4, 8] x) => (float[N, 6, 6] y) { y = Conv<group = 2>(x, w, b) }"
    made = import_model(model(graph, w=floats(6, 2, 3), b=floats(6)))
    assert isinstance(made.source, SourceModel)
    assert parameters_of(made.source, ("Conv:y",)) == Parameters("Conv", "w", "b", (6, 2, 3), 2)
