"""ONNX types and the words for them: see `anacc.host_values`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, TypeProto, helper

from anacc.host_values import OPTIONAL, SEQUENCE


def kind_of(kind: TypeProto) -> str:
    """The word for an ONNX type.

    Types that programs cannot hold have words too, for messages: `map`, `sparse_tensor`,
    `sequence_map`; `unknown` is a tensor of unknown elements or no type at all.
    """
    match kind.WhichOneof("value"):
        case "tensor_type":
            code = kind.tensor_type.elem_type
            try:
                return str(helper.tensor_dtype_to_np_dtype(code).name) if code else "unknown"
            except KeyError:  # a number that stands for no type
                return "unknown"
        case "sequence_type":
            return SEQUENCE + kind_of(kind.sequence_type.elem_type)
        case "optional_type":
            return OPTIONAL + kind_of(kind.optional_type.elem_type)
        case None:
            return "unknown"
        case other:
            return str(other).removesuffix("_type")


def type_of(word: str, shape: Sequence[int | str] | None) -> TypeProto | None:
    """The ONNX type for a word, None if it is unknown; the shape is that of a tensor."""
    if word.startswith(OPTIONAL):
        inner = type_of(word.removeprefix(OPTIONAL), None)
        return None if inner is None else helper.make_optional_type_proto(inner)
    if word.startswith(SEQUENCE):
        inner = type_of(word.removeprefix(SEQUENCE), None)
        return None if inner is None else helper.make_sequence_type_proto(inner)
    try:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(word))
    except (TypeError, ValueError):
        return None
    return helper.make_tensor_type_proto(element, shape)


def runtime_type(text: str) -> TypeProto | None:
    """The ONNX type for ONNX Runtime's text, such as `seq(tensor(float))`; None for others."""
    for opening, make in (
        ("seq(", helper.make_sequence_type_proto),
        ("optional(", helper.make_optional_type_proto),
    ):
        if text.startswith(opening):
            inner = runtime_type(text.removeprefix(opening).removesuffix(")"))
            return None if inner is None else make(inner)
    code = getattr(TensorProto, text.removeprefix("tensor(").removesuffix(")").upper(), None)
    if not text.startswith("tensor(") or code is None:
        return None
    return helper.make_tensor_type_proto(code, None)
