"""What is known of each tensor before the model runs: its type, and its value if it has one.

Types come from ONNX's own shape inference, node by node, with the values of shapes that are known
already; where it knows nothing (functions, control flow, foreign operators), from ONNX Runtime.
A node whose inputs all have values is evaluated: so constants fold, and so does shape arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TypeProto, checker, helper, numpy_helper, shape_inference

from anacc.errors import ModelError
from anacc.frontend.evaluation import Session, evaluate, size_of
from anacc.frontend.external import Array
from anacc.frontend.kinds import kind_of
from anacc.frontend.ordering import reads
from anacc.frontend.rounding import correct_pool

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_GROWTH = 8
"""A folded value may be so many times larger than its inputs (4 bits to float32) ..."""
_ALLOWANCE = 1 << 24
"""... plus so many bytes; a larger one stays a node."""
_SHAPE_DATA = 4096
"""Constants of at most so many elements are shown to shape inference."""


class DoesNotFit(Exception):
    """Shape inference refuses a node."""


@dataclass(frozen=True)
class Known:
    """What is known of a tensor: its type, and its value if it does not depend on the inputs."""

    type: TypeProto
    value: Array | None = None

    @property
    def dtype(self) -> str:
        """The element type in NumPy's spelling, or the word for what is not a tensor."""
        return kind_of(self.type)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape, or None if any of it is unknown."""
        tensor = self.type.tensor_type
        if not tensor.HasField("shape"):
            return None
        if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            return None
        return tuple(dim.dim_value for dim in tensor.shape.dim)


def known_array(array: Array) -> Known:
    """A constant as a known tensor."""
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    return Known(helper.make_tensor_type_proto(code, list(array.shape)), array)


def known_input(element: int, shape: Sequence[int | None]) -> Known:
    """An input, of which only the type is known; None is an open dimension."""
    return Known(helper.make_tensor_type_proto(element, list(shape)))


def fold_constants(model: ModelProto, constants: Mapping[str, Array]) -> dict[str, Known]:
    """The constants and all that follows from them alone."""
    known = {name: known_array(array) for name, array in constants.items()}
    for node in model.graph.node:
        if all(name in known for name in reads(node)):
            results = _step(model, node, known, strict=False)
            if results and all(item.value is not None for item in results.values()):
                known.update(results)
    return known


class Inference:
    """What is known of the tensors of a graph, node after node.

    Args:
        model: nodes in topological order, without initialisers.
        constants: as `fold_constants` gives them.
        inputs: the inputs of the graph by name, with full shapes.
        strict: whether a node that does not fit its inputs is an error.
        most: bytes above which the outputs of a node are not computed; None: only by growth.
        asks: whether ONNX Runtime is asked for types that ONNX does not infer.
    """

    def __init__(
        self,
        model: ModelProto,
        constants: Mapping[str, Known],
        inputs: Mapping[str, Known],
        *,
        strict: bool,
        most: int | None = None,
        asks: bool = True,
    ) -> None:
        self.known: dict[str, Known] = {**constants, **inputs}
        self._model, self._constants, self._inputs = model, constants, inputs
        self._strict, self._most = strict, most
        self._told: Mapping[str, TypeProto] | None = None if asks else {}

    def visit(self, node: NodeProto, seen: Mapping[str, Known] | None = None) -> None:
        """Learn about the outputs of a node.

        Args:
            node: all that it reads is known.
            seen: what is known, if that is different for this node alone.

        Raises:
            DoesNotFit: if the inference is strict and the node does not fit its inputs.
            ModelError: if there is no such operator for the types of its inputs, or ONNX Runtime
                is asked for types and refuses the model.
        """
        known = self.known
        if all(name in known for name in node.output if name):
            return
        seen = known if seen is None else seen
        results = _step(self._model, node, seen, strict=self._strict, most=self._most)
        for name in node.output:
            if not name:
                continue
            item = results.get(name, Known(TypeProto()))
            if item.type.WhichOneof("value") == "tensor_type" and item.shape is None:
                item = Known(TypeProto()) if not _has_rank(item.type) else item
            if item.type.WhichOneof("value") is None:
                if self._told is None:
                    self._told = _asked_types(self._model, self._constants, self._inputs)
                item = Known(self._told.get(name, TypeProto()))
            known[name] = item


def misfit(
    model: ModelProto, constants: Mapping[str, Known], inputs: Mapping[str, Known]
) -> str | None:
    """Why a node does not fit its inputs, whatever sizes their open dimensions get.

    Args:
        model: nodes in topological order, without initialisers.
        constants: as `fold_constants` gives them.
        inputs: the inputs of the graph by name, whose shapes may have open dimensions.

    Returns:
        a sentence, None if each node may fit.

    Raises:
        ModelError: as `Inference.visit`.
    """
    inference = Inference(model, constants, inputs, strict=True)
    try:
        for node in model.graph.node:
            inference.visit(node)
    except DoesNotFit as refusal:
        return str(refusal)
    return None


def _has_rank(kind: TypeProto) -> bool:
    return bool(kind.tensor_type.elem_type) and kind.tensor_type.HasField("shape")


def _step(
    model: ModelProto,
    node: NodeProto,
    known: Mapping[str, Known],
    *,
    strict: bool,
    most: int | None = None,
) -> dict[str, Known]:
    """The types of a node's outputs, and their values where those of all inputs are known."""
    types = _types(model, node, known, strict)
    names = reads(node)
    if node.op_type in ("Shape", "Size") and node.domain == "":
        shape = known[node.input[0]].shape
        return {} if shape is None else {node.output[0]: known_array(_measure(node, shape))}
    values = {name: known[name].value for name in names}
    arrays = {name: value for name, value in values.items() if value is not None}
    inner = any(a.HasField("g") or a.graphs for a in node.attribute)
    if len(arrays) == len(names) and not inner and node.op_type not in RANDOM:
        sizes = [size_of(types.get(name, TypeProto())) for name in node.output if name]
        limit = _GROWTH * sum(array.nbytes for array in arrays.values()) + _ALLOWANCE
        limit = limit if most is None else min(limit, most)
        total = sum(size for size in sizes if size is not None)
        if node.op_type == "Constant" or (None not in sizes and total <= limit):
            results = evaluate(node, arrays, model.opset_import)
            if results is not None:
                pairs = zip(node.output, results, strict=True)
                return {name: known_array(array) for name, array in pairs if name}
    return {name: Known(kind) for name, kind in types.items()}


def _measure(node: NodeProto, shape: tuple[int, ...]) -> Array:
    """The result of Shape or Size."""
    if node.op_type == "Size":
        return np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
    bounds = {attribute.name: int(attribute.i) for attribute in node.attribute}
    return np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)


def _types(
    model: ModelProto, node: NodeProto, known: Mapping[str, Known], strict: bool
) -> dict[str, TypeProto]:
    version = {entry.domain: entry.version for entry in model.opset_import}.get(node.domain)
    names = reads(node)
    if version is None or any(known[name].type.WhichOneof("value") is None for name in names):
        return {}
    data = {
        name: numpy_helper.from_array(value, name)
        for name in node.input
        if name and (value := known[name].value) is not None and value.size <= _SHAPE_DATA
    }
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return {}
    try:
        types = shape_inference.infer_node_outputs(
            schema,
            node,
            {name: known[name].type for name in names},
            data,
            opset_imports=list(model.opset_import),
            ir_version=model.ir_version,
        )
        _check_reshape(node, known, types)
        if names and node.output and node.output[0] in types:
            correct_pool(node, known[names[0]].shape, types[node.output[0]])
    except checker.ValidationError as error:
        raise ModelError(_type_fault(node, known, error)) from error
    except (shape_inference.InferenceError, RuntimeError, ValueError, DoesNotFit) as error:
        if strict:
            reason = (str(error).splitlines() or ["its inputs do not fit"])[0]
            reason = reason.removeprefix("[ShapeInferenceError] ")
            raise DoesNotFit(f"node `{node.name}` does not fit its inputs: {reason}") from error
        return {}
    return {name: kind for name, kind in types.items() if name}


def _type_fault(node: NodeProto, known: Mapping[str, Known], error: Exception) -> str:
    """The sentence about a node that has no such operator for the types of its inputs."""
    types = ", ".join(f"`{name}` {known[name].dtype}" for name in reads(node))
    reason = (str(error).splitlines() or ["they do not fit"])[0].strip()
    reason = re.sub(r" typestr: \S+, has unsupported type:", " cannot have type", reason)
    return f"node `{node.name}` ({node.op_type}) does not take the types of {types}: {reason}"


def _check_reshape(
    node: NodeProto, known: Mapping[str, Known], types: Mapping[str, TypeProto]
) -> None:
    """Shape inference believes the target of a Reshape, whatever the size of the input."""
    if node.op_type != "Reshape" or node.domain != "":
        return
    before = known[node.input[0]].shape
    after = Known(types.get(node.output[0], TypeProto())).shape
    if before is not None and after is not None and np.prod(before) != np.prod(after):
        raise DoesNotFit(f"{before} cannot become {after}")


def _asked_types(
    model: ModelProto, constants: Mapping[str, Known], inputs: Mapping[str, Known]
) -> dict[str, TypeProto]:
    """The types of all tensors that nodes compute, as ONNX Runtime infers them."""
    asked = ModelProto()
    asked.CopyFrom(model)
    nodes = [n for n in model.graph.node if any(o and o not in constants for o in n.output)]
    del asked.graph.node[:], asked.graph.input[:], asked.graph.output[:]
    asked.graph.node.extend(nodes)
    asked.graph.input.extend(
        onnx.ValueInfoProto(name=name, type=item.type) for name, item in inputs.items()
    )
    names = [name for node in nodes for name in node.output if name]
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    needed = {name for node in nodes for name in reads(node)}
    arrays = {
        name: item.value
        for name, item in constants.items()
        if item.value is not None and name in needed
    }
    return Session(asked, arrays).output_types()
