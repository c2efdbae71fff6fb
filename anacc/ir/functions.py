"""Functions of one element, each declared once: what `function` ops compute.

An op holds its function as *steps*, so that a chain of functions is a function too::

    steps = (step, ...)                  at least one; the last one is the result
    step  = (name, argument, ...)        the name of a declared function
    argument                             an integer: 0 is x, k the result of step k
                                         a float: a parameter

x * sigmoid(x) is `(("sigmoid", 0), ("multiply", 0, 1))`.  The formulas are exact in binary64 up to
its rounding; outside its domain a function is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir.module import Module, Op, Type

Array = npt.NDArray[np.float64]
Step = tuple[str | int | float, ...]
Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Function:
    """A declared function.

    Attributes:
        name: in steps.
        formula: from arrays of values, then parameters, to an array.
        values: how many values it takes.
        parameters: names of its parameters.
    """

    name: str
    formula: Callable[..., Any]
    values: int = 1
    parameters: tuple[str, ...] = ()


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _sigmoid(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _shrink(x: Array, limit: float, bias: float) -> Array:
    return np.where(x < -limit, x + bias, np.where(x > limit, x - bias, 0.0))


FUNCTIONS = {
    function.name: function
    for function in (
        Function("add", np.add, values=2),
        Function("multiply", np.multiply, values=2),
        Function("affine", lambda x, s, o: x * s + o, parameters=("scale", "offset")),
        Function("relu", lambda x: np.maximum(x, 0.0)),
        Function("clamp", np.clip, parameters=("low", "high")),
        Function("sigmoid", _sigmoid),
        Function("tanh", np.tanh),
        Function("erf", _erf),
        Function("gelu", lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
        Function("elu", _elu, parameters=("alpha",)),
        Function("selu", lambda x, a, g: g * _elu(x, a), parameters=("alpha", "gamma")),
        Function("celu", lambda x, a: a * _elu(x / a, 1) if a > 0 else x, parameters=("alpha",)),
        Function("softplus", _softplus),
        Function("softsign", lambda x: x / (1 + np.abs(x))),
        Function("mish", lambda x: x * np.tanh(_softplus(x))),
        Function("thresholded_relu", lambda x, a: np.where(x > a, x, 0.0), parameters=("alpha",)),
        Function("shrink", _shrink, parameters=("lambd", "bias")),
        Function("exp", np.exp),
        Function("log", np.log),
        Function("sqrt", np.sqrt),
        Function("reciprocal", np.reciprocal),
        Function("power", np.power, parameters=("exponent",)),
        Function("sin", np.sin),
        Function("cos", np.cos),
        Function("tan", np.tan),
        Function("asin", np.arcsin),
        Function("acos", np.arccos),
        Function("atan", np.arctan),
        Function("sinh", np.sinh),
        Function("cosh", np.cosh),
        Function("asinh", np.arcsinh),
        Function("acosh", np.arccosh),
        Function("atanh", np.arctanh),
    )
}
"""All functions by name."""


def evaluate(steps: Steps, x: npt.ArrayLike) -> Array:
    """The function at x in binary64; not finite outside its domain, without a warning."""
    values = [np.asarray(x, np.float64)]
    with np.errstate(all="ignore"):
        for name, *arguments in steps:
            given = (values[item] if isinstance(item, int) else item for item in arguments)
            values.append(np.asarray(FUNCTIONS[str(name)].formula(*given), np.float64))
    return values[-1]


def names(steps: Steps) -> str:
    """The functions of the steps, for people."""
    return ", ".join(dict.fromkeys(str(name).replace("_", " ") for name, *_ in steps))


def steps_problem(steps: Any) -> str | None:
    """Why steps are wrong, or None."""
    if not isinstance(steps, tuple) or not steps:
        return "its steps must be a list that is not empty"
    for number, step in enumerate(steps):
        if not isinstance(step, tuple) or not step or step[0] not in FUNCTIONS:
            return f"step {number + 1} names no known function"
        function = FUNCTIONS[str(step[0])]
        values, parameters = step[1 : 1 + function.values], step[1 + function.values :]
        if len(values) < function.values or len(parameters) != len(function.parameters):
            return f"step {number + 1} has the wrong number of arguments for {function.name}"
        if not all(type(item) is int and 0 <= item <= number for item in values):
            return f"step {number + 1} takes a value that no earlier step gives"
        if not all(type(item) is float and math.isfinite(item) for item in parameters):
            return f"step {number + 1} has a parameter that is no finite number"
    return None


def infer_function(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Shape rule of `function`: the type of its operand.

    Raises:
        ValueError: if the steps are wrong.
    """
    problem = steps_problem(op.nested("steps"))
    if problem is not None:
        raise ValueError(problem)
    return (module.tensor(op.operands[0]),)
