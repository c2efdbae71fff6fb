"""Operators of quantised models: to integers, back, and on integers."""

from __future__ import annotations

import numpy as np

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import imports
from anacc.ir.graph_shapes import INTEGERS

QUANTISED = tuple(INTEGERS)
"""Element types, beside float32, that these operators take and give on the chip."""


def has_one_scale(node: Node) -> bool:
    """its scale is one positive constant, and its zero point one constant"""
    return grid_of(node, 1, 2) is not None


def grid_of(node: Node, scale: int, zero: int) -> tuple[float, int] | None:
    """The scale and the zero point at two positions of the inputs, None if they are not one
    constant each, or the scale is not a positive number."""
    factor = node.constant(scale)
    if factor is None or factor.size != 1:
        return None
    value = float(np.float32(factor.item()))
    point = node.constant(zero) if node.has(zero) else np.zeros(1, np.int8)
    if point is None or point.size != 1 or not np.isfinite(value) or value <= 0:
        return None
    return value, int(point.item())


def _grid(node: Node, scale: int, zero: int) -> tuple[float, int]:
    found = grid_of(node, scale, zero)
    if found is None:
        raise Unsupported((has_one_scale.__doc__ or "").strip())
    return found


@imports("QuantizeLinear", requires=(has_one_scale,), elements=QUANTISED)
def import_quantize_linear(node: Node) -> None:
    """QuantizeLinear becomes `quantise`."""
    scale, zero = _grid(node, 1, 2)
    dtype = node.facts.types[node.proto.output[0]].dtype
    node.emit("quantise", (node.value(0),), scale=scale, zero=zero, dtype=dtype)


@imports("DequantizeLinear", requires=(has_one_scale,), elements=QUANTISED)
def import_dequantize_linear(node: Node) -> None:
    """DequantizeLinear becomes `dequantise`."""
    scale, zero = _grid(node, 1, 2)
    node.emit("dequantise", (node.value(0),), scale=scale, zero=zero)
