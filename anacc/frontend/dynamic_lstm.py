"""DynamicQuantizeLSTM, what ONNX Runtime's dynamic quantisation writes for an LSTM.

Its weights are integers (D, I, 4H) with a scale for each direction (D) or column (D, 4H).  It
quantises activations anew in each step, which is its way to multiply integers, not what the model
means.  So it is read as the LSTM (D, 4H, I) of the real numbers that its weights stand for; ONNX
Runtime sums over activations that are rounded by its own 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPERATOR, DOMAIN = "DynamicQuantizeLSTM", "com.microsoft"
_LSTM_INPUTS = 8
# Positions of integers, and of their scales and zero points.
_WEIGHTS = ((1, 8, 9), (2, 10, 11))


def as_lstm(
    node: NodeProto, version: int, runtime: set[str], new: Callable[[str], str]
) -> list[NodeProto]:
    """The nodes in place of a node; itself if it is another one, or its weights are no constants.

    Args:
        node: the node.
        version: of the operator set.
        runtime: tensors that depend on the inputs, as `lengths.runtime_tensors` gives them.
        new: gives a name that is not taken, of a node or a tensor.
    """
    parameters = [position for each in _WEIGHTS for position in each]
    if node.op_type != OPERATOR or node.domain != DOMAIN or version < 7:
        return [node]
    if len(node.input) <= max(parameters) or runtime.intersection(
        node.input[position] for position in parameters
    ):
        return [node]
    nodes: list[NodeProto] = []

    def add(kind: str, operands: Sequence[str], **attributes: Any) -> str:
        result = new(f"{node.name}.{kind.lower()}")
        name = new(f"{node.name}:{result}")
        nodes.append(helper.make_node(kind, operands, [result], name, **attributes))
        return result

    # (D) or (D, 4H) beside (D, I, 4H).
    target = add("Constant", [], value=numpy_helper.from_array(np.array([0, 1, -1], np.int64)))

    def real(integers: str, scale: str, zero: str) -> str:
        """The transposed real numbers of integers."""
        values = add("Cast", [integers], to=TensorProto.FLOAT)
        if zero:
            shift = add("Cast", [zero], to=TensorProto.FLOAT)
            values = add("Sub", [values, add("Reshape", [shift, target])])
        values = add("Mul", [values, add("Reshape", [scale, target])])
        return add("Transpose", [values], perm=[0, 2, 1])

    lstm = NodeProto()
    lstm.CopyFrom(node)
    lstm.op_type, lstm.domain = "LSTM", ""
    del lstm.input[_LSTM_INPUTS:]
    for position, scale, zero in _WEIGHTS:
        operands = (node.input[each] for each in (position, scale, zero))
        lstm.input[position] = real(*operands)
    return [*nodes, lstm]
