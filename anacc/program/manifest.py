"""The manifest of a program file: a JSON document, validated at load."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from anacc.host_values import KIND

FORMAT_VERSION = 3

Kind = Annotated[str, Field(pattern=KIND)]
"""What a value of the host is, such as `float32` or `sequence_int64`: see `anacc.host_values`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Border(_Strict):
    """How a tensor of the host becomes tokens of a channel, and back.

    With the batch axis taken out (None: the tensor has none; every sample sees the same tensor, and
    a batch of one is assumed), the tensor is transposed by `permutation` and flattened row-major;
    consecutive `token_size` elements of the channel are one token.

    An INT8 channel holds clamp(rint((v - zero) / scale), -127, 127), a BINARY16 channel
    h((v - zero) / scale); back, v = element * scale + zero in binary32.  A TENSOR channel holds
    the tensor itself and ignores `permutation`, `scale` and `zero`; strings, sequences and
    optionals go through no other, and what is no tensor has no axes here.  Where the border of a
    model input or output is of type float32 and the port of float16 or float64, the tensor is
    converted, to nearest even.
    """

    name: str  # the ONNX tensor
    channel: int = Field(ge=0)
    dtype: Kind
    shape: tuple[int | None, ...]  # with the batch axis; its size where it is fixed, else None
    batch_axis: int | None
    permutation: tuple[int, ...]  # of the axes that remain without the batch axis
    scale: float = Field(gt=0)
    zero: int = Field(default=0, ge=-(2**24), le=2**24)  # exact in binary32


class Segment(_Strict):
    """An ONNX segment that the host runs: member host/NNNNN.onnx; its inputs and outputs are
    borders (by position in the manifest's list), named like the segment's graph inputs and
    outputs."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Port(_Strict):
    """An input or output of the model as ONNX Runtime would show it; what is no tensor has no axes
    here."""

    name: str
    dtype: Kind
    shape: tuple[int | None, ...]  # None: the symbolic batch; empty if `dynamic`
    batch_axis: int | None
    dynamic: bool = False  # the shape depends on the data: an output that the host computes


class Manifest(_Strict):
    """Everything of a program that is not code, weights, constants or ONNX segments."""

    format_version: int
    model: str  # the ONNX graph's name
    model_sha256: str
    target: dict[str, Any]  # the whole target with its provenance
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    batch: int | None  # the fixed batch size; None: any
    borders: tuple[Border, ...]
    segments: tuple[Segment, ...]
    options: dict[str, Any]  # of the compilation
    provenance: dict[str, str]  # package versions; no time, host name or path
    members: dict[str, str] = Field(default_factory=dict)  # member name -> SHA-256, hexadecimal
