"""Functions of one element that no digital unit computes unless it holds general tables."""

from __future__ import annotations

from anacc.frontend.chain import Chain
from anacc.frontend.node import Node
from anacc.frontend.operators.elementwise import expanded
from anacc.frontend.registry import imports

# Attributes become parameters, in this order; the defaults are those of ONNX.
_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
_FUNCTIONS: dict[str, tuple[str, dict[str, float]]] = {
    "Erf": ("erf", {}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Selu": ("selu", {"alpha": _SELU[0], "gamma": _SELU[1]}),
    "Celu": ("celu", {"alpha": 1.0}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "Mish": ("mish", {}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
    "Shrink": ("shrink", {"lambd": 0.5, "bias": 0.0}),
    "Exp": ("exp", {}),
    "Log": ("log", {}),
    "Sqrt": ("sqrt", {}),
    "Reciprocal": ("reciprocal", {}),
    "Sin": ("sin", {}),
    "Cos": ("cos", {}),
    "Tan": ("tan", {}),
    "Asin": ("asin", {}),
    "Acos": ("acos", {}),
    "Atan": ("atan", {}),
    "Sinh": ("sinh", {}),
    "Cosh": ("cosh", {}),
    "Asinh": ("asinh", {}),
    "Acosh": ("acosh", {}),
    "Atanh": ("atanh", {}),
}


@imports(*_FUNCTIONS)
def import_function(node: Node) -> None:
    """A function of each element becomes `function`."""
    name, parameters = _FUNCTIONS[node.proto.op_type]
    given = (float(node.attribute(label, default)) for label, default in parameters.items())
    node.emit("function", (node.value(0),), steps=((name, 0, *given),))


def has_constant_exponent(node: Node) -> bool:
    """its exponent is one constant number

    make its exponent an initialiser of one number
    """
    exponent = node.constant(1)
    return exponent is not None and exponent.size == 1


@imports("Pow", requires=(has_constant_exponent,))
def import_pow(node: Node) -> None:
    """A square becomes `multiply`, a cube two of them, any other power `function`."""
    x, power = expanded(node, 0), node.constant(1)
    exponent = 1.0 if power is None else float(power.item())
    if exponent == 1:
        node.emit("identity", (x,))
    elif exponent == 2:
        node.emit("multiply", (x, x))
    elif exponent == 3:
        Chain(node, x).apply("multiply", "squared", x).apply("multiply", "cubed", x).finish()
    else:
        node.emit("function", (x,), steps=(("power", 0, exponent),))
