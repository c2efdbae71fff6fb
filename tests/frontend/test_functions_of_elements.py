"""Functions of single elements: the ops that they become, and that they compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.frontend.operators.functions import _FUNCTIONS
from tests.frontend.check import check, floats, model

X = "float[N,3,4] x"
Y = "float[N,3,4] y"

BEND = "affine relu add"
LINES: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "leaky": ("LeakyRelu (x)", 16, {}, BEND),
    "leaky, negative": ("LeakyRelu <alpha=-0.5> (x)", 7, {}, BEND),
    "leaky, steep": ("LeakyRelu <alpha=1.5> (x)", 16, {}, "affine relu affine add"),
    "prelu": ("PRelu (x, s)", 16, {"s": floats(3, 1) * 0.3}, BEND),
    "prelu, one number": ("PRelu (x, s)", 9, {"s": np.array([0.25], np.float32)}, BEND),
    "prelu, some steep": (
        "PRelu (x, s)",
        16,
        {"s": np.array([[0.5], [2.0], [-1.0]], np.float32)},
        "affine relu affine add",
    ),
    "abs": ("Abs (x)", 13, {}, BEND),
    "hard sigmoid": ("HardSigmoid (x)", 7, {}, "affine clamp"),
    "hard sigmoid, wide": ("HardSigmoid <alpha=0.5, beta=0.25> (x)", 7, {}, "affine clamp"),
    "hard swish": ("HardSwish (x)", 14, {}, "affine clamp multiply"),
    "swish": ("Swish (x)", 24, {}, "sigmoid multiply"),
    "swish, scaled": ("Swish <alpha=1.7> (x)", 24, {}, "affine sigmoid multiply"),
    "gelu": ("Gelu (x)", 20, {}, "function"),
    "gelu by tanh": (
        'Gelu <approximate="tanh"> (x)',
        20,
        {},
        "multiply affine multiply tanh affine multiply",
    ),
    "square": ("Pow (x, p)", 15, {"p": np.float32(2)}, "multiply"),
    "square by an integer": ("Pow (x, p)", 15, {"p": np.array([2], np.int64)}, "multiply"),
    "power of 1": ("Pow (x, p)", 15, {"p": np.float32(1)}, "identity"),
    "cube": ("Pow (x, p)", 7, {"p": np.float32(3)}, "multiply multiply"),
    "power of 4": ("Pow (x, p)", 15, {"p": np.float32(4)}, "function"),
    "max with a number": ("Max (x, c)", 13, {"c": np.float32(0.2)}, "clamp"),
    "min with a number": ("Min (c, x)", 8, {"c": np.array([0.2], np.float32)}, "clamp"),
    "max with a constant": ("Max (c, x)", 13, {"c": floats(3, 1)}, "affine clamp add"),
    "min with a constant": ("Min (x, c)", 13, {"c": floats(3, 1)}, "affine clamp add"),
    "max of one": ("Max (x)", 13, {}, "identity"),
}


@pytest.mark.parametrize("name", LINES)
def test_line(name: str) -> None:
    call, opset, constants, kinds = LINES[name]
    check(model(f"g ({X}) => ({Y}) {{ y = {call} }}", opset, **constants), *kinds.split())


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_two_and_three_operands(operator: str) -> None:
    kinds = "affine add clamp add".split()
    text = f"g ({X}, float[N,3,4] z) => ({Y}) {{ y = {operator} (x, z) }}"
    check(model(text, 13), *kinds)
    text = f"g ({X}, float[N,3,1] z) => ({Y}) {{ y = {operator} (x, x, z) }}"
    check(model(text, 13), *kinds, "affine", "expand", *kinds[1:])


OPSET = {"Mish": 18}


@pytest.mark.parametrize("operator", _FUNCTIONS)
def test_function(operator: str) -> None:
    text = f"g ({X}) => ({Y}) {{ y = {operator} (x) }}"
    check(model(text, OPSET.get(operator, 17)), "function")


@pytest.mark.parametrize(
    "call",
    [
        "Elu <alpha=0.5> (x)",
        "Selu <alpha=1.5, gamma=0.7> (x)",
        "Celu <alpha=2.0> (x)",
        "ThresholdedRelu <alpha=0.3> (x)",
        "Shrink <lambd=0.2, bias=0.1> (x)",
    ],
)
def test_function_with_parameters(call: str) -> None:
    check(model(f"g ({X}) => ({Y}) {{ y = {call} }}", 17), "function")
