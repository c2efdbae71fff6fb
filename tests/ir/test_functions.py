"""Functions of one element: steps make one function, and wrong ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.errors import IrError
from anacc.ir import verify
from anacc.ir.functions import FUNCTIONS, evaluate, names
from anacc.ir.parse import parse_module

TEXT = """
module "m" level=graph batch=N {
  input %x : float32[N, 4]
  %y : float32[N, 4] = function(%x) {steps = STEPS} from "F"
  output "y" = %y
}
"""


def test_steps_refer_to_earlier_ones() -> None:
    x = np.linspace(-2, 2, 9)
    steps = (("affine", 0, 2.0, 1.0), ("sigmoid", 1), ("multiply", 0, 2), ("add", 3, 1))
    line = 2 * x + 1
    np.testing.assert_allclose(evaluate(steps, x), x / (1 + np.exp(-line)) + line, rtol=1e-14)
    assert names(steps) == "affine, sigmoid, multiply, add"


def test_outside_its_domain_a_function_is_not_finite() -> None:
    with np.errstate(all="raise"):
        assert not np.isfinite(evaluate((("log", 0),), [-1.0, 0.0])).any()
        assert not np.isfinite(evaluate((("reciprocal", 0),), 0.0))
        assert np.isfinite(evaluate((("softplus", 0),), [-1e4, 1e4])).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_keeps_shapes_and_is_finite_somewhere(name: str) -> None:
    function = FUNCTIONS[name]
    step: Any = (name, *(0,) * function.values, *(0.5,) * len(function.parameters))
    x = np.linspace(-2.0, 2.0, 12).reshape(3, 4)
    y = evaluate((step,), x)
    assert y.shape == x.shape and y.dtype == np.float64 and np.isfinite(y).any()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("[]", "not empty"),
        ('[["nothing", 0]]', "step 1 names no known function"),
        ('[["tanh", 0], ["add", 1, 2]]', "step 2 takes a value that no earlier step gives"),
        ('[["tanh", -1]]', "no earlier step"),
        ('[["tanh", 0.0]]', "no earlier step"),
        ('[["add", 0]]', "step 1 has the wrong number of arguments for add"),
        ('[["elu", 0]]', "wrong number of arguments"),
        ('[["elu", 0, 1]]', "a parameter that is no finite number"),
        ('[["elu", 0, inf]]', "a parameter that is no finite number"),
    ],
)
def test_wrong_steps(steps: str, reason: str) -> None:
    with pytest.raises(IrError, match=reason):
        verify(parse_module(TEXT.replace("STEPS", steps)))


def test_right_steps() -> None:
    verify(parse_module(TEXT.replace("STEPS", '[["elu", 0, 1.0], ["add", 0, 1]]')))
