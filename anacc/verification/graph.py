"""The ONNX model: nodes in order, constants, and nodes that can be evaluated or that only move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from anacc.errors import AnaccError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OnnxGraph:
    """A model as the verifier reads it.

    Attributes:
        model: the model, weights included.
        names: for each node of its graph the name that the program uses: the node's, or
            `OpType:first_output` where it has none.
        constants: initialisers and what was computed from them alone, by name; filled on the way.
    """

    model: onnx.ModelProto
    names: tuple[str, ...]
    constants: dict[str, Array] = field(default_factory=dict)

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """The nodes in order."""
        return self.model.graph.node

    def attributes(self, node: onnx.NodeProto) -> dict[str, Any]:
        """The attributes of a node, texts as `str`."""
        found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        return {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in found.items()
        }

    def evaluate(self, node: onnx.NodeProto, inputs: Mapping[str, Array]) -> list[Array]:
        """What ONNX's own reference evaluator makes of one node.

        It has no quantisation of older opsets, which is short enough to state here.
        """
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return [
                _quantisation(node, self.attributes(node), [inputs[n] for n in node.input if n])
            ]
        used = [name for name in node.input if name]
        graph = helper.make_graph(
            [node],
            "node",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(inputs[name].dtype), inputs[name].shape
                )
                for name in dict.fromkeys(used)
            ],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        model = helper.make_model(graph, opset_imports=list(self.model.opset_import))
        feed = {name: inputs[name] for name in used}
        return [np.asarray(each) for each in ReferenceEvaluator(model).run(None, feed)]


def read_graph(path: Path) -> OnnxGraph:
    """Read a model.

    Raises:
        AnaccError: the file cannot be read, or is no ONNX model.
    """
    try:
        model = onnx.load(path, format="protobuf")
    except FileNotFoundError as error:  # the model's own, or one with its weights
        raise AnaccError(f"`{error.filename or path}` does not exist") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AnaccError(f"`{path}` cannot be read: {reason}") from None
    except Exception as error:
        raise AnaccError(
            f"`{path}` is no ONNX model: {str(error).partition(chr(10))[0][:200]}",
            "give the model that was compiled",
        ) from None
    graph = model.graph
    names = tuple(
        node.name or f"{node.op_type}:{next((out for out in node.output if out), '')}"
        for node in graph.node
    )
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    return OnnxGraph(model, names, constants)


def _quantisation(
    node: onnx.NodeProto, attributes: Mapping[str, Any], inputs: Sequence[Array]
) -> Array:
    """real = (code - zero) * scale, and back to the nearest code, with one scale and zero point for
    the tensor or for each index of an axis."""
    x, scale = inputs[:2]
    zero = inputs[2] if len(inputs) > 2 else np.zeros(scale.shape, np.uint8)
    if scale.ndim == 1 and scale.size > 1:
        shape = [1] * x.ndim
        shape[int(attributes.get("axis", 1)) % x.ndim] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    if node.op_type == "DequantizeLinear":
        return np.asarray((x.astype(np.float32) - zero.astype(np.float32)) * scale)
    limits = np.iinfo(zero.dtype)
    codes = np.rint(x / scale) + zero.astype(np.float32)
    return np.asarray(np.clip(codes, limits.min, limits.max).astype(zero.dtype))
