"""Products with constant matrices."""

from __future__ import annotations

import numpy as np

from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import imports


def has_constant_right_operand(node: Node) -> bool:
    """its right operand is a constant, and its left one is not

    leave it to the host: crossbars hold constants only, so products of two activations stay
    digital; where the left operand is the constant, transpose both and swap them
    """
    return node.constant(1) is not None and node.constant(0) is None


def has_constant_matrix(node: Node) -> bool:
    """its right operand is one matrix

    split it into one product for each matrix
    """
    matrix = node.constant(1)
    if matrix is None:
        return False
    leading = matrix.ndim - 2
    return leading >= 0 and matrix.size == matrix.shape[-1] * matrix.shape[-2]


def is_not_transposed(node: Node) -> bool:
    """its left operand is not transposed

    put a Transpose before it
    """
    return not node.attribute("transA", 0)


def has_constant_row(node: Node) -> bool:
    """what it adds is one constant row

    add it by an Add behind the product
    """
    row = node.constant(2)
    return not node.has(2) or (row is not None and row.size == (row.shape or (1,))[-1])


@imports("MatMul", requires=(has_constant_right_operand, has_constant_matrix))
def import_matmul(node: Node) -> None:
    """MatMul with a constant matrix becomes `linear`."""
    matrix = node.constant(1)
    if matrix is None or matrix.ndim == 2:
        weight = node.weight(1)
    elif matrix.ndim > len(node.shape(0)):
        raise Unsupported("its right operand has no more axes than the left one")
    else:
        weight = node.weight(1, matrix.reshape(matrix.shape[-2:]), "matrix")
    node.emit("linear", (node.value(0), weight))


@imports(
    "Gemm",
    requires=(
        has_constant_right_operand,
        has_constant_matrix,
        is_not_transposed,
        has_constant_row,
    ),
)
def import_gemm(node: Node) -> None:
    """Gemm becomes `linear`, alpha and beta merged into the constants."""
    weight = _scaled(node, 1, "alpha", "transposed" if node.attribute("transB", 0) else "")
    row = node.constant(2)
    beta = float(node.attribute("beta", 1.0))
    if row is None or beta == 0:
        node.emit("linear", (node.value(0), weight))
        return
    width = node.scope.constants[weight].shape[1]
    if row.shape == (width,):
        bias = _scaled(node, 2, "beta", "")
    else:
        spread = np.broadcast_to(row.reshape(-1), (width,)) * np.float32(beta)
        bias = node.weight(2, spread.astype(row.dtype), f"row{width}" + _factor_suffix(beta))
    node.emit("linear", (node.value(0), weight, bias))


def _scaled(node: Node, position: int, attribute: str, suffix: str) -> str:
    """A constant operand, transposed if the suffix says so, times an attribute."""
    factor = float(node.attribute(attribute, 1.0))
    array: Array = np.asarray(node.constant(position))
    array = array.T if suffix else array
    if factor != 1:
        array = array * np.float32(factor)
    name = suffix + _factor_suffix(factor)
    return node.weight(position, array, name.strip(".")) if name else node.weight(position)


def _factor_suffix(factor: float) -> str:
    return "" if factor == 1 else f".times{factor:g}"
