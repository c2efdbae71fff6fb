"""Each operator on the chip: the ops that it becomes, and that they compute the same."""

from typing import Any

import numpy as np
import pytest

from anacc.frontend import supported_operators
from tests.frontend.check import check, floats, model

ONES = np.ones(3, np.float32)
X4 = "float[N,3,8,8] x"
X3 = "float[N,3,9] x"
X2 = "float[N,3] x"


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def number(value: float) -> Any:
    return np.array(value, np.float32)


CASES: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "conv": (
        f"g ({X4}) => (float[N,4,a,b] y) {{ y = Conv <pads=[1,0,1,2], strides=[2,1]> (x, w, b) }}",
        17,
        {"w": floats(4, 3, 3, 3), "b": floats(4)},
        "conv",
    ),
    "conv of one axis": (
        f"g ({X3}) => (float[N,4,a] y) {{ y = Conv <dilations=[2]> (x, w) }}",
        17,
        {"w": floats(4, 3, 3)},
        "conv",
    ),
    "depthwise conv": (
        f"g ({X4}) => (float[N,6,a,b] y) {{ y = Conv <group=3> (x, w) }}",
        17,
        {"w": floats(6, 1, 3, 3)},
        "conv",
    ),
    "batch norm": (
        f"g ({X4}) => (float[N,3,8,8] y) {{ y = BatchNormalization (x, s, b, m, v) }}",
        15,
        {"s": floats(3), "b": floats(3, seed=2), "m": floats(3, seed=3), "v": ONES * 0.3},
        "affine",
    ),
    "batch norm of rows": (
        f"g ({X2}) => (float[N,3] y) {{ y = BatchNormalization <epsilon=0.01> (x, s, b, m, v) }}",
        9,
        {"s": floats(3), "b": floats(3), "m": floats(3), "v": ONES},
        "affine",
    ),
    "matmul": (
        "g (float[N,5,3] x) => (float[N,5,4] y) { y = MatMul (x, w) }",
        13,
        {"w": floats(3, 4)},
        "linear",
    ),
    "matmul with leading ones": (
        "g (float[N,5,3] x) => (float[N,5,4] y) { y = MatMul (x, w) }",
        13,
        {"w": floats(1, 3, 4)},
        "linear",
    ),
    "gemm": (
        f"g ({X2}) => (float[N,4] y) {{ y = Gemm <alpha=0.5, beta=2.0, transB=1> (x, w, b) }}",
        13,
        {"w": floats(4, 3), "b": floats(1, 4)},
        "linear",
    ),
    "gemm with a number": (
        f"g ({X2}) => (float[N,4] y) {{ y = Gemm (x, w, b) }}",
        13,
        {"w": floats(3, 4), "b": number(0.5)},
        "linear",
    ),
    "gemm without bias": (
        f"g ({X2}) => (float[N,4] y) {{ y = Gemm (x, w) }}",
        13,
        {"w": floats(3, 4)},
        "linear",
    ),
    "relu": (f"g ({X2}) => (float[N,3] y) {{ y = Relu (x) }}", 17, {}, "relu"),
    "sigmoid": (f"g ({X2}) => (float[N,3] y) {{ y = Sigmoid (x) }}", 17, {}, "sigmoid"),
    "tanh": (f"g ({X2}) => (float[N,3] y) {{ y = Tanh (x) }}", 17, {}, "tanh"),
    "identity": (f"g ({X2}) => (float[N,3] y) {{ y = Identity (x) }}", 17, {}, "identity"),
    "dropout 7": (
        f"g ({X2}) => (float[N,3] y) {{ y = Dropout <ratio=0.5> (x) }}",
        7,
        {},
        "identity",
    ),
    "dropout 13": (
        f"g ({X2}) => (float[N,3] y) {{ y = Dropout (x, r, t) }}",
        13,
        {"r": number(0.5), "t": np.array(False)},
        "identity",
    ),
    "cast": (f"g ({X2}) => (float[N,3] y) {{ y = Cast <to=1> (x) }}", 17, {}, "identity"),
    "clip 6": (
        f"g ({X2}) => (float[N,3] y) {{ y = Clip <min=-0.5, max=0.5> (x) }}",
        7,
        {},
        "clamp",
    ),
    "clip 13": (
        f"g ({X2}) => (float[N,3] y) {{ y = Clip (x, l, h) }}",
        13,
        {"l": number(0), "h": number(6)},
        "clamp",
    ),
    "clip below": (
        f"g ({X2}) => (float[N,3] y) {{ y = Clip (x, l) }}",
        13,
        {"l": number(0)},
        "relu",
    ),
    "clip above": (
        f"g ({X2}) => (float[N,3] y) {{ y = Clip (x, , h) }}",
        13,
        {"h": number(0.25)},
        "clamp",
    ),
    "clip nowhere": (f"g ({X2}) => (float[N,3] y) {{ y = Clip (x) }}", 13, {}, "identity"),
    "add": (f"g ({X2}, float[N,3] z) => (float[N,3] y) {{ y = Add (x, z) }}", 17, {}, "add"),
    "add itself": (f"g ({X2}) => (float[N,3] y) {{ y = Add (x, x) }}", 17, {}, "add"),
    "add broadcast": (
        f"g ({X4}, float[N,3,1,1] z) => (float[N,3,8,8] y) {{ y = Add (x, z) }}",
        17,
        {},
        "expand add",
    ),
    "add a constant": (
        f"g ({X4}) => (float[N,3,8,8] y) {{ y = Add (c, x) }}",
        17,
        {"c": floats(1, 3, 1, 1)},
        "affine",
    ),
    "add a number": (
        f"g ({X2}) => (float[N,3] y) {{ y = Add (x, c) }}",
        17,
        {"c": number(2)},
        "affine",
    ),
    "add a larger constant": (
        "g (float[N,3,1] x) => (float[N,3,4] y) { y = Add (x, c) }",
        17,
        {"c": floats(3, 4)},
        "expand affine",
    ),
    "subtract": (
        f"g ({X2}, float[N,3] z) => (float[N,3] y) {{ y = Sub (x, z) }}",
        17,
        {},
        "affine add",
    ),
    "subtract a constant": (
        f"g ({X2}) => (float[N,3] y) {{ y = Sub (x, c) }}",
        17,
        {"c": floats(3)},
        "affine",
    ),
    "subtract from a constant": (
        f"g ({X2}) => (float[N,3] y) {{ y = Sub (c, x) }}",
        17,
        {"c": floats(3)},
        "affine",
    ),
    "multiply": (
        f"g ({X4}, float[N,3,1,1] z) => (float[N,3,8,8] y) {{ y = Mul (z, x) }}",
        17,
        {},
        "expand multiply",
    ),
    "multiply by a constant": (
        f"g ({X2}) => (float[N,3] y) {{ y = Mul (x, c) }}",
        17,
        {"c": floats(1, 3)},
        "affine",
    ),
    "divide": (f"g ({X2}) => (float[N,3] y) {{ y = Div (x, c) }}", 17, {"c": floats(3)}, "affine"),
    "negate": (f"g ({X2}) => (float[N,3] y) {{ y = Neg (x) }}", 17, {}, "affine"),
    "max pool": (
        f"g ({X4}) => (float[N,3,a,b] y) "
        "{ y = MaxPool <kernel_shape=[3,2], strides=[2,2], pads=[1,0,1,1]> (x) }",
        17,
        {},
        "max_pool",
    ),
    "max pool rounded up": (
        f"g ({X3}) => (float[N,3,a] y) "
        "{ y = MaxPool <kernel_shape=[2], strides=[2], ceil_mode=1> (x) }",
        17,
        {},
        "max_pool",
    ),
    "max pool dilated": (
        f"g ({X4}) => (float[N,3,a,b] y) "
        "{ y = MaxPool <kernel_shape=[2,2], dilations=[2,3]> (x) }",
        17,
        {},
        "max_pool",
    ),
    "average pool": (
        f"g ({X4}) => (float[N,3,a,b] y) "
        "{ y = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (x) }",
        17,
        {},
        "average_pool",
    ),
    "average pool with pads": (
        f"g ({X4}) => (float[N,3,a,b] y) {'{'} y = AveragePool <kernel_shape=[3,3], "
        "pads=[1,1,0,0], count_include_pad=1> (x) }",
        17,
        {},
        "average_pool",
    ),
    "average pool rounded up": (
        f"g ({X3}) => (float[N,3,a] y) "
        "{ y = AveragePool <kernel_shape=[2], strides=[2], ceil_mode=1> (x) }",
        19,
        {},
        "average_pool",
    ),
    "global average": (
        f"g ({X4}) => (float[N,3,1,1] y) {{ y = GlobalAveragePool (x) }}",
        17,
        {},
        "average_pool",
    ),
    "global maximum": (
        f"g ({X3}) => (float[N,3,1] y) {{ y = GlobalMaxPool (x) }}",
        17,
        {},
        "max_pool",
    ),
    "mean 13": (
        f"g ({X4}) => (float[N,3] y) {{ y = ReduceMean <axes=[-1,2], keepdims=0> (x) }}",
        13,
        {},
        "average_pool reshape",
    ),
    "mean 18": (
        f"g ({X4}) => (float[N,3,1,1] y) {{ y = ReduceMean (x, a) }}",
        18,
        {"a": ints(2, 3)},
        "average_pool",
    ),
    "reshape": (
        f"g ({X4}) => (float[N,192] y) {{ y = Reshape (x, s) }}",
        17,
        {"s": ints(0, -1)},
        "reshape",
    ),
    "flatten": (f"g ({X4}) => (float[N,192] y) {{ y = Flatten (x) }}", 17, {}, "reshape"),
    "squeeze 11": (
        "g (float[N,1,3] x) => (float[N,3] y) { y = Squeeze <axes=[1]> (x) }",
        11,
        {},
        "reshape",
    ),
    "squeeze 13": (
        "g (float[N,1,3] x) => (float[N,3] y) { y = Squeeze (x, a) }",
        13,
        {"a": ints(-2)},
        "reshape",
    ),
    "unsqueeze 11": (
        f"g ({X2}) => (float[N,1,3] y) {{ y = Unsqueeze <axes=[1]> (x) }}",
        11,
        {},
        "reshape",
    ),
    "unsqueeze 13": (
        f"g ({X2}) => (float[1,N,3] y) {{ y = Unsqueeze (x, a) }}",
        13,
        {"a": ints(0)},
        "reshape",
    ),
    "transpose": (
        f"g ({X3}) => (float[9,N,3] y) {{ y = Transpose <perm=[2,0,1]> (x) }}",
        17,
        {},
        "transpose",
    ),
    "transpose all": (f"g ({X3}) => (float[9,3,N] y) {{ y = Transpose (x) }}", 17, {}, "transpose"),
    "concat": (
        f"g ({X3}, float[N,2,9] z) => (float[N,8,9] y) {{ y = Concat <axis=-2> (x, z, x) }}",
        17,
        {},
        "concat",
    ),
    "slice 7": (
        f"g ({X3}) => (float[N,2,a] y) "
        "{ y = Slice <axes=[1,2], starts=[1,-4], ends=[9,-1]> (x) }",
        7,
        {},
        "slice",
    ),
    "slice 13": (
        f"g ({X3}) => (float[N,a,b] y) {{ y = Slice (x, s, e, a, t) }}",
        13,
        {"s": ints(0, 100), "e": ints(2**62, -100), "a": ints(0, 2), "t": ints(1, -3)},
        "slice",
    ),
    "split": (
        f"g ({X3}) => (float[N,3,4] y, float[N,3,5] z) {{ y, z = Split <axis=2> (x, s) }}",
        13,
        {"s": ints(4, 5)},
        "slice slice",
    ),
    "gather one": (
        f"g ({X3}) => (float[N,9] y) {{ y = Gather <axis=1> (x, i) }}",
        13,
        {"i": np.array(-1)},
        "slice reshape",
    ),
    "gather some": (
        f"g ({X3}) => (float[N,3,3] y) {{ y = Gather <axis=2> (x, i) }}",
        13,
        {"i": ints(7, 4, 1)},
        "slice",
    ),
    "pad 7": (
        f"g ({X3}) => (float[N,6,9] y) {{ y = Pad <pads=[0,1,0,0,2,0], value=0.5> (x) }}",
        7,
        {},
        "pad",
    ),
    "pad 13": (
        f"g ({X3}) => (float[N,3,12] y) {{ y = Pad (x, p) }}",
        13,
        {"p": ints(0, 0, 1, 0, 0, 2)},
        "pad",
    ),
    "pad 18": (
        f"g ({X3}) => (float[N,3,12] y) {{ y = Pad (x, p, v, a) }}",
        18,
        {"p": ints(1, 2), "v": number(-1), "a": ints(-1)},
        "pad",
    ),
    "expand": (
        "g (float[N,1,3] x) => (float[N,4,3] y) { y = Expand (x, s) }",
        13,
        {"s": ints(4, 1)},
        "expand",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    text, opset, constants, kinds = CASES[name]
    check(model(text, opset, **constants), *kinds.split())


@pytest.mark.parametrize("pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad(pad: str, stride: int) -> None:
    attributes = f'auto_pad="{pad}", strides=[{stride},{stride}]'
    text = f"g ({X4}) => (float[N,4,a,b] y) {{ y = Conv <{attributes}> (x, w) }}"
    check(model(text, w=floats(4, 3, 4, 3)), "conv")
    for kind, op in (("MaxPool", "max_pool"), ("AveragePool", "average_pool")):
        attributes += ", kernel_shape=[4,3]" if kind == "MaxPool" else ""
        text = f"g ({X4}) => (float[N,3,a,b] y) {{ y = {kind} <{attributes}> (x) }}"
        check(model(text), op)


def test_every_condition_is_a_sentence_ending() -> None:
    table = dict(supported_operators())
    assert {"Conv", "Gemm", "LSTM", "Slice", "Unsqueeze"} <= table.keys()
    for conditions in table.values():
        for sentence in conditions:
            assert sentence and sentence[0].islower() and not sentence.endswith(".")
