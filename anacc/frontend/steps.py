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
    constants = (
        node.fresh_constant(
            np.atleast_1d(np.asarray(value, np.float32)),
            f"{node.proto.output[0]}.{suffix}.{label}",
        )
        for label, value in (("scale", scale), ("offset", offset))
    )
    return node.step("affine", (x, *constants), suffix)
