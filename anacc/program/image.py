"""A whole program in memory, as the backend makes it and the container stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anacc.program.manifest import Manifest
from anacc.program.model import Code, Float16Array, Float32Array, Int8Array


@dataclass(frozen=True)
class Image:
    """A program.

    Attributes:
        manifest: inputs, outputs, borders, target, options, provenance.
        code: streams and what they refer to.
        constants16: binary16 constants (LDPU scales and offsets, tables), one pool, shape (n,).
        constants32: binary32 constants (average-pooling scales), one pool, shape (m,).
        weights: weight codes in [-127, 127], int8, one (rows, columns) array for each of
            `code.weights`; those of a loaded program are memory mapped and checked at first use.
        segments: serialised ONNX models for the host.
        mapping: the mapper's decisions with their bounds, host reasons and warnings (JSON data).
        origin: for each stream and weight block, the ONNX nodes and the region of the weight
            that it came from; the ONNX tensors that channels hold (JSON data).
    """

    manifest: Manifest
    code: Code
    constants16: Float16Array
    constants32: Float32Array
    weights: Sequence[Int8Array]
    segments: Sequence[bytes]
    mapping: dict[str, Any]
    origin: dict[str, Any]
