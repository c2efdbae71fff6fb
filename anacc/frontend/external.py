"""Tensors of a model as NumPy arrays, in the file or in files beside it.

Data beside the model is memory mapped, never copied.  A model may name only files inside its own
folder: a path that leaves it, directly or through a symbolic link, is refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from anacc.errors import ModelError

Array = npt.NDArray[Any]

MAX_DENSE_BYTES = 4 * 2**30
"""Bytes of a sparse tensor once its zeros are written out."""
_PACKED = {
    TensorProto.INT2,
    TensorProto.UINT2,
    TensorProto.INT4,
    TensorProto.UINT4,
    TensorProto.FLOAT4E2M1,
    TensorProto.FLOAT6E2M3,
    TensorProto.FLOAT6E3M2,
}
"""Types of elements of less than a byte, several of which lie in one."""


def array_of(tensor: TensorProto, folder: Path | None) -> Array:
    """The content of a tensor, read only.

    Args:
        tensor: the tensor.
        folder: the folder of the model, or None for a model in memory.

    Raises:
        ModelError: if its data is missing, outside the folder, or not of the stated size.
    """
    name = tensor.name or "constant"
    if any(dim < 0 for dim in tensor.dims):
        raise ModelError(f"tensor `{name}` has a negative dimension")
    if tensor.data_location == TensorProto.EXTERNAL:
        return _mapped(tensor, name, folder)
    try:
        array: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, RuntimeError, MemoryError) as error:
        raise ModelError(f"tensor `{name}` is damaged: its data does not fit its shape") from error
    array.flags.writeable = False
    return array


def dense_array_of(sparse: SparseTensorProto, folder: Path | None) -> Array:
    """The content of a sparse tensor, with its zeros, read only.

    Raises:
        ModelError: as `array_of`, if indices and shape do not fit, or it is larger than
            `MAX_DENSE_BYTES`.
    """
    name = sparse.values.name or "constant"
    values, indices = array_of(sparse.values, folder), array_of(sparse.indices, folder)
    shape = tuple(sparse.dims)
    if any(dim < 0 for dim in shape):
        raise ModelError(f"tensor `{name}` has a negative dimension")
    size = math.prod(shape) * values.itemsize
    if size > MAX_DENSE_BYTES:
        raise ModelError(
            f"the sparse tensor `{name}` of shape {shape} takes {size / 2**30:,.0f} GiB with its "
            f"zeros, and {MAX_DENSE_BYTES // 2**30} GiB are the limit"
        )
    try:
        dense: Array = np.zeros(shape, values.dtype)
        if indices.ndim == 2:
            if indices.shape[1] != len(shape) or (indices < 0).any():
                raise ValueError("they are no places")
            dense[tuple(indices.T)] = values
        else:
            if (indices < 0).any():
                raise ValueError("they are no places")
            dense.reshape(-1)[indices] = values
    except (ValueError, IndexError, TypeError) as error:
        reason = "its indices do not fit"
        raise ModelError(f"the sparse tensor `{name}` is damaged: {reason}") from error
    dense.flags.writeable = False
    return dense


def external_file(tensor: TensorProto, folder: Path | None) -> Path:
    """The file that holds the data of an external tensor.

    Raises:
        ModelError: if it is missing or outside the folder of the model.
    """
    name = tensor.name or "constant"
    location = _entries(tensor).get("location", "")
    if folder is None:
        raise ModelError(
            f"tensor `{name}` is in the file `{location}`, but the model came without its path",
            "give the path of the model, or load it with its external data",
        )
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        exists = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"tensor `{name}` names no usable file: {location[:80]!r}") from error
    if not location or Path(location).is_absolute() or not path.is_relative_to(root):
        raise ModelError(f"tensor `{name}` is in `{location}`, outside the folder of the model")
    if not exists:
        raise ModelError(f"tensor `{name}` is in the file `{location}`, which does not exist")
    return path


def place_of(array: Array) -> tuple[Path, int] | None:
    """The file that an array is mapped from, and the offset of its first element in bytes.

    None if it is mapped from none, or is not the elements of a stretch of the file in order.
    """
    if not array.flags.c_contiguous:
        return None
    owner: Any = array
    while owner is not None and not isinstance(owner, np.memmap):
        owner = getattr(owner, "base", None)
    if owner is None or owner.filename is None:
        return None
    return Path(owner.filename), int(owner.offset) + array.ctypes.data - owner.ctypes.data


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _mapped(tensor: TensorProto, name: str, folder: Path | None) -> Array:
    path = external_file(tensor, folder)
    entries = _entries(tensor)
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        offset = int(entries.get("offset", "0"))
        stated = int(entries.get("length", "-1"))
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"tensor `{name}` has an unknown type or a malformed place") from error
    if tensor.data_type in _PACKED or dtype == np.dtype(object):
        raise ModelError(
            f"tensor `{name}` has an element type that cannot be in its own file",
            "save the model with this tensor inside",
        )
    count = math.prod(tensor.dims)
    length = count * dtype.itemsize
    if offset < 0 or stated not in (-1, length) or offset + length > path.stat().st_size:
        raise ModelError(f"tensor `{name}` does not fit its place in `{path.name}`")
    try:
        if length == 0:
            return np.zeros(tuple(tensor.dims), dtype)
        flat = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,))
        return np.asarray(flat).reshape(tuple(tensor.dims))
    except (OSError, ValueError) as error:
        raise ModelError(f"tensor `{name}` is damaged: no array has its shape") from error


def embed(holder: onnx.GraphProto | onnx.FunctionProto, folder: Path | None) -> None:
    """Put the external tensors of attributes and inner graphs into the graph or function itself.

    Sparse initialisers of inner graphs become dense.  The outermost graph's initialisers are not
    touched.

    Raises:
        ModelError: as `array_of` does.
    """
    for node in holder.node:
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors):
                _embed_tensor(tensor, folder)
            for inner in (attribute.g, *attribute.graphs):
                for tensor in inner.initializer:
                    _embed_tensor(tensor, folder)
                for sparse in inner.sparse_initializer:
                    dense = dense_array_of(sparse, folder)
                    inner.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
                if inner.sparse_initializer:
                    inner.ClearField("sparse_initializer")
                embed(inner, folder)


def _embed_tensor(tensor: TensorProto, folder: Path | None) -> None:
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor.CopyFrom(numpy_helper.from_array(array_of(tensor, folder), tensor.name))
