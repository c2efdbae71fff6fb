"""The layer vocabulary: what the units of the chip compute, before it is cut into tiles.

It is the graph vocabulary with convolutions and products replaced by `crossbar`, which carries
everything that the LDPU does after the conversion.
"""

from __future__ import annotations

from dataclasses import replace

from anacc.ir import graph_ops
from anacc.ir.cells import CELLS
from anacc.ir.module import Level, Module, Op, TensorType, Type
from anacc.ir.spec import Attribute, OpSpec, declare, vocabulary

ACTIVATIONS = ("none", "relu", "clamp")


def _infer_crossbar(module: Module, op: Op) -> tuple[Type | None, ...]:
    """(N, C, *S) and (M, C/group, *K) give (N, M, *S'); (..., in) and (out, in) give (..., out)."""
    x, weight = module.tensor(op.operands[0]), module.tensor(op.operands[1])
    columns = module.tensor(op.operands[2]).shape
    if op.attributes["activation"] not in ACTIVATIONS:
        raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}")
    if x.shape is None or weight.shape is None:
        raise ValueError("the shapes must be known")
    if columns != weight.shape[:1] or module.tensor(op.operands[3]).shape != columns:
        raise ValueError("scale and offset need one element for each output column")
    if len(weight.shape) == 2:
        if x.shape[-1] != weight.shape[1]:
            raise ValueError(f"{x.shape[-1]} features do not fit a weight of {weight.shape[1]}")
        result = TensorType(x.dtype, (*x.shape[:-1], weight.shape[0]))
    else:
        result = graph_ops.convolution_type(
            x,
            weight,
            strides=op.attributes["strides"],
            pads=op.attributes["pads"],
            dilations=op.attributes["dilations"],
            group=op.attributes["group"],
        )
    if len(op.operands) > 4 and op.operands[4] and module.tensor(op.operands[4]) != result:
        raise ValueError("the residual operand must have the shape of the result")
    return (result,)


_INTS = Attribute("ints")

# Of a recurrent layer the real value of one code of its hidden states, set by quantisation, and
# for each matrix its name and its regions, as those of `crossbar`.
_ADDED = {
    kind: {
        "hidden_scale": Attribute("float", required=False),
        "regions": Attribute("any", required=False),
    }
    for kind in CELLS
}

declare(
    OpSpec(
        kind="crossbar",
        level=Level.LAYER,
        meaning="activation(weight * x * scale + offset + residual): a convolution (weight "
        "(M, C/group, *K)) or a product (weight (out, in)) with its LDPU operations. x may hold "
        "each channel divided by one of the `factors` (C,).",
        operands=("x", "@weight", "@scale", "@offset", "residual?", "@factors?"),
        results=("y",),
        attributes={
            "strides": _INTS,
            "pads": _INTS,
            "dilations": _INTS,
            "group": Attribute("int"),
            "activation": Attribute("str"),
            "low": Attribute("float", required=False),
            "high": Attribute("float", required=False),
            # Where the parts of the matrix lie, (first row, last row + 1, first column, last column
            # + 1, crossbar, row, column) for each; absent: tiling cuts it.
            "regions": Attribute("any", required=False),
        },
        infer=_infer_crossbar,
    ),
    *(
        replace(
            spec, level=Level.LAYER, attributes={**spec.attributes, **_ADDED.get(spec.kind, {})}
        )
        for spec in vocabulary(Level.GRAPH)
        if spec.kind not in ("conv", "linear")
    ),
)
