"""The chip vocabulary: one op for each stream of the program; values are channels.

A channel value holds one token (vector) for each position of a feature map or step of a sequence.
A wide tensor is several channels side by side, its parts.  Loop nests and addresses are written
as nested tuples, exactly as the program holds them::

    nest = (counts, base, strides, dims)     for each loop one count and one stride, outermost
                                             first; dims = ((count, stride), ...) per token
"""

from __future__ import annotations

from dataclasses import replace

from anacc.ir.chip_rules import (
    infer_gather,
    infer_gru_cell,
    infer_lstm_cell,
    infer_merge,
    infer_pointwise,
    infer_regroup,
    infer_rnn_cell,
    infer_tile,
)
from anacc.ir.module import Level
from anacc.ir.spec import Attribute, OpSpec, declare

_ANY, _INT, _STR, _BOOL = (Attribute(kind) for kind in ("any", "int", "str", "bool"))
_ROUTES = Attribute("any", required=False)  # for each result, the links that it crosses

_BORDER = {
    "name": _STR,  # ONNX tensor
    "dtype": _STR,
    "shape": _ANY,  # -1 stands for the batch
    "batch_axis": _INT,  # -1: none
    "permutation": _ANY,  # of the axes without the batch
    "lsb": Attribute("float", required=False),  # of a tensor of quantised integers v: its scale,
    "zero": Attribute("int", required=False),  # and real = (v - zero) * lsb on the chip
}

_CELL = (
    "`units` hidden units over `steps` steps. A token of gates is a block: gates side by side, "
    "each `units` wide; a gate of several blocks is their sum. Initial states are channels or "
    "constants of binary16 values. The hidden state goes back as codes."
)
_CELL_RESULTS = ("feedback", "y_codes?", "y_values?", "last_codes?", "last_values?")
_CELL_ATTRIBUTES = {
    "units": _INT,
    "steps": _INT,
    "gates": _ANY,  # names of the gates of each block
    "functions": _ANY,  # (gate, name, alpha, beta) for each gate, see `anacc.ir.cells`
    "h_unit": Attribute("float"),  # codes count 1 / h_unit
    "h_scale": Attribute("float"),  # initial_h * h_scale is in such codes
    "routes": _ROUTES,
}
CELLS = ("lstm_cell", "gru_cell", "rnn_cell")


def _declare(*specs: OpSpec) -> None:
    """Declare ops; each may state the `round` in which its stream runs, else 0."""
    extra = {"round": Attribute("int", required=False)}
    declare(*(replace(spec, attributes={**spec.attributes, **extra}) for spec in specs))


_declare(
    OpSpec(
        "input",
        Level.CHIP,
        "A model input, quantised (i8), as binary16 (f16) or whole (tensor), for each result.",
        (),
        ("tokens*",),
        _BORDER,
    ),
    OpSpec("output", Level.CHIP, "A model output.", ("tokens",), (), _BORDER),
    OpSpec(
        "host",
        Level.CHIP,
        "ONNX Runtime runs the named nodes on whole tensors; borders as for `input`, operands "
        "first, then results.",
        ("tokens*",),
        ("tokens*",),
        {
            "nodes": _ANY,
            "reasons": _ANY,
            "hints": Attribute("any", required=False),
            "products": _INT,
            "activation_products": Attribute("int", required=False),
            "borders": _ANY,
        },
    ),
    OpSpec(
        "regroup",
        Level.CHIP,
        "Join the parts of each token and cut it into other parts.",
        ("parts*",),
        ("parts*",),
        {"routes": _ROUTES},
        infer_regroup,
    ),
    OpSpec(
        "gather",
        Level.CHIP,
        "Store the tokens of all operands to a buffer of `size` elements that holds `fill` "
        "elsewhere (`stores`: a nest for each operand; `rescale`: a factor for each, 1 moves codes "
        "unchanged), then read tokens from it (`load`: a nest), reduce each over its first "
        "`window` vectors (`reduce`: none, max, average), and cut it into the results. With "
        "`step` > 0 the outermost store loop runs `lead` rounds, then `step` rounds after each "
        "round of the outermost load loop.",
        ("@average?", "parts*"),
        ("parts*",),
        {
            "size": _INT,
            "fill": _INT,
            "stores": _ANY,
            "rescale": _ANY,
            "load": _ANY,
            "reduce": _STR,
            "window": _INT,
            "lead": _INT,
            "step": _INT,
            "routes": _ROUTES,
        },
        infer_gather,
    ),
    OpSpec(
        "merge",
        Level.CHIP,
        "Put the tokens of copies of a layer back into order.  Loops of `counts` rounds run over "
        "the positions; along each there are as many copies as `ways` says, and round i is copy i "
        "mod ways.  Operands are all parts of the first copy, then those of the next one, the last "
        "loop's copies first; results are the parts.",
        ("parts*",),
        ("parts*",),
        {"counts": _ANY, "ways": _ANY, "routes": _ROUTES},
        infer_merge,
    ),
    OpSpec(
        "tile",
        Level.CHIP,
        "One crossbar region: matrix-vector product of the inputs, conversion, LDPU affine, sum "
        "with a partial sum, scaled residual, activation; results: codes and binary16 values, "
        "each optional. A `recurrent` tile is part of a loop through time; it may take one more "
        "token of its inputs than it uses. `copies` of the rows lie below one another, driven "
        "alike.",
        ("@codes", "@scale", "@offset?", "partial?", "residual?", "inputs*"),
        ("codes?", "values?"),
        {
            "layer": _STR,
            "weight_rows": _ANY,  # (first, last + 1) of the layer's matrix
            "weight_columns": _ANY,
            "cells": _INT,  # that hold a weight; groups along the diagonal leave some unused
            "phases": _INT,
            "multiplier": _INT,
            "shift": _INT,
            "maximum": _INT,
            "residual_scale": Attribute("float"),
            "activation": _STR,
            "low": Attribute("float"),
            "high": Attribute("float"),
            "gain": Attribute("float"),  # factor of the results, behind the activation
            "recurrent": _BOOL,
            "copies": Attribute("int", required=False),  # of the rows, below one another; else 1
            "replica": Attribute("int", required=False),  # which copy of the layer it is; else 0
            "snr": Attribute("float", required=False),  # of the conversion, dB
            # What was added to the model's offset of each column, in codes of the result.
            "correction": Attribute("floats", required=False),
            "crossbar": Attribute("int", required=False),  # where cutting has settled it: tiles of
            # one number share a crossbar
            "row": Attribute("int", required=False),  # place of its corner on the crossbar
            "column": Attribute("int", required=False),
            "routes": _ROUTES,
        },
        infer_tile,
    ),
    OpSpec(
        "pointwise",
        Level.CHIP,
        "A function of each element, on a GDPU or in an LDPU: scale * left + offset, then "
        "`function` (none, relu, clamp, tanh, sigmoid, or table: `samples` over [0, limit] if odd, "
        "else over [-limit, limit]) or, with a right operand, `add` or "
        "`multiply` of the scaled operands, then * out_scale.",
        ("@scale", "@offset", "left", "right?", "@samples?"),
        ("codes?", "values?"),
        {
            "function": _STR,
            "right_scale": Attribute("float"),
            "out_scale": Attribute("float"),
            "low": Attribute("float"),
            "high": Attribute("float"),
            "limit": Attribute("float", required=False),
            "odd": Attribute("bool", required=False),
            "routes": _ROUTES,
        },
        infer_pointwise,
    ),
    OpSpec(
        "lstm_cell",
        Level.CHIP,
        "Cells of an LSTM with their states, " + _CELL + " Peepholes are those of the gates input, "
        "output, forget, shape (3, units). Without a forget gate, it is 1 - the input gate.",
        ("gates", "initial_h?", "initial_c?", "@peepholes?", "more_gates*"),
        (*_CELL_RESULTS, "last_c?"),
        {
            **_CELL_ATTRIBUTES,
            "c_scale": Attribute("float"),  # initial_c * c_scale is the cell state
            "last_c_scale": Attribute("float"),  # last_c = cell state * last_c_scale
        },
        infer_lstm_cell,
    ),
    OpSpec(
        "gru_cell",
        Level.CHIP,
        "Cells of a GRU with their state, " + _CELL + " Where the candidate stands in two blocks, "
        "the reset gate multiplies the second one; else the hidden state, of which codes then "
        "leave by `reset` in each step before the last block comes.",
        ("gates", "initial_h?", "more_gates*"),
        (*_CELL_RESULTS, "reset?"),
        _CELL_ATTRIBUTES,
        infer_gru_cell,
    ),
    OpSpec(
        "rnn_cell",
        Level.CHIP,
        "Cells of a simple recurrent layer, " + _CELL,
        ("gates", "initial_h?"),
        _CELL_RESULTS,
        _CELL_ATTRIBUTES,
        infer_rnn_cell,
    ),
)
