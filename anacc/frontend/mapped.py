"""Large initialisers inside an ONNX file, mapped from where they lie in it.

Parsing a file with the library copies all that it holds.  So what the library gets of a large file
lacks the raw data of large initialisers.  Only as much of the format of protocol buffers [1]_ is
read here as finds those: fields are a tag (number * 8 + wire type) and a value, and messages are
values that state their length.  Whatever looks odd is left to the library, which knows what is
wrong with it.

References:
    .. [1] https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from anacc.frontend.external import Array

LARGE_FILE = 2**26
"""Bytes from which on a file is read this way,"""
LARGE_TENSOR = 2**16
"""and an initialiser mapped."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH = ModelProto.GRAPH_FIELD_NUMBER
_INITIALIZER = GraphProto.INITIALIZER_FIELD_NUMBER
_RAW = TensorProto.RAW_DATA_FIELD_NUMBER
_TYPES = {
    getattr(TensorProto, name)
    for name in (
        "FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16",
        "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
    )
}  # fmt: skip


class _Odd(Exception):
    """The bytes are not what is expected here."""


@dataclass
class Slim:
    """A model without its large raw data.

    Attributes:
        data: the serialised model.
        arrays: the initialisers that it lacks the data of, by name; read only.
    """

    data: bytes
    arrays: dict[str, Array] = field(default_factory=dict)


def without_raw_data(data: memoryview, path: Path) -> Slim | None:
    """What remains of a model when its large initialisers are mapped.

    Args:
        data: the whole file.
        path: of the file.

    Returns:
        None if there is nothing to be gained, or the bytes are not in order.
    """
    if len(data) < LARGE_FILE:
        return None
    arrays: dict[str, Array] = {}
    try:
        pieces: list[bytes | memoryview] = []
        for number, kind, start, at, end in _fields(data, 0, len(data)):
            if (number, kind) == (_GRAPH, _BYTES):
                graph = _graph(data, at, end, path, arrays)
                pieces += [_tag(_GRAPH), _varint(len(graph)), graph]
            else:
                pieces.append(data[start:end])
    except _Odd:
        return None
    return Slim(b"".join(pieces), arrays) if arrays else None


def _graph(data: memoryview, at: int, end: int, path: Path, arrays: dict[str, Array]) -> bytes:
    """A graph without the raw data of the initialisers that are added to `arrays`."""
    pieces: list[bytes | memoryview] = []
    for number, kind, start, first, last in _fields(data, at, end):
        rest = None
        if (number, kind) == (_INITIALIZER, _BYTES) and last - first >= LARGE_TENSOR:
            rest = _initializer(data, first, last, path, arrays)
        if rest is None:
            pieces.append(data[start:last])
        else:
            pieces += [_tag(_INITIALIZER), _varint(len(rest)), rest]
    return b"".join(pieces)


def _initializer(
    data: memoryview, at: int, end: int, path: Path, arrays: dict[str, Array]
) -> bytes | None:
    """A tensor without its raw data, which is added to `arrays`; None if it has to stay."""
    pieces: list[memoryview] = []
    raw: list[tuple[int, int]] = []
    for number, kind, start, first, last in _fields(data, at, end):
        if (number, kind) == (_RAW, _BYTES):
            raw.append((first, last))
        else:
            pieces.append(data[start:last])
    if len(raw) != 1:
        return None
    rest, tensor = b"".join(pieces), TensorProto()
    try:
        tensor.ParseFromString(rest)
    except Exception as error:  # Implementations of the library raise classes of their own.
        raise _Odd from error
    ((first, last),) = raw
    if (
        tensor.data_type not in _TYPES
        or tensor.data_location == TensorProto.EXTERNAL
        or tensor.name in arrays
        or any(dim < 0 for dim in tensor.dims)
    ):
        return None
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if not last - first == math.prod(tensor.dims) * dtype.itemsize > 0:
        return None
    # On machines that store numbers the other way round, the library turns them.
    little = dtype.newbyteorder("<") if dtype.kind in "iuf" else dtype
    if little != dtype:
        return None
    flat = np.memmap(path, dtype=dtype, mode="r", offset=first, shape=(math.prod(tensor.dims),))
    arrays[tensor.name] = np.asarray(flat).reshape(tuple(tensor.dims))
    return rest


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """The fields of a message: number, wire type, and where the field, its value and what follows
    begin.

    Raises:
        _Odd: they do not fill the message.
    """
    while at < end:
        start = at
        tag, at = _read_varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            first, (_, at) = at, _read_varint(data, at, end)
        elif kind == _BYTES:
            length, first = _read_varint(data, at, end)
            at = first + length
        elif kind in (_FIXED32, _FIXED64):
            first, at = at, at + (4 if kind == _FIXED32 else 8)
        else:
            raise _Odd
        if at > end:
            raise _Odd
        yield tag >> 3, kind, start, first, at


def _read_varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """An integer in groups of 7 bits, the lowest first, and where what follows begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _Odd
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Odd


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _tag(number: int) -> bytes:
    """The tag of a field that states its length."""
    return _varint(number << 3 | _BYTES)
