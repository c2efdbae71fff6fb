"""The activation functions of recurrent nodes, as their attributes name them."""

from __future__ import annotations

from anacc.frontend.node import Node
from anacc.ir.cells import CELLS, Function, directions_named

_NAMES = {
    "affine": "affine",
    "hardsigmoid": "hard_sigmoid",
    "relu": "relu",
    "scaledtanh": "scaled_tanh",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
}
_PARAMETERS = {"affine", "hardsigmoid", "scaledtanh"}  # of which each takes alpha and beta
_DEFAULTS = {"hardsigmoid": (0.2, 0.5)}  # of HardSigmoid in ONNX
_PIECEWISE = ("relu", "hard_sigmoid")

Functions = tuple[tuple[Function, ...], ...]
"""For each direction, the functions f, g, h of the node's operator, as far as it has them."""


def functions(node: Node) -> Functions | None:
    """The activation functions of a recurrent node; None where the chip does not know one.

    As in ONNX Runtime, only functions that have parameters take one of each list.
    """
    kind = node.proto.op_type.lower()
    usual = CELLS[kind].functions
    ways = directions_named(node.attribute("direction", "forward"))
    names = [str(name).lower() for name in node.attribute("activations", [])]
    if not names:
        return (tuple(Function(name) for name in usual),) * ways
    alphas, betas = (iter(node.attribute(f"activation_{name}", [])) for name in ("alpha", "beta"))
    found = []
    for name in names:
        if name not in _NAMES:
            return None
        alpha = beta = 0.0
        if name in _PARAMETERS:
            standard = _DEFAULTS.get(name, (None, None))
            first, second = next(alphas, standard[0]), next(betas, standard[1])
            if first is None or second is None:
                return None
            alpha, beta = float(first), float(second)
        found.append(Function(_NAMES[name], alpha, beta))
    if len(found) != ways * len(usual):
        return None
    return tuple(tuple(found[len(usual) * way :][: len(usual)]) for way in range(ways))


def is_piecewise(function: Function) -> bool:
    """Whether a function is a line that is clamped."""
    return function.name in _PIECEWISE
