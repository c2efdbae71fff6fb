"""Baking: arrays that a model takes as inputs become constants of it.

Only constant weights lie on crossbars.  A model that is fed its weights (as ONNX's own tests of
nodes are) computes on the host, until they are baked::

    proto = anacc.bake(proto, {"W": weights, "B": bias})
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, defs, numpy_helper

from anacc.errors import FeedError, UsageError
from anacc.frontend.kinds import kind_of
from anacc.frontend.ordering import reads
from anacc.host_values import as_array, is_kind, is_tensor, mismatch

_INITIALISERS_ALONE = 4
"""The first version of the container format in which an initialiser need not be an input too."""

_ACTIVATIONS = {
    "LSTM": (0, 5, 6),  # the input, and the states that a streaming model carries
    "GRU": (0, 5),
    "RNN": (0, 5),
    "DeformConv": (0, 2, 4),  # the input, where its windows look, and how much they count
} | dict.fromkeys(
    (
        "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DequantizeLinear", "Einsum",
        "Gemm", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "MatMul",
        "MatMulInteger", "PRelu", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
        "RMSNormalization", "Slice",
    ),
    (0,),
)  # fmt: skip
"""Positions of the activations of operators that have parameters: all other inputs are such."""


def bake(model: ModelProto, arrays: Mapping[str, npt.ArrayLike]) -> ModelProto:
    """A copy of a model with some of its inputs replaced by constants.

    A symbolic dimension that an array gives a size has that size everywhere.

    Args:
        model: the model; it is not changed.
        arrays: an array for each input that becomes constant, of its element type and shape.

    Raises:
        FeedError: the model has no such input, or the array is not what the input wants, or two
            arrays give different sizes to a symbol.
        UsageError: an argument has another type.
    """
    if not isinstance(model, ModelProto):
        raise UsageError(
            f"`model` is an ONNX model, not a value of type {type(model).__name__}",
            "read it with `onnx.load`",
        )
    if not isinstance(arrays, Mapping):
        raise UsageError(f"`arrays` is a mapping by input name, not {type(arrays).__name__}")
    baked = ModelProto()
    baked.CopyFrom(model)
    graph = baked.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {entry.name: entry for entry in graph.input if entry.name not in stored}
    sizes: dict[str, int] = {}
    for name, given in arrays.items():
        if name not in inputs:
            listed = ", ".join(f"`{other}`" for other in inputs)
            raise FeedError(f"there is no input `{name}` to bake", f"the inputs are {listed}")
        try:
            array = as_array(given)
        except ValueError as error:
            raise FeedError(f"input `{name}` cannot be baked: it is no array") from error
        _check(inputs[name], array, sizes)
        graph.initializer.append(numpy_helper.from_array(array, name))
    kept = [entry for entry in graph.input if entry.name not in arrays]
    del graph.input[:]
    graph.input.extend(kept)
    for entry in (*graph.input, *graph.output):
        for dim in entry.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    baked.ir_version = max(baked.ir_version, _INITIALISERS_ALONE)
    return baked


def parameter_inputs(model: ModelProto) -> tuple[str, ...]:
    """The inputs of a model that are parameters: weights, biases, scales, shapes, axes.

    An input is an activation if an output depends on it other than through a parameter of an
    operator, and a parameter otherwise.  Parameters of an operator are its inputs but the
    activations where it stands in the table above, and the inputs behind the first one that are
    integers by definition (the shape of Reshape, the axes of ReduceSum).
    """
    graph = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    makers = {name: node for node in graph.node for name in node.output}
    active: set[str] = set()
    pending = [entry.name for entry in graph.output]
    while pending:
        name = pending.pop()
        if name in active:
            continue
        active.add(name)
        if name in makers:
            pending += _activations(makers[name], versions)
    stored = {tensor.name for tensor in graph.initializer}
    return tuple(
        entry.name
        for entry in graph.input
        if entry.name not in active
        and entry.name not in stored
        and entry.type.HasField("tensor_type")
    )


def _activations(node: NodeProto, versions: Mapping[str, int]) -> list[str]:
    """The tensors that a node reads, its parameters left out; all that inner graphs read counts."""
    inner = set(reads(node)) - set(node.input)
    return [*inner, *(n for k, n in enumerate(node.input) if n and _moves(node, k, versions))]


def _moves(node: NodeProto, position: int, versions: Mapping[str, int]) -> bool:
    """Whether an input of a node is an activation."""
    if node.domain not in ("", "ai.onnx"):
        return True
    if node.op_type in _ACTIVATIONS:
        return position in _ACTIVATIONS[node.op_type]
    version = versions.get(node.domain) or versions.get("") or versions.get("ai.onnx", 1)
    try:
        declared = defs.get_schema(node.op_type, version, "").inputs
    except defs.SchemaError:
        return True
    if position == 0 or position >= len(declared):  # behind them stand more of a variadic input
        return True
    return bool(declared[position].type_str != "tensor(int64)")


def _check(entry: ValueInfoProto, array: npt.NDArray[np.generic], sizes: dict[str, int]) -> None:
    """Compare an array with the input that it replaces; `sizes` of symbols are added to.

    Raises:
        FeedError: it does not fit.
    """
    kind: TypeProto = entry.type
    word = kind_of(kind)
    if not (is_kind(word) and is_tensor(word)):
        raise FeedError(f"input `{entry.name}` cannot be baked: it is of type {word}")
    reason = mismatch(array, word)
    if reason is not None:
        raise FeedError(f"input `{entry.name}` cannot be baked: the array {reason}")
    if not kind.tensor_type.HasField("shape"):
        return
    dims = kind.tensor_type.shape.dim
    fits = len(dims) == array.ndim
    for dim, size in zip(dims, array.shape, strict=False):
        if dim.HasField("dim_value"):
            fits = fits and dim.dim_value == size
        elif dim.dim_param:
            fits = fits and sizes.setdefault(dim.dim_param, size) == size
    if not fits:
        wanted = ", ".join(
            str(sizes.get(dim.dim_param, dim.dim_param or "?"))
            if not dim.HasField("dim_value")
            else str(dim.dim_value)
            for dim in dims
        )
        raise FeedError(
            f"input `{entry.name}` cannot be baked: the array has shape {array.shape}, "
            f"not ({wanted})"
        )
