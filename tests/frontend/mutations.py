"""Small valid models, and random damage to them: what a fuzzer of the compiler starts from.

Damage is done by reflection, on whatever field of whatever message: names, dimensions, types,
attributes, tensors, order and number of nodes; or on the bytes of the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper, parser

from tests.frontend.check import floats, model

_FUNCTION = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[N,3] x) => (float[N,3] y) { y = own.twice <scale = 2.0> (x) }
<domain: "own", opset_import: ["" : 17]>
half <scale> (a) => (b) { s = Constant <value_float: float = @scale> ()  b = Mul (a, s) }
<domain: "own", opset_import: ["" : 17, "own" : 1]>
twice <scale> (a) => (b) { c = own.half <scale: float = @scale> (a)  b = Add (c, a) }"""

_TEXTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "convolution": (
        "g (float[N,2,6,6] x) => (float[N,M] y) {"
        " a = Conv <kernel_shape=[3,3], pads=[1,1,1,1], strides=[1,1]> (x, w, b)  r = Relu (a)"
        " p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r)  f = Flatten (p)"
        " y = Gemm <alpha=0.5, transB=1> (f, v) }",
        17,
        {"w": floats(3, 2, 3, 3), "b": floats(3), "v": floats(4, 27)},
    ),
    "shapes": (
        "g (float[N,4,6] x) => (float[N,A,B] y) {"
        " s = Shape (x)  n = Gather <axis=0> (s, zero)  l = Unsqueeze (n, axes)"
        " t = Concat <axis=0> (l, rest)  r = Reshape (x, t)  y = MatMul (r, w)  u = Split (x) }",
        13,
        {
            "zero": np.array(0),
            "axes": np.array([0]),
            "rest": np.array([3, 8]),
            "w": floats(8, 5),
        },
    ),
    "recurrence": (
        "g (float[5,N,3] x) => (float[5,D,N,2] y) "
        '{ y, h = LSTM <hidden_size=2, direction="reverse"> (x, w, r, b) }',
        14,
        {"w": floats(1, 8, 3), "r": floats(1, 8, 2), "b": floats(1, 16)},
    ),
    "movement": (
        "g (float[N,3,4,4] x) => (float[N,A,B,C] y) {"
        ' p = Pad <mode="constant"> (x, pads)  s = Slice (p, starts, ends, axes)'
        " t = Transpose <perm=[0,2,3,1]> (s)  c = Conv <group=1> (p, w)"
        " y = Resize <mode=\"nearest\"> (c, , scales) }",
        13,
        {
            "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
            "starts": np.array([1]),
            "ends": np.array([3]),
            "axes": np.array([2]),
            "w": floats(2, 3, 1, 1),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    ),
    "branches": (
        "g (float[N,3] x, bool k) => (float[N,3] y) { m = MatMul (x, w)"
        " a = If (c) <then_branch = t () => (float[N,3] u) { u = Relu (m) },"
        " else_branch = e () => (float[N,3] u) { u = Tanh (m) }>"
        " y = If (k) <then_branch = t () => (float[N,3] v) { v = Neg (a) },"
        " else_branch = e () => (float[N,3] v) { v = Add (a, m) }> }",
        16,
        {"w": floats(3, 3), "c": np.array(True)},
    ),
    "loop": (
        "g (float[N,3] x) => (float[N,3] y, float[A,N,3] z) { y, z = Loop (n, c, x) <body = b"
        " (int64 i, bool k, float[N,3] s) => (bool o, float[N,3] u, float[N,3] v)"
        " { o = Identity (k)  u = MatMul (s, w)  v = Relu (u) }> }",
        16,
        {"w": floats(3, 3), "n": np.array(3), "c": np.array(True)},
    ),
    "scan": (
        "g (float[N,4] h, float[5,N,4] x) => (float[N,4] y, float[A,N,4] z) "
        "{ y, z = Scan <num_scan_inputs=1, scan_input_directions=[1], body = b"
        " (float[N,4] s, float[N,4] e) => (float[N,4] u, float[N,4] v)"
        " { a = Add (s, e)  u = Tanh (a)  v = Identity (u) }> (h, x) }",
        16,
        {},
    ),
    "halves": (
        "g (float16[N,3] x) => (float16[N,4] y) "
        "{ m = MatMul (x, w)  c = Cast <to=1> (m)  d = Cast <to=10> (c)  y = Relu (d) }",
        17,
        {"w": floats(3, 4).astype(np.float16)},
    ),
    "codes": (
        "g (float[N,3] x) => (float[N,4] y) { q = QuantizeLinear (x, s, z)"
        " d = DequantizeLinear (q, s, z)  e = DequantizeLinear (w, s, z)  y = MatMul (d, e) }",
        13,
        {
            "s": np.float32(0.1),
            "z": np.int8(0),
            "w": np.arange(12, dtype=np.int8).reshape(3, 4),
        },
    ),
}  # fmt: skip
BASES = (*_TEXTS, "function")


def base(name: str) -> ModelProto:
    """One of the small models; all are valid."""
    if name == "function":
        return parser.parse_model(_FUNCTION)
    text, opset, constants = _TEXTS[name]
    return model(text, opset, **constants)


_INTEGERS = (0, 1, -1, 2, 3, 4, 5, 7, 16, 23, 255, 70000, 10**6, 2**31 - 1, 2**31, 2**40)
_EXTREMES = (2**63 - 1, -(2**63), 2**62, -(2**31), -7)
_FLOATS = (0.0, -1.0, 0.5, 1e-30, 3e38, float("nan"), float("inf"), -float("inf"))
_WORDS = (
    *("", "x", "y", "N", "nothing", "é☃", "a" * 300, "../w.bin", "NOTSET", "SAME_UPPER", "VALID"),
    *("Relu", "If", "Loop", "Identity", "ai.onnx", "own", "com.microsoft", "-1"),
)


def damaged(draw: Any, proto: ModelProto) -> ModelProto | bytes:
    """A copy of a model with one to four random changes, or the bytes of one with some changed.

    Args:
        draw: hypothesis's.
        proto: the model.
    """
    changed = ModelProto()
    changed.CopyFrom(proto)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        _change(draw, changed)
    if draw(st.integers(0, 9)):
        return changed
    data = bytearray(changed.SerializeToString())
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=4))
    return bytes(data)


def _messages(message: Message) -> list[Message]:
    """The message and all below it."""
    found = [message]
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in value if field.is_repeated else [value]:
                found += _messages(item)
    return found


def _change(draw: Any, proto: ModelProto) -> None:
    """One random change of one random field; weights are as likely as the rest of the model."""
    everything = _messages(proto)
    kinds = sorted({each.DESCRIPTOR.name for each in everything})
    kind = draw(st.sampled_from(kinds))
    message = draw(st.sampled_from([each for each in everything if each.DESCRIPTOR.name == kind]))
    present = [field for field, _ in message.ListFields()]
    use_any = draw(st.integers(0, 7)) == 0 or not present
    field = draw(st.sampled_from(list(message.DESCRIPTOR.fields) if use_any else present))
    if kind == "TensorProto" and field.name == "raw_data" and draw(st.booleans()):
        _disturb(draw, message)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        _change_messages(draw, message, field, everything)
    elif field.is_repeated:
        _change_list(draw, getattr(message, field.name), field, proto)
    elif draw(st.integers(0, 5)) == 0:
        message.ClearField(field.name)
    else:
        _set(message, field.name, draw(_value(field, proto)))


def _disturb(draw: Any, tensor: Any) -> None:
    """Numbers that are none among those of a tensor."""
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:  # It is damaged already.
        return
    if array.dtype.kind == "f" and array.size:
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(_FLOATS))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _set(message: Message, name: str, value: object) -> None:
    try:
        setattr(message, name, value)
    except (ValueError, TypeError):  # It does not fit a narrower field.
        message.ClearField(name)


def _change_messages(
    draw: Any, message: Message, field: FieldDescriptor, everything: list[Message]
) -> None:
    """Clear, drop, repeat, reorder, or copy from elsewhere."""
    name = field.name
    like = [each for each in everything if each.DESCRIPTOR is field.message_type]
    like = [each for each in like if message not in _messages(each)]
    if not field.is_repeated:
        if like and draw(st.booleans()):
            copy = type(like[0])()
            copy.CopyFrom(draw(st.sampled_from(like)))
            getattr(message, name).CopyFrom(copy)
        elif draw(st.booleans()):
            message.ClearField(name)
        else:
            getattr(message, name).SetInParent()
        return
    items = getattr(message, name)
    action = draw(st.sampled_from(["drop", "add", "copy", "move", "clear", "swap"]))
    if action == "add" or (action == "copy" and not like):
        items.add()
    elif action == "copy":
        copy = type(like[0])()
        copy.CopyFrom(draw(st.sampled_from(like)))
        items.append(copy)
    elif action == "clear":
        message.ClearField(name)
    elif items:
        place = draw(st.integers(0, len(items) - 1))
        copy = type(items[0])()
        copy.CopyFrom(items[place])
        if action == "drop":
            del items[place]
        elif action == "move":
            del items[place]
            items.append(copy)
        else:
            other = draw(st.integers(0, len(items) - 1))
            items[place].CopyFrom(items[other])
            items[other].CopyFrom(copy)


def _change_list(draw: Any, items: Any, field: FieldDescriptor, proto: ModelProto) -> None:
    action = draw(st.sampled_from(["drop", "add", "set", "set", "set", "clear"]))
    values = list(items)
    place = draw(st.integers(0, max(len(values) - 1, 0)))
    if action == "drop" and values:
        del values[place]
    elif action == "add" or not values:
        values.insert(place, draw(_value(field, proto)))
    elif action == "set":
        values[place] = draw(_value(field, proto))
    else:
        values = []
    try:
        del items[:]
        items.extend(values)
    except (ValueError, TypeError):
        del items[:]


def _value(field: FieldDescriptor, proto: ModelProto) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.sampled_from(_FLOATS)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.one_of(st.binary(max_size=8), st.sampled_from(_WORDS).map(str.encode))
        case FieldDescriptor.CPPTYPE_STRING:
            names = {name for node in proto.graph.node for name in (*node.input, *node.output)}
            operators = {node.op_type for node in proto.graph.node}
            return st.sampled_from([*_WORDS, *sorted(names | operators)])
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.integers(0, 25)
    return st.one_of(st.integers(-2, 30), st.sampled_from(_INTEGERS), st.sampled_from(_EXTREMES))
