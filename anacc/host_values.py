"""What the host holds: tensors, sequences of tensors, and optionals; as ONNX Runtime takes them.

A kind is one word, the element type in NumPy's spelling: `float32`, `int64`, `bool`; `object` is a
tensor of strings.  A sequence has `sequence_` before it and is a Python list of arrays; what may be
absent has `optional_` before that, and is None then: `sequence_int64`, `optional_float32`,
`optional_sequence_object`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

NUMBERS = (
    "float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32",
    "int64", "uint64", "bool",
)  # fmt: skip
"""What NumPy has itself; only such tensors may become tokens of the chip."""

STRING = "object"

NARROW = (
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu",
)  # fmt: skip
"""What NumPy knows from ml_dtypes.  ONNX Runtime takes such tensors but gives none back; it takes
no elements of less than a byte, for it would read an array's bytes as packed ones."""

OPTIONAL, SEQUENCE = "optional_", "sequence_"
"""What stands before the element type in the kinds of values that are no tensors."""

_PREFIX = f"(?:{OPTIONAL})?(?:{SEQUENCE})?"
KIND = rf"^(?:{_PREFIX}(?:{'|'.join((*NUMBERS, STRING))})|{'|'.join(NARROW)})$"
"""A regular expression of all kinds."""


def is_kind(word: str) -> bool:
    """Whether a word is a kind, of which a program may hold values."""
    return re.match(KIND, word) is not None


def is_tensor(kind: str) -> bool:
    """Whether values of a kind are arrays."""
    return not kind.startswith((OPTIONAL, SEQUENCE))


def is_returned(kind: str) -> bool:
    """Whether ONNX Runtime gives values of a kind back to Python."""
    return kind not in NARROW


def element_type(kind: str) -> np.dtype[Any]:
    """The element type of the tensors of a kind."""
    name = kind.removeprefix(OPTIONAL).removeprefix(SEQUENCE)
    if name in NARROW:
        import ml_dtypes  # noqa: F401  (NumPy knows the names from then on)
    return np.dtype(name)


def as_array(value: Any) -> Any:
    """A tensor of the host from what a caller gave; strings of one length become objects.

    Raises:
        ValueError: NumPy makes no array of it.
    """
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "U" else array


def as_value(value: Any) -> Any:
    """A value of the host of yet unknown kind: None, a list of arrays, or an array.

    Raises:
        ValueError: NumPy makes no array of it.
    """
    if value is None or is_list_of_arrays(value):
        return value if value is None else [as_array(item) for item in value]
    return as_array(value)


def as_kind(value: Any, kind: str) -> Any:
    """A value as its kind wants it: numbers and lists of numbers become arrays.

    What does not fit the kind is left as it is, for `mismatch` to say so.

    Raises:
        ValueError: NumPy makes no array of it.
    """
    if is_tensor(kind):
        return as_array(value)
    is_sequence = kind.removeprefix(OPTIONAL).startswith(SEQUENCE)
    if value is None or is_sequence:
        return [as_array(item) for item in value] if isinstance(value, (list, tuple)) else value
    return as_array(value)


def is_list_of_arrays(value: Any) -> bool:
    """Whether a value is a sequence rather than numbers in brackets; an empty list is one too."""
    return isinstance(value, (list, tuple)) and all(isinstance(item, np.ndarray) for item in value)


def mismatch(value: Any, kind: str) -> str | None:
    """Why a value is not of a kind, as a predicate, or None; shapes are not looked at."""
    if kind.startswith(OPTIONAL):
        return None if value is None else mismatch(value, kind.removeprefix(OPTIONAL))
    if kind.startswith(SEQUENCE):
        if not isinstance(value, list):
            return f"is not a list of arrays but {type(value).__name__}"
        reasons = (mismatch(item, kind.removeprefix(SEQUENCE)) for item in value)
        first = next((f"in position {k} {why}" for k, why in enumerate(reasons) if why), None)
        return first
    if not isinstance(value, np.ndarray):
        return f"is not a NumPy array but {type(value).__name__}"
    if value.dtype != element_type(kind):
        return f"has element type {value.dtype}, not {kind}"
    if kind == STRING and not all(isinstance(item, str) for item in value.flat):
        return "has elements that are no strings"
    return None


def for_onnx_runtime(value: Any) -> Any:
    """A value as `InferenceSession.run` takes it: arrays of `NARROW` elements are wrapped."""
    if not isinstance(value, np.ndarray) or value.dtype.name not in NARROW:
        return value
    import onnx
    import onnxruntime

    code = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    contiguous = np.asarray(value, order="C")
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous, code)
