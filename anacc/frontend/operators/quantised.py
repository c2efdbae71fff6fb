"""Operators of quantised models: to integers, back, and on integers."""

from __future__ import annotations

import numpy as np

from anacc.frontend.node import Node
from anacc.frontend.registry import MICROSOFT, imports, unmet
from anacc.ir.graph_shapes import INTEGERS

_ELEMENTS = tuple(INTEGERS)


def has_one_scale(node: Node) -> bool:
    """its scale is one positive constant, and its zero point one constant

    quantise with one scale for the whole tensor
    """
    return grid_of(node, 1, 2) is not None


def grid_of(node: Node, scale: int, zero: int) -> tuple[float, int] | None:
    """The scale and the zero point at two positions of the inputs (-1: 1 and 0 without), None if
    they are not one constant each, or the scale is not a positive number."""
    factor = np.ones(1, np.float32) if scale < 0 else node.constant(scale)
    if factor is None or factor.size != 1:
        return None
    value = float(np.float32(factor.item()))
    given = zero >= 0 and node.has(zero)
    point = node.constant(zero) if given else np.zeros(1, np.int8)
    if point is None or point.size != 1 or not np.isfinite(value) or value <= 0:
        return None
    return value, int(point.item())


def grid_at(node: Node, scale: int, zero: int) -> tuple[float, int]:
    """As `grid_of`.

    Raises:
        Unsupported: if there is none.
    """
    found = grid_of(node, scale, zero)
    if found is None:
        raise unmet(has_one_scale)
    return found


@imports(
    "QuantizeLinear", f"{MICROSOFT}.QuantizeLinear", requires=(has_one_scale,), elements=_ELEMENTS
)
def import_quantize_linear(node: Node) -> None:
    """QuantizeLinear becomes `quantise`."""
    scale, zero = grid_at(node, 1, 2)
    dtype = node.facts.types[node.proto.output[0]].dtype
    node.emit("quantise", (node.value(0),), scale=scale, zero=zero, dtype=dtype)


@imports(
    "DequantizeLinear",
    f"{MICROSOFT}.DequantizeLinear",
    requires=(has_one_scale,),
    elements=_ELEMENTS,
)
def import_dequantize_linear(node: Node) -> None:
    """DequantizeLinear becomes `dequantise`."""
    scale, zero = grid_at(node, 1, 2)
    node.emit("dequantise", (node.value(0),), scale=scale, zero=zero)
