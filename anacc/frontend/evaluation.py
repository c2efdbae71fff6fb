"""ONNX Runtime as a calculator: the value of a node, and the types that it infers.

Always one thread and no graph optimisation, so that the same model gives the same bits.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from anacc.errors import ModelError
from anacc.frontend.external import Array, array_of, place_of
from anacc.frontend.kinds import runtime_type
from anacc.host_values import for_onnx_runtime

_INLINE_BYTES = 1024
_LARGE_BYTES = 2**28
"""From so many bytes of constants on, ONNX Runtime maps what lies in files, and keeps no second,
rearranged ("prepacked") copy of it.  Below, speed counts more."""
_FOLDER = "session.model_external_initializers_file_folder_path"
_NATIVE = {np.dtype(name) for name in ("f2", "f4", "f8", "?", "i1", "i2", "i4", "i8")}
_NATIVE |= {np.dtype(name) for name in ("u1", "u2", "u4", "u8")}

_CONDITION = r"(?:[^.]*? was false\. )?"
_NOISE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\[ONNXRuntimeError\] : \d+ : \w+ : ", ""),
        (r"^Load model from .* failed:", ""),
        (r"^This is an invalid model\. ", ""),
        (r"^(?:Error: )?In Node, .* , Error ", ""),
        (r"^.*?while running (\w+) node\. Name:'([^']*)' Status Message: ", r"node `\2` (\1): "),
        (r"^Node \((.*?)\) Op \((\w+)\) (?:\[\w+\] )?", r"node `\1` (\2): "),
        (r"node `` \((\w+)\)", r"\1"),
        # A place in the source: its file, its function, and the condition that did not hold.
        (
            r"\S+\.(?:cc|h|hpp|cpp):\d+ (?:[^()]*::[^()]*\([^()]*\)(?: const)? |\w+ )" + _CONDITION,
            "",
        ),
    )
]
"""What is taken out of the messages of ONNX Runtime, in this order."""


def open_session(
    model: bytes | str,
    label: str,
    shared: Mapping[str, Any] | None = None,
    mapped: Path | None = None,
) -> Any:
    """An ONNX Runtime session on one thread and without graph optimisation: each node as it is.

    Args:
        model: the serialised model, or the path of its file.
        label: what messages call it.
        shared: arrays (`OrtValue`) that take the part of external initialisers, by name; they must
            live as long as the session.
        mapped: the folder of the files that other external initialisers are mapped from.

    Raises:
        ModelError: if ONNX Runtime refuses it.
    """
    # Failures are raised; the logs, of which there are two, would say them again.
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if shared:
        options.add_external_initializers(list(shared), list(shared.values()))
    if mapped is not None:
        options.add_session_config_entry(_FOLDER, str(mapped))
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own below Exception.
        raise ModelError(f"ONNX Runtime cannot load {label}: {reason_of(error)}") from error


class Session:
    """A model that ONNX Runtime has loaded.

    Args:
        model: the graph; its `constants` are not in it.
        constants: the constants by name; large ones are shared with ONNX Runtime, not copied.

    Raises:
        ModelError: if ONNX Runtime refuses it.
    """

    def __init__(self, model: ModelProto, constants: Mapping[str, Array]) -> None:
        complete = ModelProto()
        complete.CopyFrom(model)
        shared: dict[str, Any] = {}
        places = _places(constants)
        parents = [path.parent for path, _ in places.values()]
        folder = Path(os.path.commonpath(parents)) if parents else None
        for name, array in constants.items():
            if not _is_large(array):
                complete.graph.initializer.append(numpy_helper.from_array(array, name))
                continue
            tensor = complete.graph.initializer.add(name=name, dims=array.shape)
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.data_location = TensorProto.EXTERNAL
            if folder is not None and name in places:
                path, offset = places[name]
                tensor.external_data.add(key="location", value=str(path.relative_to(folder)))
                tensor.external_data.add(key="offset", value=str(offset))
                tensor.external_data.add(key="length", value=str(array.nbytes))
                continue
            # The place is never read: the array below takes its part.
            tensor.external_data.add(key="location", value="shared")
            shared[name] = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
        self._shared = shared
        self._session = open_session(complete.SerializeToString(), "the model", shared, folder)

    def run(self, feed: Mapping[str, Array]) -> list[Any]:
        """All outputs for a feed.

        Raises:
            ModelError: if ONNX Runtime fails on it.
        """
        try:
            given = {name: for_onnx_runtime(value) for name, value in feed.items()}
            outputs: list[Any] = self._session.run(None, given)
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run the model: {reason_of(error)}") from error
        return outputs

    def output_types(self) -> dict[str, TypeProto]:
        """The types of the outputs, as far as ONNX Runtime infers them."""
        types = {}
        for output in self._session.get_outputs():
            found = runtime_type(output.type)
            if found is None:
                continue
            types[output.name] = found
            # ONNX Runtime writes an unknown rank like a scalar: such a shape is no news.
            if found.HasField("tensor_type") and output.shape:
                code = found.tensor_type.elem_type
                types[output.name] = helper.make_tensor_type_proto(code, output.shape)
        return types


def _is_large(array: Array) -> bool:
    """Whether ONNX Runtime gets a constant by reference: copies of the others cost little."""
    return array.nbytes > _INLINE_BYTES and array.dtype in _NATIVE


def _places(constants: Mapping[str, Array]) -> dict[str, tuple[Path, int]]:
    """Files and offsets of the constants that ONNX Runtime is to map itself: of arrays in memory
    it keeps copies, which only small models can afford."""
    large = {name: array for name, array in constants.items() if _is_large(array)}
    if sum(array.nbytes for array in large.values()) < _LARGE_BYTES:
        return {}
    found = {name: place_of(array) for name, array in large.items()}
    return {name: place for name, place in found.items() if place is not None}


def reason_of(error: Exception) -> str:
    """The first sentence of what ONNX Runtime says, without its codes and places in its source."""
    text = " ".join(str(error).split()) or type(error).__name__
    for pattern, replacement in _NOISE:
        text = pattern.sub(replacement, text)
    return text.split(". ")[0].strip().rstrip(".")[:300]


def evaluate(
    node: NodeProto, arrays: Mapping[str, Array], opsets: Sequence[onnx.OperatorSetIdProto]
) -> list[Array] | None:
    """The results of a node on arrays; those of small ones are remembered.

    Shape arithmetic is evaluated for several sizes of the batch and ways to see it, mostly on the
    same numbers, and a session costs more than all the rest of an import.

    Args:
        node: the node; it has no inner graphs.
        arrays: its inputs by name.
        opsets: the operator sets of the model.

    Returns:
        one array for each output, None if ONNX Runtime cannot run the node.
    """
    plain = _plain_value(node, arrays)
    if plain is not None:
        return [plain]
    small = sum(array.nbytes for array in arrays.values()) <= _INLINE_BYTES
    if not small or any(array.dtype not in _NATIVE for array in arrays.values()):
        return _evaluate(node, arrays, opsets)
    key = (
        node.SerializeToString(deterministic=True),
        tuple(opset.SerializeToString(deterministic=True) for opset in opsets),
        tuple((name, a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()),
    )
    with _LOCK:
        if key in _REMEMBERED:
            return _REMEMBERED[key]
    results = _evaluate(node, arrays, opsets)
    # `functools.lru_cache` would keep large results, too.
    if sum(array.nbytes for array in results or ()) <= _INLINE_BYTES:
        with _LOCK:
            if len(_REMEMBERED) >= _MOST_REMEMBERED:
                del _REMEMBERED[next(iter(_REMEMBERED))]
            _REMEMBERED[key] = results
    return results


_MOST_REMEMBERED = 4096
_REMEMBERED: dict[object, list[Array] | None] = {}
"""Results of `evaluate`; they are read only, and the oldest ones go first."""
_LOCK = Lock()
"""Several threads may compile at once."""


def _evaluate(
    node: NodeProto, arrays: Mapping[str, Array], opsets: Sequence[onnx.OperatorSetIdProto]
) -> list[Array] | None:
    """The results of a node on arrays; see `evaluate`."""
    feed = {name: array for name, array in arrays.items() if array.dtype in _NATIVE}
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape)
        )
        for name, array in feed.items()
    ]
    others = {name: array for name, array in arrays.items() if name not in feed}
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", inputs, outputs)
    model = helper.make_model(graph, opset_imports=list(opsets), ir_version=10)
    try:
        results = iter(Session(model, others).run(feed))
    except ModelError:
        return None
    arrays_out = []
    for name in node.output:
        result = next(results) if name else np.zeros(0, np.float32)
        if not isinstance(result, np.ndarray):
            return None
        result.flags.writeable = False
        arrays_out.append(result)
    return arrays_out


def _plain_value(node: NodeProto, arrays: Mapping[str, Array]) -> Array | None:
    """The result of the commonest nodes, for which no session is worth its time."""
    if node.domain != "" or len(node.output) != 1:
        return None
    if node.op_type == "Identity":
        return arrays[node.input[0]]
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    held = node.attribute[0]
    match held.name:
        case "value":
            return array_of(held.t, None)
        case "value_float" | "value_floats":
            value = np.array(held.f if held.name == "value_float" else held.floats, np.float32)
        case "value_int" | "value_ints":
            value = np.array(held.i if held.name == "value_int" else held.ints, np.int64)
        case _:
            return None
    value.flags.writeable = False
    return value


def size_of(kind: TypeProto) -> int | None:
    """Bytes of a tensor of this type, or None if they are not known."""
    tensor = kind.tensor_type
    if not tensor.elem_type or not tensor.HasField("shape"):
        return None
    if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    item = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return item * math.prod(dim.dim_value for dim in tensor.shape.dim)
