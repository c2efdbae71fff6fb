"""Models in float16, bfloat16 or float64 become models in float32, the type of chip values.

Where a product with a constant matrix is in one of these types, all tensors of that type become
float32: the chip rounds more coarsely than any of them.  Without such a product nothing would run
on the chip, so that the model stays as it is.  Inputs and outputs keep their types at the ports,
where numbers are converted; bfloat16, which NumPy does not have, becomes float32 there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, TypeProto, numpy_helper

from anacc.frontend.external import Array
from anacc.frontend.inference import Known
from anacc.frontend.ordering import inner_graphs, reads
from anacc.frontend.products import matrices
from anacc.frontend.reading import Original

_TYPES: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
_TYPE_ATTRIBUTES = {
    "dtype",
    "output_datatype",
    "output_dtype",
    "softmax_precision",
    "stash_type",
    "to",
}
"""Attributes that hold an element type."""
_BITS = {"BitCast"}
"""Operators whose results depend on how a type is stored."""


def widened(original: Original, constants: Mapping[str, Known]) -> Original:
    """The model in float32, if one of its products with constant matrices is in another float type.

    Args:
        original: the model.
        constants: as `fold_constants` gives them.
    """
    dtypes = {name: item.dtype for name, item in constants.items()}
    found = _product_types(original.model.graph, dtypes)
    codes = {code for code, name in _TYPES.items() if name in found}
    if not codes or _has_bits(original.model.graph):
        return original
    model = type(original.model)()
    model.CopyFrom(original.model)
    ports = {
        entry.name: _TYPES[entry.type.tensor_type.elem_type]
        for entry in (*model.graph.input, *model.graph.output)
        if entry.type.tensor_type.elem_type in codes
    }
    _widen_graph(model.graph, codes)
    arrays = {name: _wide(array, found) for name, array in original.constants.items()}
    kept = {name: dtype for name, dtype in ports.items() if dtype != "bfloat16"}
    return replace(
        original,
        model=model,
        constants=arrays,
        port_types=kept,
        notes=(*original.notes, _note(found, sorted(ports.keys() - kept.keys()))),
    )


def _note(found: set[str], ports: list[str]) -> str:
    text = (
        f"the model multiplies in {' and '.join(sorted(found))}: such tensors are compiled as "
        "float32, which the chip rounds more coarsely than any of these types"
    )
    listed = ", ".join(f"`{name}`" for name in ports)
    return text + (f"; at {listed}, too" if ports else "")


def _product_types(graph: GraphProto, dtypes: Mapping[str, str]) -> set[str]:
    """The types other than float32 of constants that are multiplied by, inner graphs included."""
    known = {
        **dtypes,
        **{tensor.name: _TYPES.get(tensor.data_type, "") for tensor in graph.initializer},
    }
    found = set()
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            codes = [attribute.t.data_type for attribute in node.attribute]
            known[node.output[0]] = _TYPES.get(codes[0] if codes else 0, "")
        folds = all(name in known for name in reads(node))
        if not folds:
            found |= {known[name] for name in matrices(node) if name in known}
        for inner in inner_graphs(node):
            found |= _product_types(inner, known)
    return found & set(_TYPES.values())


def _has_bits(graph: GraphProto) -> bool:
    return any(
        node.op_type in _BITS or any(map(_has_bits, inner_graphs(node))) for node in graph.node
    )


def _wide(array: Array, names: set[str]) -> Array:
    if array.dtype.name not in names:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    result.flags.writeable = False
    return result


def _widen_graph(graph: GraphProto, codes: set[int]) -> None:
    """Replace the types of a graph and of those in it, in place."""
    for entry in (*graph.input, *graph.output, *graph.value_info):
        _widen_type(entry.type, codes)
    for tensor in graph.initializer:
        _widen_tensor(tensor, codes)
    for node in graph.node:
        _widen_node(node, codes)
        for inner in inner_graphs(node):
            _widen_graph(inner, codes)


def _widen_node(node: NodeProto, codes: set[int]) -> None:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen_tensor(attribute.t, codes)
        for tensor in attribute.tensors:
            _widen_tensor(tensor, codes)
        if attribute.HasField("sparse_tensor"):
            _widen_tensor(attribute.sparse_tensor.values, codes)
        if attribute.HasField("tp"):
            _widen_type(attribute.tp, codes)
        if attribute.name in _TYPE_ATTRIBUTES and attribute.i in codes:
            attribute.i = TensorProto.FLOAT


def _widen_tensor(tensor: TensorProto, codes: set[int]) -> None:
    if tensor.data_type in codes:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(_wide(array, {array.dtype.name}), tensor.name))


def _widen_type(kind: TypeProto, codes: set[int]) -> None:
    match kind.WhichOneof("value"):
        case "tensor_type":
            if kind.tensor_type.elem_type in codes:
                kind.tensor_type.elem_type = TensorProto.FLOAT
        case "sequence_type":
            _widen_type(kind.sequence_type.elem_type, codes)
        case "optional_type":
            _widen_type(kind.optional_type.elem_type, codes)
        case "map_type":
            _widen_type(kind.map_type.value_type, codes)
