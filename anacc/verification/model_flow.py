"""The model on fingerprints: what each element of each tensor is made of, by ONNX's definitions.

Elementwise operators leave fingerprints as they are, or join those of two tensors; operators that
only move elements are evaluated by ONNX's reference evaluator; products are in `layer_flow`.  What
no rule covers is taken as the program has it, which the summary says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from anacc.verification.algebra import Prints, elements, largest, product, total
from anacc.verification.graph import Array, OnnxGraph
from anacc.verification.layer_flow import LAYERS, layer
from anacc.verification.matrices import Matrix
from anacc.verification.windows import pool

# A function of each element of the first input; the others are constants or only set ranges.
_UNARY = frozenset(
    "Abs BatchNormalization Cast CastLike Ceil Celu Clip DequantizeLinear Dropout Elu "
    " Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg PRelu Pow "
    "QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign Softplus Softsign Sqrt Swish Tanh "
    "ThresholdedRelu".split()
)
_BINARY = {
    "Add": total,
    "Sub": total,
    "QLinearAdd": total,
    "Mul": product,
    "Div": product,
    "QLinearMul": product,
}
_MOVES = frozenset(
    "Compress Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Pad Reshape "
    " Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze".split()
)
_FOLDS = 2**24  # elements of a constant that is computed from others


class ModelFlow:
    """Evaluates a model; `prints` holds the fingerprints of each tensor that is known.

    Shapes have the batch as its size, or as 1 where it is open.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        inputs: Mapping[str, tuple[tuple[int, ...], int | None]],
        sources: Mapping[str, tuple[tuple[int, ...], int | None]],
        matrices: Mapping[str, Matrix],
        settle: Callable[[str, Prints | None], Prints | None],
    ) -> None:
        """
        Args:
            graph: the model.
            inputs: shape and batch axis of each model input.
            sources: shape and batch axis of each tensor that the host gives to the chip.
            matrices: of nodes by name.
            settle: is told each tensor with its fingerprints (None: unknown) as soon as it is
                computed, and returns those to go on with.
        """
        self.graph, self.matrices, self.settle = graph, matrices, settle
        self.inputs, self.sources = inputs, sources
        self.prints: dict[str, Prints] = {}
        self.positions: dict[str, int] = {}  # of each layer, products of one sample
        self.batch = 1
        for shape, axis in inputs.values():
            if axis is not None:
                self.batch = shape[axis]

    def run(self) -> None:
        """Evaluate all nodes."""
        for name, (shape, axis) in self.inputs.items():
            self._keep(name, None if name in self.graph.constants else source(name, shape, axis))
        for node, name in zip(self.graph.nodes, self.graph.names, strict=True):
            found: list[Prints | None]
            try:
                found = self._node(node, name)
            except (ValueError, TypeError, IndexError, KeyError, RuntimeError, ArithmeticError):
                found = []
            for position, output in enumerate(node.output):
                if output and output not in self.graph.constants:
                    self._keep(output, found[position] if position < len(found) else None)

    def _keep(self, name: str, prints: Prints | None) -> None:
        if name in self.sources:
            prints = source(name, *self.sources[name])
        settled = self.settle(name, prints)
        if settled is not None:
            self.prints[name] = settled

    def _node(self, node: onnx.NodeProto, name: str) -> list[Prints | None]:
        constants = self.graph.constants
        used = [each for each in node.input if each]
        attributes = self.graph.attributes(node)
        if node.op_type in ("Shape", "Size") and used[0] in self.prints:
            stand = {used[0]: np.empty(self.prints[used[0]].shape, np.int8)}
            constants[node.output[0]] = self.graph.evaluate(node, stand)[0]
            return []
        if all(each in constants for each in used):
            if sum(constants[each].size for each in used) <= _FOLDS:
                results = self.graph.evaluate(node, {each: constants[each] for each in used})
                constants.update(zip((out for out in node.output if out), results, strict=True))
            return []
        if node.op_type in LAYERS and name in self.matrices:
            return self._layer(node, name, attributes)
        if node.op_type in _UNARY:
            return [self.prints[used[0]]]
        if node.op_type in _BINARY:
            return [self._binary(node)]
        if node.op_type in ("Sum", "Max", "Min") and len(used) <= 2:
            return [self._binary(node)]
        if node.op_type in _MOVES:
            return self._moved(node)
        if (reduced := pool(node.op_type, attributes)) is not None:
            return [reduced(self.prints[used[0]])]
        if node.op_type.startswith("Reduce"):
            return [self._reduced(node, attributes)]
        return []

    def _layer(
        self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]
    ) -> list[Prints | None]:
        operand = node.input[0]
        x = self.prints[operand]
        states = [self.prints.get(each) for each in node.input[5:7]]
        if node.op_type == "LSTM" and len(node.input) > 7 and node.input[7]:
            attributes["peepholes"] = 1
        results, positions = layer(node.op_type, attributes, self.matrices[name], x, states)
        self.positions[name] = positions // self.batch
        if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2] in self.prints:
            results = [total(np.asarray(results[0]), self.prints[node.input[2]])]
        return results

    def _binary(self, node: onnx.NodeProto) -> Prints | None:
        """Two tensors joined, or one and a constant."""
        places = (0, 3) if node.op_type.startswith("QLinear") else (0, 1)
        names = [node.input[place] for place in places]
        known = [self.prints.get(each) for each in names]
        left, right = known
        if left is not None and right is not None:
            if node.op_type in ("Max", "Min"):
                return None
            return _BINARY.get(node.op_type, total)(*np.broadcast_arrays(left, right))
        for prints, other in ((left, names[1]), (right, names[0])):
            if prints is not None and other in self.graph.constants:
                shape = np.broadcast_shapes(prints.shape, self.graph.constants[other].shape)
                return np.broadcast_to(prints, shape)
        return None

    def _moved(self, node: onnx.NodeProto) -> list[Prints | None]:
        """Elements go to other places; constants among them are 0."""
        moving = set(node.input) if node.op_type == "Concat" else {node.input[0]}
        feed: dict[str, Array] = {}
        for each in node.input:
            if each in self.prints:
                feed[each] = np.ascontiguousarray(self.prints[each]).view(np.int64)
            elif each in self.graph.constants:
                array = self.graph.constants[each]
                feed[each] = np.zeros(array.shape, np.int64) if each in moving else array
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        if node.op_type == "Pad":
            del plain.input[2:3]
            plain.input.insert(2, "") if len(node.input) > 3 else None
            feed = {each: array for each, array in feed.items() if each in plain.input}
        results = self.graph.evaluate(plain, feed)
        return [np.ascontiguousarray(each).view(np.uint64) for each in results]

    def _reduced(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Prints | None:
        prints = self.prints[node.input[0]]
        axes: Any = attributes.get("axes")
        if len(node.input) > 1 and node.input[1]:
            axes = self.graph.constants[node.input[1]].tolist()
        chosen = tuple(a % prints.ndim for a in (axes or range(prints.ndim)))
        keep = bool(attributes.get("keepdims", 1))
        if node.op_type in ("ReduceMean", "ReduceSum"):
            return np.asarray(prints.sum(axis=chosen, keepdims=keep, dtype=np.uint64))
        if node.op_type == "ReduceMax":
            rest = [a for a in range(prints.ndim) if a not in chosen]
            flat = prints.transpose(*rest, *chosen).reshape(*(prints.shape[a] for a in rest), -1)
            shape = [
                1 if a in chosen else size
                for a, size in enumerate(prints.shape)
                if keep or a not in chosen
            ]
            return largest(flat, -1).reshape(shape)
        return None


def source(name: str, shape: tuple[int, ...], axis: int | None) -> Prints:
    """Fingerprints of a tensor that comes from outside, its batch included."""
    rest = tuple(size for position, size in enumerate(shape) if position != axis)
    prints = elements(name, rest)
    if axis is None:
        return prints
    salt = np.arange(shape[axis], dtype=np.uint64).reshape(-1, *(1,) * len(rest))
    return np.moveaxis(prints + salt * np.uint64(0xA24BAED4963EE407), 0, axis)
