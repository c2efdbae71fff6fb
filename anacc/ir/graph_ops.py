"""The graph vocabulary: what networks are made of after import.

Every op but `host` takes and gives float32 tensors; `quantise` gives and `dequantise` takes
integers of ONNX, which data movement and `max_pool` may move before `anacc_passes.pair`.

A shape holds the batch as `BATCH`; a module with a fixed batch of one may do without, and then has
the integer 1 in its place.  Where an attribute is a shape, `BATCH` may stand in it.  Values are
called as in ONNX: tensor `t` is `%t`.

The shape rules are in `anacc.ir.graph_shapes`.
"""

from __future__ import annotations

from anacc.ir.cells import CELLS
from anacc.ir.functions import infer_function
from anacc.ir.graph_shapes import (
    convolution_type,
    infer_affine,
    infer_concat,
    infer_conv,
    infer_dequantise,
    infer_expand,
    infer_linear,
    infer_pad,
    infer_pair,
    infer_pool,
    infer_quantise,
    infer_recurrent,
    infer_reshape,
    infer_slice,
    infer_transpose,
    keeps_samples,
)
from anacc.ir.module import Level
from anacc.ir.spec import Attribute, OpSpec, ShapeRule, declare, same_as_first

__all__ = ["convolution_type", "keeps_samples"]

_INT, _INTS, _FLOAT, _SHAPE = (Attribute(t) for t in ("int", "ints", "float", "any"))


def _graph_op(
    kind: str,
    meaning: str,
    operands: tuple[str, ...],
    infer: ShapeRule | None,
    results: tuple[str, ...] = ("y",),
    **attributes: Attribute,
) -> OpSpec:
    return OpSpec(kind, Level.GRAPH, meaning, operands, results, attributes, infer)


def _recurrent_op(
    kind: str, meaning: str, operands: tuple[str, ...], **attributes: Attribute
) -> OpSpec:
    results = tuple(f"{result}?" for result in CELLS[kind].results)
    common = {
        "direction": Attribute("str"),
        "hidden": _INT,
        "functions": Attribute("any", required=False),  # see `anacc.ir.cells.functions_of`
        "clip": Attribute("float", required=False),  # what the functions of gates take
    }
    attributes = {**common, **attributes}
    return OpSpec(kind, Level.GRAPH, meaning, operands, results, attributes, infer_recurrent)


declare(
    _graph_op(
        "conv",
        "Convolution of x (N, C, *S) with weight (M, C/group, *K); pads are begins, then ends.",
        ("x", "@weight", "@bias?"),
        infer_conv,
        strides=_INTS,
        pads=_INTS,
        dilations=_INTS,
        group=_INT,
    ),
    _graph_op(
        "linear",
        "x (..., in) times weight (in, out), plus bias (out).",
        ("x", "@weight", "@bias?"),
        infer_linear,
    ),
    _graph_op(
        "affine",
        "x * scale + offset, both repeated to the shape of x.",
        ("x", "@scale", "@offset"),
        infer_affine,
    ),
    _graph_op("add", "left + right.", ("left", "right"), infer_pair),
    _graph_op("multiply", "left * right.", ("left", "right"), infer_pair),
    _graph_op("relu", "max(x, 0).", ("x",), same_as_first),
    _graph_op("clamp", "min(max(x, low), high).", ("x",), same_as_first, low=_FLOAT, high=_FLOAT),
    _graph_op("sigmoid", "1 / (1 + exp(-x)).", ("x",), same_as_first),
    _graph_op("tanh", "Hyperbolic tangent.", ("x",), same_as_first),
    _graph_op(
        "function",
        "The function that `steps` describe (see `anacc.ir.functions`) of each element; `low` and "
        "`high` bound the elements that calibration saw.",
        ("x",),
        infer_function,
        steps=_SHAPE,
        low=Attribute("float", required=False),
        high=Attribute("float", required=False),
        nonnegative=Attribute("bool", required=False),  # no result within the bounds is below 0
    ),
    _graph_op(
        "max_pool",
        "Largest element of each window of x (N, C, *S); padding never wins.",
        ("x",),
        infer_pool,
        kernel=_INTS,
        strides=_INTS,
        pads=_INTS,
        dilations=_INTS,
    ),
    _graph_op(
        "average_pool",
        "Mean of each window of x (N, C, *S), or its sum if total; padding counts only if "
        "count_include_pad.",
        ("x",),
        infer_pool,
        kernel=_INTS,
        strides=_INTS,
        pads=_INTS,
        count_include_pad=Attribute("bool"),
        dilations=Attribute("ints", required=False),
        total=Attribute("bool", required=False),
    ),
    _graph_op(
        "reshape", "The same elements in another shape.", ("x",), infer_reshape, shape=_SHAPE
    ),
    _graph_op(
        "transpose",
        "Axis i of the result is axis permutation[i] of x.",
        ("x",),
        infer_transpose,
        permutation=_INTS,
    ),
    _graph_op(
        "slice",
        "Along each axis the elements start, start + step, ...; for the batch 0, 1 and size -1.",
        ("x",),
        infer_slice,
        starts=_INTS,
        steps=_INTS,
        sizes=_INTS,
    ),
    _graph_op(
        "pad",
        "x with elements of one value before and after each axis.",
        ("x",),
        infer_pad,
        before=_INTS,
        after=_INTS,
        value=_FLOAT,
    ),
    _graph_op(
        "concat", "The operands one after another on an axis.", ("xs*",), infer_concat, axis=_INT
    ),
    _graph_op("expand", "x repeated to a shape.", ("x",), infer_expand, shape=_SHAPE),
    _recurrent_op(
        "lstm",
        "LSTM over x (T, N, F) with D directions: y (T, D, N, H), y_h and y_c (D, N, H); weight "
        "(D, 4H, F), gates in order i, o, f, c; bias (D, 8H); initial states (D, N, H), or (D, 1, "
        "H) if constant; peepholes (D, 3H) of i, o, f. Where f is 1 - i, `input_forget` is set.",
        ("x", "@weight", "@recurrence", "@bias?", "initial_h?", "initial_c?", "@peepholes?"),
        input_forget=Attribute("bool", required=False),
    ),
    _recurrent_op(
        "gru",
        "GRU over x (T, N, F) with D directions: y (T, D, N, H), y_h (D, N, H); weight (D, 3H, F), "
        "gates in order z, r, h; bias (D, 6H); initial state (D, N, H), or (D, 1, H) if constant. "
        "The reset gate multiplies the hidden state, or with `linear_before_reset` its product.",
        ("x", "@weight", "@recurrence", "@bias?", "initial_h?"),
        linear_before_reset=Attribute("bool"),
    ),
    _recurrent_op(
        "rnn",
        "Simple recurrent layer over x (T, N, F) with D directions: y (T, D, N, H), y_h (D, N, H); "
        "weight (D, H, F), bias (D, 2H), initial state as for `gru`.",
        ("x", "@weight", "@recurrence", "@bias?", "initial_h?"),
    ),
    _graph_op("identity", "x itself.", ("x",), same_as_first),
    _graph_op(
        "quantise",
        "rint(x / scale) + zero, saturating, as integers of an element type.",
        ("x",),
        infer_quantise,
        scale=_FLOAT,
        zero=_INT,
        dtype=Attribute("str"),
    ),
    _graph_op(
        "dequantise",
        "(x - zero) * scale of integers x.",
        ("x",),
        infer_dequantise,
        scale=_FLOAT,
        zero=_INT,
    ),
    _graph_op(
        "host",
        "ONNX nodes that ONNX Runtime runs in float32, each with the reason.",
        ("xs*",),
        None,
        ("ys*",),
        nodes=Attribute("strings"),
        reasons=Attribute("strings"),
        hints=Attribute("strings", required=False),  # what the user can do, one for each reason
        products=Attribute("int", required=False),  # multiply-adds of one sample
        activation_products=Attribute("int", required=False),  # those of two activations
    ),
)
