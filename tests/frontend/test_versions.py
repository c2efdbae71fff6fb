"""Operators whose meaning changed: each version computes what ONNX Runtime computes by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from anacc.frontend import import_model
from anacc.frontend.reading import NEWEST_OPSET, OLDEST_OPSET
from tests.frontend.check import check, floats, model

X2, X3, X4 = "float[N,4] x", "float[N,3,9] x", "float[N,3,8,8] x"
BN = {"s": floats(3), "b": floats(3, seed=2), "m": floats(3, seed=3), "v": floats(3, seed=4) ** 2}
RECURRENT = {"w": floats(1, 8, 3), "r": floats(1, 8, 2)}


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def number(value: float) -> Any:
    return np.array(value, np.float32)


# Operator, first and last operator set of the spelling, input, call, constants.
SPELLINGS: list[tuple[str, int, int, str, str, dict[str, Any]]] = [
    ("Add", 7, 99, X2, "Add (x, c)", {"c": floats(4)}),
    ("Add", 7, 99, X2, "Add (c, x)", {"c": floats(1, 4)}),
    ("AveragePool", 7, 99, X3, "AveragePool <kernel_shape=[3], pads=[1,1], strides=[2]> (x)", {}),
    ("AveragePool", 7, 99, X3,
     "AveragePool <kernel_shape=[3], pads=[1,1], strides=[2], count_include_pad=1> (x)", {}),
    ("AveragePool", 10, 99, X3, "AveragePool <kernel_shape=[4], strides=[2], ceil_mode=1> (x)", {}),
    ("AveragePool", 10, 99, X3,
     "AveragePool <kernel_shape=[4], pads=[1,2], strides=[3], ceil_mode=1> (x)", {}),
    ("AveragePool", 10, 99, X3, "AveragePool <kernel_shape=[4], pads=[1,2], strides=[3], "
     "ceil_mode=1, count_include_pad=1> (x)", {}),
    ("AveragePool", 7, 99, X3, 'AveragePool <kernel_shape=[3], auto_pad="SAME_LOWER"> (x)', {}),
    ("BatchNormalization", 7, 99, X4, "BatchNormalization (x, s, b, m, v)", BN),
    ("BatchNormalization", 7, 8, X4, "BatchNormalization <spatial=1> (x, s, b, m, v)", BN),
    ("BatchNormalization", 7, 8, X3, "BatchNormalization <spatial=0> (x, s, b, m, v)",
     {"s": floats(3, 9), "b": floats(3, 9), "m": floats(3, 9), "v": floats(3, 9) ** 2}),
    ("Cast", 7, 99, X2, "Cast <to=1> (x)", {}),
    ("Clip", 7, 10, X2, "Clip <min=-0.5, max=0.5> (x)", {}),
    ("Clip", 7, 10, X2, "Clip <max=0.5> (x)", {}),
    ("Clip", 11, 99, X2, "Clip (x, l, h)", {"l": number(-0.5), "h": number(0.5)}),
    ("Clip", 11, 99, X2, "Clip (x, , h)", {"h": number(0.5)}),
    ("Clip", 12, 99, X2, "Clip (x, h, l)", {"l": number(-0.5), "h": number(0.5)}),
    ("Concat", 7, 99, X2, "Concat <axis=1> (x, x)", {}),
    ("Concat", 11, 99, X2, "Concat <axis=-1> (x, x)", {}),
    ("Conv", 7, 99, X3, "Conv <pads=[1,0], strides=[2]> (x, k)", {"k": floats(2, 3, 3)}),
    ("Conv", 7, 99, X3, 'Conv <auto_pad="SAME_UPPER"> (x, k)', {"k": floats(2, 3, 4)}),
    ("Div", 7, 99, X2, "Div (x, c)", {"c": floats(4) + 3}),
    ("Dropout", 7, 11, X2, "Dropout <ratio=0.5> (x)", {}),
    ("Dropout", 12, 99, X2, "Dropout (x, r)", {"r": number(0.5)}),
    ("Dropout", 12, 99, X2, "Dropout (x, r, t)", {"r": number(0.5), "t": np.array(False)}),
    ("Expand", 8, 99, "float[N,1,4] x", "Expand (x, s)", {"s": ints(1, 3, 1)}),
    ("Flatten", 7, 99, X4, "Flatten (x)", {}),
    ("Flatten", 11, 99, X4, "Flatten <axis=-3> (x)", {}),
    ("Gather", 7, 99, X2, "Gather <axis=1> (x, i)", {"i": ints(1, 2)}),
    ("Gather", 11, 99, X2, "Gather <axis=-1> (x, i)", {"i": ints(-1, -2)}),
    ("Gemm", 7, 99, X2, "Gemm (x, w, c)", {"w": floats(4, 5), "c": floats(5)}),
    ("Gemm", 7, 99, X2, "Gemm <transB=1, alpha=0.5> (x, w, c)",
     {"w": floats(5, 4), "c": floats(1)}),
    ("Gemm", 11, 99, X2, "Gemm (x, w)", {"w": floats(4, 5)}),
    ("GlobalAveragePool", 7, 99, X4, "GlobalAveragePool (x)", {}),
    ("GlobalMaxPool", 7, 99, X4, "GlobalMaxPool (x)", {}),
    ("Identity", 7, 99, X2, "Identity (x)", {}),
    ("LSTM", 7, 99, "float[5,N,3] x", "LSTM <hidden_size=2> (x, w, r)", RECURRENT),
    ("MatMul", 7, 99, X2, "MatMul (x, w)", {"w": floats(4, 5)}),
    ("MaxPool", 7, 99, X4, "MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (x)", {}),
    ("MaxPool", 8, 99, X4, "MaxPool <kernel_shape=[2,2], storage_order=1> (x)", {}),
    ("MaxPool", 10, 99, X4,
     "MaxPool <kernel_shape=[3,3], dilations=[1,2], strides=[2,2], ceil_mode=1> (x)", {}),
    ("Mul", 7, 99, X2, "Mul (x, x)", {}),
    ("Neg", 7, 99, X2, "Neg (x)", {}),
    ("Pad", 7, 10, X2, "Pad <pads=[0,1,0,2], value=1.5> (x)", {}),
    ("Pad", 11, 99, X2, "Pad (x, p, c)", {"p": ints(0, 1, 0, 2), "c": number(1.5)}),
    ("Pad", 18, 99, X2, "Pad (x, p, c, a)",
     {"p": ints(1, 2), "c": number(1.5), "a": ints(-1)}),
    ("ReduceMax", 7, 17, X4, "ReduceMax <axes=[2,3], keepdims=0> (x)", {}),
    ("ReduceMax", 18, 99, X4, "ReduceMax <keepdims=0> (x, a)", {"a": ints(2, 3)}),
    ("ReduceMean", 7, 17, X4, "ReduceMean <axes=[2,3]> (x)", {}),
    ("ReduceMean", 11, 17, X4, "ReduceMean <axes=[-1,-2]> (x)", {}),
    ("ReduceMean", 18, 99, X4, "ReduceMean (x, a)", {"a": ints(-1, 2)}),
    ("Relu", 7, 99, X2, "Relu (x)", {}),
    ("Reshape", 7, 99, X4, "Reshape (x, s)", {"s": ints(0, -1)}),
    ("Reshape", 14, 99, X4, "Reshape <allowzero=1> (x, s)", {"s": ints(-1, 64, 3)}),
    ("Sigmoid", 7, 99, X2, "Sigmoid (x)", {}),
    ("Slice", 7, 9, X2, "Slice <axes=[1], starts=[1], ends=[-1]> (x)", {}),
    ("Slice", 7, 9, X2, "Slice <starts=[0,1], ends=[2147483647,3]> (x)", {}),
    ("Slice", 10, 99, X2, "Slice (x, b, e, a, t)",
     {"b": ints(-1), "e": ints(-9), "a": ints(1), "t": ints(-2)}),
    ("Split", 7, 12, X2, "Split <axis=1, split=[2,2]> (x)", {}),
    ("Split", 7, 17, X2, "Split <axis=1> (x)", {}),
    ("Split", 13, 99, X2, "Split <axis=1> (x, s)", {"s": ints(1, 3)}),
    ("Split", 18, 99, "float[N,5] x", "Split <axis=1, num_outputs=2> (x)", {}),
    ("Squeeze", 7, 12, "float[N,1,4] x", "Squeeze <axes=[1]> (x)", {}),
    ("Squeeze", 13, 99, "float[N,1,4] x", "Squeeze (x, a)", {"a": ints(-2)}),
    ("Sub", 7, 99, X2, "Sub (c, x)", {"c": floats(4)}),
    ("Sum", 8, 99, X2, "Sum (x, c)", {"c": floats(4)}),
    ("Tanh", 7, 99, X2, "Tanh (x)", {}),
    ("Transpose", 7, 99, X4, "Transpose <perm=[0,2,3,1]> (x)", {}),
    ("Unsqueeze", 7, 12, X2, "Unsqueeze <axes=[1]> (x)", {}),
    ("Unsqueeze", 13, 99, X2, "Unsqueeze (x, a)", {"a": ints(-1)}),
]  # fmt: skip
HOST = {
    ("AveragePool", "count_include_pad=1", "ceil_mode=1"),
    ("Clip", "(x, h, l)"),
    ("BatchNormalization", "spatial=0"),
}


def versions(operator: str, first: int, last: int) -> list[int]:
    """The operator sets in which an operator changed, and the newest, within a range."""
    since = {
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == operator and schema.domain == ""
    }
    first = max(first, OLDEST_OPSET)
    last = min(last, NEWEST_OPSET)
    return sorted({first, last} | {version for version in since if first < version < last})


CASES = [
    pytest.param(version, *rest, id=f"{operator} {version}: {rest[1]}")
    for operator, first, last, *rest in SPELLINGS
    for version in versions(operator, first, last)
]


@pytest.mark.parametrize(("version", "given", "call", "constants"), CASES)
def test_each_version_of_each_operator(
    version: int, given: str, call: str, constants: dict[str, Any]
) -> None:
    outputs = "y, z" if call.startswith("Split") else "y"
    declared = ", ".join(f"float {name}" for name in outputs.split(", "))
    proto = model(f"g ({given}) => ({declared}) {{ {outputs} = {call} }}", version, **constants)
    for entry in proto.graph.output:
        entry.type.tensor_type.ClearField("shape")
    kinds = [op.kind for op in import_model(proto).ops]
    operator = call.split()[0]
    host = any(name == operator and all(p in call for p in parts) for name, *parts in HOST)
    assert host or "host" not in kinds
    check(proto, *kinds)
