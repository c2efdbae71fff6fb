"""Products of rows that exporters flatten.

PyTorch writes a linear layer behind attention as Reshape, Gemm, Reshape: time and batch become one
axis of rows, and two axes again behind the product.  While the batch is open, tensors between the
two reshapes have no shape that a chip could hold (see `anacc.frontend.facts`).  But a product is
computed row by row, so the rows may be regrouped in front of it as well:

    Reshape(Gemm(Reshape(x, (T * N, K)), w, c), (T, N, M))  =  Reshape(x, (T, N, K)) @ w + c
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from onnx import NodeProto, helper

from anacc.frontend.external import Array
from anacc.frontend.naming import unused_name
from anacc.frontend.ordering import reads
from anacc.ir import BATCH, TensorType
from anacc.ir.module import Dim


def regroup_rows(
    nodes: list[NodeProto],
    outputs: set[str],
    types: dict[str, TensorType],
    values: dict[str, Array],
) -> list[NodeProto]:
    """The nodes, with the rows of a product grouped in front of it where its reshapes allow that.

    A product is left alone unless its rows have no known shape, those behind its second reshape
    do, and nothing else reads what lies between.

    Args:
        nodes: in topological order.
        outputs: tensors that are outputs of the model.
        types, values: of the tensors; those of new tensors are added.
    """
    labels = {node.name for node in nodes}
    readers = Counter(name for node in nodes for name in reads(node))
    readers.update(outputs)
    makers = {name: node for node in nodes for name in node.output if readers[name] == 1}
    replaced: dict[int, list[NodeProto]] = {}
    for node in nodes:
        product = makers.get(node.input[0]) if _is(node, "Reshape") else None
        flat = makers.get(product.input[0]) if product and _is(product, "Gemm") else None
        if product is None or flat is None or not _is(flat, "Reshape"):
            continue
        shape = types[node.output[0]].shape
        if types[flat.output[0]].shape is not None or not _keeps_rows(product, shape, values):
            continue
        assert shape is not None
        replaced[id(flat)] = []
        replaced[id(product)] = []
        replaced[id(node)] = _regrouped((flat, product, node), shape, types, values, labels)
    return [each for node in nodes for each in replaced.get(id(node), [node])]


def _is(node: NodeProto, operator: str) -> bool:
    return node.op_type == operator and node.domain == ""


def _keeps_rows(
    product: NodeProto, shape: tuple[Dim, ...] | None, values: dict[str, Array]
) -> bool:
    """Whether a Gemm has the form x @ w + c of constants, and what is reshaped are its rows."""
    factors = {a.name: a.f for a in product.attribute if a.name in ("alpha", "beta")}
    transposed = {a.name: a.i for a in product.attribute if a.name in ("transA", "transB")}
    if any(factor != 1 for factor in factors.values()) or transposed.get("transA", 0) != 0:
        return False
    if any(name not in values for name in product.input[1:] if name):
        return False
    columns = values[product.input[1]].shape[0 if transposed.get("transB", 0) != 0 else 1]
    bias = values[product.input[2]] if len(product.input) > 2 and product.input[2] else None
    if bias is not None and math.prod(bias.shape[:-1]) != 1:
        return False
    return shape is not None and 0 not in shape and shape.count(BATCH) == 1 and shape[-1] == columns


def _regrouped(
    chain: tuple[NodeProto, NodeProto, NodeProto],
    shape: tuple[Dim, ...],
    types: dict[str, TensorType],
    values: dict[str, Array],
    labels: set[str],
) -> list[NodeProto]:
    """Reshape, MatMul, and Add where there is a bias; the last one gives what the chain gave."""
    flat, product, last = chain

    def new_tensor(wanted: str, kind: TensorType) -> str:
        name = unused_name(wanted, types.__contains__)
        types[name] = kind
        return name

    dtype = types[last.output[0]].dtype
    weight = product.input[1]
    if any(a.name == "transB" and a.i != 0 for a in product.attribute):
        array = np.ascontiguousarray(values[weight].T)
        # A name that begins with the weight's: see `anacc.frontend.kept.keep_codes`.
        weight = new_tensor(f"{weight}.transposed", TensorType(types[weight].dtype, array.shape))
        values[weight] = array
    grouped = (*shape[:-1], values[weight].shape[0])
    sizes = np.array([dim if isinstance(dim, int) else -1 for dim in grouped], np.int64)
    target = new_tensor(f"{flat.output[0]}.shape", TensorType("int64", sizes.shape))
    values[target] = sizes
    rows = new_tensor(f"{flat.output[0]}.rows", TensorType(dtype, grouped))
    result = last.output[0]
    nodes = [helper.make_node("Reshape", [flat.input[0], target], [rows], name=flat.name)]
    if len(product.input) < 3 or not product.input[2]:
        return [*nodes, helper.make_node("MatMul", [rows, weight], [result], name=product.name)]
    bias = product.input[2]
    if values[bias].ndim != 1:
        array = values[bias].reshape(-1)
        bias = new_tensor(f"{bias}.row", TensorType(types[bias].dtype, array.shape))
        values[bias] = array
    products = new_tensor(f"{product.output[0]}.rows", TensorType(dtype, shape))
    name = unused_name(f"{product.name}:{products}", labels.__contains__)
    labels.add(name)
    nodes.append(helper.make_node("MatMul", [rows, weight], [products], name=product.name))
    return [*nodes, helper.make_node("Add", [products, bias], [result], name=name)]
