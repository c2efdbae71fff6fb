"""Rectifiers and gates: activations that the ops of every digital unit compute exactly."""

from __future__ import annotations

import math

import numpy as np

from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.elementwise import expanded, factor
from anacc.frontend.registry import imports
from anacc.frontend.steps import affine


def has_constant_slope(node: Node) -> bool:
    """its slope is a constant

    make its slope an initialiser
    """
    return node.sample(1) is not None


@imports("LeakyRelu")
def import_leaky_relu(node: Node) -> None:
    """LeakyRelu becomes a sum, see `bend`."""
    bend(node, node.value(0), float(node.attribute("alpha", 0.01)))


@imports("PRelu", requires=(has_constant_slope,))
def import_prelu(node: Node) -> None:
    """PRelu becomes a sum, see `bend`."""
    bend(node, expanded(node, 0), factor(node, 1))


@imports("Abs")
def import_abs(node: Node) -> None:
    """Abs becomes a sum, see `bend`."""
    bend(node, node.value(0), -1.0)


def bend(node: Node, x: str, slope: Array | float) -> None:
    """Emit x where x > 0, else slope * x.

    That is x + relu((slope - 1) x) where the slope is at most 1, and x - relu((1 - slope) x) where
    it is larger: of the ways to write it, the one with the fewest ops.
    """
    rest = np.asarray(slope, np.float64) - 1
    steep = np.asarray(rest > 0)
    part = node.step("relu", (affine(node, x, -np.abs(rest), 0.0, "negative"),), "bent")
    if steep.any():
        part = affine(node, part, np.where(steep, -1.0, 1.0), 0.0, "turned")
    node.emit("add", (x, part))


@imports("HardSigmoid")
def import_hard_sigmoid(node: Node) -> None:
    """HardSigmoid becomes `affine` and `clamp`."""
    slope, offset = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    node.emit("clamp", (affine(node, node.value(0), slope, offset, "line"),), low=0.0, high=1.0)


@imports("HardSwish")
def import_hard_swish(node: Node) -> None:
    """HardSwish becomes x * clamp(x / 6 + 1/2, 0, 1)."""
    x = node.value(0)
    gate = node.step("clamp", (affine(node, x, 1 / 6, 0.5, "line"),), "gate", low=0.0, high=1.0)
    node.emit("multiply", (x, gate))


@imports("Swish")
def import_swish(node: Node) -> None:
    """Swish becomes x * sigmoid(alpha x)."""
    x = node.value(0)
    alpha = float(node.attribute("alpha", 1.0))
    inner = x if alpha == 1 else affine(node, x, alpha, 0.0, "scaled")
    node.emit("multiply", (x, node.step("sigmoid", (inner,), "gate")))


@imports("Gelu")
def import_gelu(node: Node) -> None:
    """Gelu becomes the function `gelu`; its approximation by tanh becomes products and a `tanh`."""
    x = node.value(0)
    kind = node.attribute("approximate", "none")
    if kind == "none":
        node.emit("function", (x,), steps=(("gelu", 0),))
        return
    if kind != "tanh":
        raise Unsupported("it is exact or approximated by tanh")
    # x (tanh(sqrt(2/pi) (x + 0.044715 x^3)) + 1) / 2
    width = math.sqrt(2 / math.pi)
    line = affine(node, node.step("multiply", (x, x), "square"), 0.044715 * width, width, "line")
    curve = node.step("tanh", (node.step("multiply", (x, line), "inner"),), "tanh")
    node.emit("multiply", (x, affine(node, curve, 0.5, 0.5, "gate")))
