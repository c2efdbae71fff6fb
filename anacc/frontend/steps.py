"""Ops on the way from the operands of a node to its result."""

from __future__ import annotations

import numpy as np

from anacc.frontend.external import Array
from anacc.frontend.node import Node


def affine(node: Node, x: str, scale: Array | float, offset: Array | float, suffix: str) -> str:
    """Add x * scale + offset as a step of a node; the name of its result.

    Args:
        node: whose result the step is on the way to.
        x: name of the value.
        scale, offset: numbers, or arrays that are broadcast to the shape of x.
        suffix: for the name, after that of the output.
    """
    constants = affine_constants(node, scale, offset, f"{node.proto.output[0]}.{suffix}")
    return node.step("affine", (x, *constants), suffix)


def affine_constants(
    node: Node, scale: Array | float, offset: Array | float, stem: str
) -> tuple[str, str]:
    """Make scale and offset of an `affine` constants; their names.

    Args:
        node: that the op comes from.
        scale, offset: numbers, or arrays.
        stem: what their names begin with.
    """
    one, two = (
        node.fresh_constant(np.atleast_1d(np.asarray(value, np.float32)), f"{stem}.{label}")
        for label, value in (("scale", scale), ("offset", offset))
    )
    return one, two
