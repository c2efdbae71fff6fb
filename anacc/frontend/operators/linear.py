"""Products with constants: MatMul, Gemm and Einsum."""

from __future__ import annotations

import numpy as np

from anacc.frontend.chain import Chain
from anacc.frontend.contraction import Operand, contract
from anacc.frontend.einsum import Labels, parse
from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import imports
from anacc.frontend.steps import affine_constants


def has_one_constant_operand(node: Node) -> bool:
    """one of its two operands is a constant: a product of two activations is digital

    leave it to the host: crossbars hold constants only, so that products of two activations stay
    digital
    """
    return (node.constant(0) is None) != (node.constant(1) is None)


def adds_constant(node: Node) -> bool:
    """what it adds is a constant

    add it by an Add behind the product
    """
    return not node.has(2) or node.constant(2) is not None


def is_product_with_constant(node: Node) -> bool:
    """it has two operands, one of which is a constant, or one operand whose axes it permutes

    split it into products of two operands, one of them an initialiser
    """
    if len(node.proto.input) == 1:
        return node.constant(0) is None
    return len(node.proto.input) == 2 and has_one_constant_operand(node)


@imports("MatMul", requires=(has_one_constant_operand,))
def import_matmul(node: Node) -> None:
    """MatMul with a constant on either side becomes `linear` or a `conv` of one element."""
    ranks = (_rank(node, 0), _rank(node, 1))
    leading = tuple(f"axis{n}" for n in range(max(*ranks, 2) - 2, 0, -1))
    both = tuple(_matmul_labels(leading, rank, side) for side, rank in enumerate(ranks))
    result = tuple(n for n in leading if n in both[0] or n in both[1])
    result += tuple(n for n, rank in zip(("row", "column"), ranks, strict=True) if rank > 1)
    _contract(node, both, result).finish()


def _rank(node: Node, position: int) -> int:
    constant = node.constant(position)
    return len(node.shape(position)) if constant is None else constant.ndim


def _matmul_labels(leading: Labels, rank: int, side: int) -> Labels:
    """The labels of an operand of MatMul: a vector is a row on the left, a column on the right."""
    if rank == 1:
        return ("inner",)
    return (*leading[len(leading) - rank + 2 :], *(("row", "inner"), ("inner", "column"))[side])


def _contract(
    node: Node, labels: tuple[Labels, ...], result: Labels, factor: float = 1.0, bias: str = ""
) -> Chain:
    """The product of the constant operand, times a factor, with the other one."""
    place = 1 if node.constant(0) is None else 0
    array = np.asarray(node.constant(place))
    suffix = ""
    if factor != 1:
        array, suffix = array * np.float32(factor), f"times{factor:g}"
    constant = Operand(place, array, labels[place], suffix)
    chain = Chain(node, node.value(1 - place))
    return contract(chain, labels[1 - place], constant, result, bias)


@imports("Gemm", requires=(has_one_constant_operand, adds_constant))
def import_gemm(node: Node) -> None:
    """Gemm becomes a product, alpha and beta merged into its constants.

    What it adds is the bias of the product if it is the same for all its rows, else an `affine`.
    """
    left = ("inner", "row") if node.attribute("transA", 0) else ("row", "inner")
    right = ("column", "inner") if node.attribute("transB", 0) else ("inner", "column")
    rows = 0 if node.constant(0) is None else 1  # the axis of the result that the activation gives
    result = ("row", "column")
    alpha, beta = (float(node.attribute(name, 1.0)) for name in ("alpha", "beta"))
    added = node.constant(2)
    bias, offset = "", None
    if added is not None and beta != 0:
        whole = added.reshape((1,) * (2 - added.ndim) + added.shape)
        if whole.shape[rows] == 1:
            width = node.result()[1 - rows]
            bias = _bias(node, added, whole, int(width), beta)
        else:
            offset = whole * np.float32(beta)
    chain = _contract(node, (left, right), result, alpha, bias)
    if offset is not None:
        chain.apply("affine", "sum", *affine_constants(node, 1.0, offset, node.proto.output[0]))
    chain.finish()


def _bias(node: Node, added: Array, whole: Array, width: int, beta: float) -> str:
    """The constant input 2 as one element for each column, times beta."""
    if added.shape == (width,) and beta == 1:
        return node.weight(2)
    spread = np.broadcast_to(whole.reshape(-1), (width,)) * np.float32(beta)
    suffix = f"row{width}" + ("" if beta == 1 else f".times{beta:g}")
    return node.weight(2, spread.astype(added.dtype), suffix)


@imports("Einsum", requires=(is_product_with_constant,))
def import_einsum(node: Node) -> None:
    """Einsum of an activation and a constant becomes a product; of one operand, `transpose`."""
    count = len(node.proto.input)
    labels, result = parse(node.attribute("equation", ""), [_rank(node, i) for i in range(count)])
    if count == 2:
        _contract(node, labels, result).finish()
        return
    if sorted(labels[0]) != sorted(result):
        raise Unsupported("it permutes the axes of its only operand")
    Chain(node, node.value(0)).transpose([labels[0].index(label) for label in result]).finish()
