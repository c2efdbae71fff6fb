"""Dynamic quantisation: a product whose scale the model computes from its input, while it runs.

ONNX Runtime's quantiser writes a product of x with constant integers w as

    q, s, z = DynamicQuantizeLinear(x)
    y = Mul(Cast(MatMulInteger(q, w, z, w_zero)), Mul(s, w_scale))

or with ConvInteger.  The scale s cancels: but for rounding, y is x times (w - w_zero) * w_scale.
So these nodes are imported as that one product, where nothing else reads what is between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto, TensorProto

from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.quantised_nodes import Operand, RealNode
from anacc.frontend.ordering import reads

_PRODUCTS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


@dataclass(frozen=True)
class DynamicProduct:
    """The nodes of one product; the last one gives its result.

    Attributes:
        quantiser: DynamicQuantizeLinear.
        product: MatMulInteger or ConvInteger.
        scale: the constant of the weights.
        nodes: all of them in topological order.
    """

    quantiser: NodeProto
    product: NodeProto
    scale: str
    nodes: tuple[NodeProto, ...]


def dynamic_products(
    nodes: Iterable[NodeProto], constants: Mapping[str, Array], outputs: Iterable[str]
) -> dict[str, DynamicProduct]:
    """The dynamically quantised products of a graph, by the name of their last node.

    Args:
        nodes: of the graph, in topological order.
        constants: by name.
        outputs: tensors that the model returns.
    """
    order = list(nodes)
    makers = {name: node for node in order for name in node.output if name}
    readers: dict[str, set[str]] = {name: {""} for name in outputs}
    for node in order:
        for name in reads(node):
            readers.setdefault(name, set()).add(node.name)
    found = {}
    for node in order:
        product = _product_of(node, makers, constants)
        if product is not None:
            found[node.name] = product
    while found:  # a quantiser that others read too is a node of its own
        inside = {node.name for each in found.values() for node in each.nodes}
        closed = {
            name: each
            for name, each in found.items()
            if all(
                readers.get(tensor, set()) <= inside
                for node in each.nodes[:-1]
                for tensor in node.output
            )
        }
        if len(closed) == len(found):
            break
        found = closed
    return found


def _product_of(
    last: NodeProto, makers: Mapping[str, NodeProto], constants: Mapping[str, Array]
) -> DynamicProduct | None:
    """The product that a Mul ends, if it is one."""
    parts = _split(last, lambda name: _made_by(makers, name, "Cast"))
    if parts is None:
        return None
    cast, scales = makers[parts[0]], makers.get(parts[1])
    to_float = any(a.name == "to" and a.i == TensorProto.FLOAT for a in cast.attribute)
    product = makers.get(cast.input[0])
    factors = None if scales is None else _split(scales, constants.__contains__)
    if not to_float or product is None or product.op_type not in _PRODUCTS or factors is None:
        return None
    weight_scale, input_scale = factors
    quantiser = makers.get(product.input[0])
    if scales is None or quantiser is None or quantiser.op_type != "DynamicQuantizeLinear":
        return None
    given = [quantiser.output[0], quantiser.output[2]]
    if [product.input[0], *product.input[2:3]] != given or input_scale != quantiser.output[1]:
        return None
    return DynamicProduct(
        quantiser, product, weight_scale, (quantiser, product, cast, scales, last)
    )


def _split(node: NodeProto, is_first: Callable[[str], bool]) -> tuple[str, str] | None:
    """The operands of a Mul, the one that fits first."""
    if node.op_type != "Mul" or node.domain != "":
        return None
    left, right = node.input
    if is_first(left):
        return left, right
    return (right, left) if is_first(right) else None


def _made_by(makers: Mapping[str, NodeProto], name: str, kind: str) -> bool:
    return name in makers and makers[name].op_type == kind


def import_dynamic_product(last: Node, found: DynamicProduct) -> None:
    """Import a product as one op of the chip, from all of its nodes.

    Args:
        last: its last node.
        found: the product.

    Raises:
        Unsupported: if the chip cannot run it; the caller then undoes what was added.
    """
    scope = last.scope
    first = len(scope.ops)
    proto = NodeProto()
    proto.CopyFrom(found.product)
    proto.name, proto.output[0] = last.name, last.proto.output[0]
    node = replace(last, proto=proto)
    scale, weight = last.facts.values[found.scale], node.constant(1)
    columns = 1 if weight is None else weight.shape[0 if "Conv" in proto.op_type else -1]
    shape = [size for size in scale.shape if size != 1]
    if shape not in ([], [columns]) or ("Conv" in proto.op_type and shape):
        raise Unsupported("the scale of its weights is one, or one for each output column")
    real = RealNode(node, _PRODUCTS[proto.op_type])
    real.take_float(found.quantiser.input[0])
    axis = 0 if "Conv" in proto.op_type else -1
    factor = np.asarray(scale, np.float32).reshape(-1)
    real.take(Operand(1, zero=3, axis=axis), factor)
    real.build(None)
    origins = tuple(each.name for each in found.nodes)
    scope.ops[first:] = [replace(op, origins=origins) for op in scope.ops[first:]]
