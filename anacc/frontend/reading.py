"""Reading a model: a file or a ModelProto becomes a checked graph and its constants.

What holds afterwards: the graph is valid ONNX in an operator set that is known here, has no local
functions, its nodes are in topological order and have distinct names, and its initialisers stand
apart as arrays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError, Message
from onnx import FunctionProto, GraphProto, ModelProto, TensorProto, checker, helper

from anacc.errors import ModelError
from anacc.files import open_regular
from anacc.frontend.external import Array, array_of, dense_array_of, embed, external_file
from anacc.frontend.functions import expand_functions
from anacc.frontend.kinds import kind_of
from anacc.frontend.mapped import without_raw_data
from anacc.frontend.ordering import inner_graphs, name_nodes, sort_nodes
from anacc.host_values import is_kind

OLDEST_OPSET = 7
"""Older operator sets broadcast by attributes, and no ONNX Runtime that we know runs those; a model
of which every operator stayed the same until this one is read as being of this one."""
NEWEST_OPSET = onnx.defs.onnx_opset_version()
"""The newest operator set that the installed onnx knows: shape inference knows no later one."""
_MAX_BYTES = 2**31 - 1
"""Protocol buffers hold no more."""
_MAX_DEPTH = 33
"""Graphs in graphs: files hold 100 messages in each other, and each graph takes three."""
_STRIP = ("value_info", "quantization_annotation", "metadata_props", "doc_string")


@dataclass(frozen=True)
class Original:
    """A model as read.

    Attributes:
        model: without initialisers, value infos and functions.
        constants: the initialisers by name.
        sha256: of the bytes of the file and of those that hold its external data.
        port_types: element types of inputs and outputs that are float32 in the model only.
        notes: what the user should know about how the model was read.
    """

    model: ModelProto
    constants: dict[str, Array]
    sha256: str
    port_types: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read(model: str | Path | ModelProto) -> Original:
    """Read a model.

    Raises:
        ModelError: if it is missing, damaged, not ONNX, or of an unknown version.
    """
    if isinstance(model, ModelProto):
        proto, folder, mapped = ModelProto(), None, dict[str, Array]()
        proto.CopyFrom(model)
        label = "the model"
        _check_depth(proto)
        try:
            digest = hashlib.sha256(model.SerializeToString(deterministic=True))
        except (EncodeError, ValueError) as error:
            raise ModelError(
                "the model is larger than 2 GiB, the limit of ONNX models",
                "save it with its weights as external data, and give its path",
            ) from error
    else:
        path = Path(model)
        data = _bytes_of(path)
        digest, label, folder = hashlib.sha256(data), f"`{path}`", path.parent
        proto = ModelProto()
        less = without_raw_data(data, path)
        mapped = less.arrays if less is not None else {}
        try:
            proto.ParseFromString(less.data if less is not None else bytes(data))
        except (DecodeError, ValueError) as error:
            raise ModelError(f"{label} is not an ONNX model, or is truncated") from error
        del data, less
    _check_version(proto, label)
    proto.graph.name = proto.graph.name or "graph"
    holders: list[GraphProto | FunctionProto] = [proto.graph, *proto.functions]
    tensors = [tensor for holder in holders for tensor in _external(holder)]
    for file in sorted({external_file(tensor, folder) for tensor in tensors}):
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise ModelError(f"`{file.name}` cannot be read: {error.strerror}") from error
    for holder in holders:
        embed(holder, folder)
    constants = _take_constants(proto, folder, mapped)
    # Only a new message gives back the memory of what was taken out of the old one.
    slim = ModelProto()
    slim.CopyFrom(proto)
    del proto
    if not all(isinstance(name, str) for name in constants) or not _has_text(slim):
        raise ModelError(f"{label} is damaged: it has a name that is not UTF-8")
    _check_names(slim, constants, label)
    proto = _inlined(slim, constants)
    _check_references(proto.graph, label)
    sort_nodes(proto.graph, set(constants))
    _check(proto, constants, label)
    name_nodes(proto.graph)
    return Original(proto, constants, digest.hexdigest())


def _check_depth(proto: ModelProto) -> None:
    """Refuse what is nested more deeply than a file can be; what follows here is recursive."""
    pending: list[tuple[GraphProto | FunctionProto, int]] = [(proto.graph, 1)]
    pending += [(function, 1) for function in proto.functions]
    while pending:
        holder, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ModelError(f"the graphs of the model are nested more than {_MAX_DEPTH} deep")
        pending += [(inner, depth + 1) for node in holder.node for inner in inner_graphs(node)]


def _bytes_of(path: Path) -> memoryview:
    """The content of a file, memory mapped."""
    if path.is_dir():
        raise ModelError(f"`{path}` is a folder, not an ONNX model")
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _MAX_BYTES:
                raise ModelError(
                    f"`{path}` is larger than 2 GiB, the limit of ONNX files",
                    "save it with its weights as external data",
                )
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError:
        raise ModelError(f"`{path}` does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"`{path}` cannot be read: {reason}") from error
    if not data:
        raise ModelError(f"`{path}` is empty")
    return memoryview(data)


def _check_version(proto: ModelProto, label: str) -> None:
    if proto.ir_version < 1 or not proto.HasField("graph"):
        raise ModelError(f"{label} is not an ONNX model, or is truncated")
    if not proto.graph.output:
        raise ModelError(f"{label} has no outputs")
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    # A model of other domains alone need not say which version of the default one it has.
    foreign = bool(versions) and not any(n.domain in ("", "ai.onnx") for n in proto.graph.node)
    versions.setdefault("", versions.pop("ai.onnx", NEWEST_OPSET if foreign else 1))
    if _is_unchanged(proto.graph, versions[""]):
        versions[""] = OLDEST_OPSET
    if not OLDEST_OPSET <= versions[""] <= NEWEST_OPSET:
        raise ModelError(
            f"{label} uses operator set {versions['']}; {OLDEST_OPSET} to {NEWEST_OPSET} are known",
            "convert it with onnx.version_converter.convert_version",
        )
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(*entry) for entry in sorted(versions.items()))
    for function in proto.functions:
        for entry in function.opset_import:
            entry.domain = "" if entry.domain == "ai.onnx" else entry.domain
    imports = [*proto.opset_import, *(e for f in proto.functions for e in f.opset_import)]
    for entry in imports:
        if not 0 < entry.version < 2**31:
            raise ModelError(f"{label} uses operator set {entry.version} of `{entry.domain}`")
    holders: list[GraphProto | FunctionProto] = [proto.graph, *proto.functions]
    for holder in holders:
        _shorten_domains(holder)
    # The container format only gains fields that are cleared here; a newer number is no obstacle.
    proto.ir_version = min(proto.ir_version, onnx.IR_VERSION)


def _shorten_domains(holder: GraphProto | FunctionProto) -> None:
    """Call the domain of ONNX itself by its usual name, ""."""
    for node in holder.node:
        node.domain = "" if node.domain == "ai.onnx" else node.domain
        for inner in inner_graphs(node):
            _shorten_domains(inner)


def _is_unchanged(graph: GraphProto, version: int) -> bool:
    """Whether all operators of a graph of an old operator set mean the same in `OLDEST_OPSET`."""
    if not 0 < version < OLDEST_OPSET:
        return False
    try:
        return all(
            onnx.defs.get_schema(node.op_type, version, "").since_version
            == onnx.defs.get_schema(node.op_type, OLDEST_OPSET, "").since_version
            for node in graph.node
            if node.domain in ("", "ai.onnx")
        ) and all(
            _is_unchanged(inner, version)
            for node in graph.node
            for attribute in node.attribute
            for inner in (attribute.g, *attribute.graphs)
        )
    except onnx.defs.SchemaError:
        return False


def _has_text(message: Message) -> bool:
    """Whether all strings of a message are text; others come as bytes, or raise when used."""
    try:
        for field, items in _strings_and_messages(message):
            is_text = field.type == field.TYPE_STRING
            if not all(isinstance(i, str) if is_text else _has_text(i) for i in items):
                return False
    except UnicodeDecodeError:
        return False
    return True


def _check_references(graph: GraphProto, label: str) -> None:
    """Refuse attributes that are to come from a function, where there is none."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{label} is not valid ONNX: attribute `{attribute.name}` of node "
                    f"`{node.name or node.op_type}` is one of a function, and is in none"
                )
        for inner in inner_graphs(node):
            _check_references(inner, label)


def _check_names(proto: ModelProto, constants: dict[str, Array], label: str) -> None:
    """Refuse control characters in names: they would break messages and reports into lines."""
    for name in (*constants, *_names(proto)):
        if any(character < " " or character == "\x7f" for character in name):
            raise ModelError(f"{label} is not valid ONNX: the name {name[:80]!r} is not printable")


def _names(message: Message) -> Iterator[str]:
    """All strings of a message but its documentation."""
    for field, items in _strings_and_messages(message):
        if field.type == field.TYPE_STRING and field.name != "doc_string":
            yield from items
        elif field.type == field.TYPE_MESSAGE and field.name != "metadata_props":
            for item in items:
                yield from _names(item)


def _strings_and_messages(message: Message) -> Iterator[tuple[Any, list[Any]]]:
    """The fields of a message that hold strings or messages, each with all that it holds."""
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            single = isinstance(value, (str, bytes, Message))
            yield field, [value] if single else list(value)


def _external(holder: GraphProto | FunctionProto) -> list[TensorProto]:
    initializers = holder.initializer if isinstance(holder, GraphProto) else ()
    found = [t for t in initializers if t.data_location == TensorProto.EXTERNAL]
    for node in holder.node:
        for attribute in node.attribute:
            tensors = (attribute.t, *attribute.tensors)
            found += [t for t in tensors if t.data_location == TensorProto.EXTERNAL]
            for inner in (attribute.g, *attribute.graphs):
                found += _external(inner)
    return found


def _take_constants(
    proto: ModelProto, folder: Path | None, mapped: Mapping[str, Array]
) -> dict[str, Array]:
    """Move the initialisers out of the graph, and drop the inputs that only give them types.

    Those that are `mapped` are not in the graph as a whole.
    """
    constants: dict[str, Array] = {}
    for tensor in proto.graph.initializer:
        if tensor.name in constants:
            raise ModelError(f"initialiser `{tensor.name}` is defined twice")
        known = mapped.get(tensor.name)
        constants[tensor.name] = array_of(tensor, folder) if known is None else known
    for sparse in proto.graph.sparse_initializer:
        if sparse.values.name in constants:
            raise ModelError(f"initialiser `{sparse.values.name}` is defined twice")
        constants[sparse.values.name] = dense_array_of(sparse, folder)
    inputs = [entry for entry in proto.graph.input if entry.name not in constants]
    del proto.graph.initializer[:], proto.graph.sparse_initializer[:], proto.graph.input[:]
    proto.graph.input.extend(inputs)
    for field in _STRIP:
        proto.graph.ClearField(field)
    return constants


def _inlined(proto: ModelProto, constants: dict[str, Array]) -> ModelProto:
    """The model with its local functions expanded."""
    if not proto.functions:
        return proto
    inlined = expand_functions(_with_constants_as_inputs(proto, constants))
    kept = [entry for entry in inlined.graph.input if entry.name not in constants]
    del inlined.graph.input[:]
    inlined.graph.input.extend(kept)
    return inlined


def _with_constants_as_inputs(proto: ModelProto, constants: dict[str, Array]) -> ModelProto:
    """The same graph with every constant as an input: what libraries can handle without copies.

    Where an input or output lacks type or shape it gets one: the checker wants it, nobody else.
    """
    model = ModelProto()
    model.CopyFrom(proto)
    for entry in (*model.graph.input, *model.graph.output):
        if not entry.HasField("type"):
            entry.type.tensor_type.elem_type = TensorProto.FLOAT
        if entry.type.WhichOneof("value") == "tensor_type":
            entry.type.tensor_type.shape.SetInParent()
    model.graph.input.extend(
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape)
        )
        for name, array in constants.items()
    )
    return model


def _check(proto: ModelProto, constants: dict[str, Array], label: str) -> None:
    for entry in proto.graph.input:
        kind = kind_of(entry.type)
        if kind == "unknown":
            raise ModelError(f"input `{entry.name}` has no element type")
        if not is_kind(kind):
            raise ModelError(
                f"input `{entry.name}` of {label} is of type {kind}, which programs cannot hold",
                "feed it as numbers or strings of a byte or more each",
            )
    try:
        checker.check_model(_with_constants_as_inputs(proto, constants))
    except (checker.ValidationError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelError(f"{label} is not valid ONNX: {reason}") from error
