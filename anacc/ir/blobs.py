"""The constants of the IR's text: small ones as literals, large ones as files named by content."""

from __future__ import annotations

import hashlib
import importlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.atomic import write_atomically
from anacc.errors import IrError

Array = npt.NDArray[Any]

MAX_INLINE = 16
"""Constants of at most so many elements are written into the text."""

_CHUNK_BYTES = 1 << 24


def digest(array: Array) -> str:
    """SHA-256 of element type, shape and elements in row-major order, in hexadecimal digits.

    Raises:
        IrError: for an array of Python objects, which has no bytes of its own.
    """
    if array.dtype.hasobject:
        raise IrError(f"a constant of {array.size} Python objects has no content hash")
    state = hashlib.sha256(f"{array.dtype}{list(array.shape)}\n".encode())
    rows = array.reshape(1) if array.ndim == 0 else array
    # By rows, so that a constant that is not contiguous in memory is not copied as a whole.
    step = max(1, _CHUNK_BYTES * len(rows) // max(1, array.nbytes))
    for start in range(0, len(rows), step):
        chunk = np.ascontiguousarray(rows[start : start + step])
        state.update(chunk.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def save_blob(array: Array, folder: Path) -> None:
    """Write a constant to `folder/constants`, unless it is there already.

    Raises:
        OSError: it cannot be written; its file name is the file or the folder.
    """
    path = _blob_path(folder, digest(array))
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    if array.dtype.kind == "V":  # bfloat16 and its kin, which .npy files do not know
        array = array.view(f"u{array.dtype.itemsize}")
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    write_atomically(path, [header.getvalue(), array.reshape(-1).view(np.uint8).data])


def load_blob(folder: Path, sha256: str, dtype: np.dtype[Any]) -> Array:
    """The constant of that content and element type, memory mapped.

    Raises:
        IrError: if there is none, or the file is damaged.
    """
    path = _blob_path(folder, sha256)
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IrError(f"the constant `{path}` cannot be read: {error}") from error
    if dtype.kind == "V" and array.dtype == np.dtype(f"u{dtype.itemsize}"):
        array = array.view(dtype)
    if digest(array) != sha256:
        raise IrError(f"the constant `{path}` is damaged: its content has another SHA-256")
    return array


def element_type(name: str) -> np.dtype[Any]:
    """The NumPy type of an element type of the IR.

    Raises:
        ValueError: if there is none of that name.
    """
    try:
        found = np.dtype(name)
    except TypeError:
        # onnx brings this package for bfloat16, the 8-bit floats and the 4-bit integers.
        scalar = getattr(importlib.import_module("ml_dtypes"), name, None)
        found = np.dtype(scalar if isinstance(scalar, type) else object)
    if str(found) != name:
        raise ValueError(f"`{name}` is not an element type")
    return found


def inline_literals(array: Array) -> list[tuple[str, bool]] | None:
    """The elements of a small constant as (text, whether it is a string), in row-major order.

    None where the constant is large, or has elements that literals do not give back bit for bit
    (NaNs with a payload, complex numbers).  Strings are always literals: they have no blob.
    """
    elements = array.reshape(-1) if array.dtype.hasobject or array.size <= MAX_INLINE else None
    if elements is None:
        return None
    if array.dtype.hasobject:
        return [(str(element), True) for element in elements]
    if array.dtype.kind == "b":
        return [("true" if element else "false", False) for element in elements]
    texts = [_number_text(element) for element in elements]
    try:
        values = [float(t) if t.strip("-0123456789") else int(t) for t in texts]
        copy = from_literals(array.dtype, array.shape, values)
    except ValueError:
        return None
    return [(text, False) for text in texts] if copy.tobytes() == array.tobytes() else None


def _number_text(element: Any) -> str:
    """The shortest text that gives the element back, also by way of binary64."""
    short = str(element)
    if element.dtype.kind in "iuc":
        return short
    exact = repr(float(element))
    back = type(element)(float(short)) == element
    return short if back and len(short) < len(exact) else exact


def from_literals(dtype: np.dtype[Any], shape: Sequence[int], values: Sequence[object]) -> Array:
    """A constant from its elements.

    Raises:
        ValueError: if their number is not that of the shape, or one does not fit the type.
    """
    count = int(np.prod(shape, dtype=object)) if len(shape) else 1
    if len(values) != count:
        raise ValueError(f"expected {count} elements, found {len(values)}")
    allowed: tuple[type, ...] = {
        "b": (bool,),
        "i": (int,),
        "u": (int,),
        "f": (int, float),
        "V": (int, float),
        "O": (str,),
    }.get(dtype.kind, ())
    for value in values:
        if type(value) not in allowed:
            raise ValueError(f"{value!r} is not an element of type {dtype}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype).reshape(tuple(shape))
    except (OverflowError, TypeError) as error:
        raise ValueError(f"an element does not fit the type {dtype}") from error
    for value, element in zip(values, array.flat, strict=True):
        if isinstance(value, int | float) and math.isinf(element) and not math.isinf(value):
            raise ValueError(f"{value!r} does not fit the type {dtype}")
    return array


def _blob_path(folder: Path, sha256: str) -> Path:
    return folder / "constants" / f"{sha256}.npy"
