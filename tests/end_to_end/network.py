"""Small ONNX models, node by node, with random weights and shapes that are known at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Shape = tuple[int | str, ...]

OPSET = 17


@dataclass(repr=False)
class Network:
    """A model under construction.

    Attributes:
        seed: of the weights.
        batch: the size of the batch, or the symbol `N`.
        shapes: of all activations so far, in the order in which they were made.
        outputs: names of the activations that the model returns.
    """

    seed: int
    batch: int | str = "N"
    shapes: dict[str, Shape] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _inputs: dict[str, float] = field(default_factory=dict)
    _constants: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def __repr__(self) -> str:
        """The nodes, for a test that fails."""
        nodes = "; ".join(
            f"{node.op_type}({', '.join(node.input)}) -> {', '.join(node.output)}"
            for node in self._nodes
        )
        return f"<seed {self.seed}, shapes {self.shapes}, outputs {self.outputs}: {nodes}>"

    def input(self, *shape: int | str, largest: float = 127 / 64) -> str:
        """A new float32 input.  Calibrated on feeds whose largest magnitude is 127/64, an LSB is
        1/64, so that multiples of half an LSB are exact."""
        name = f"input{len(self._inputs)}"
        self._inputs[name] = largest
        self.shapes[name] = shape
        return name

    def constant(self, array: Array) -> str:
        """A new initializer."""
        name = f"constant{len(self._constants)}"
        self._constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """A new initializer of indices or sizes."""
        return self.constant(np.array(values, np.int64))

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> str:
        """A new initializer of normally distributed numbers."""
        return self.constant((mean + scale * self.rng.standard_normal(shape)).astype(np.float32))

    def weight(self, *shape: int, sums: int) -> str:
        """A new weight; each output sums `sums` products and is about as large as the inputs."""
        return self.normal(*shape, scale=1.0 / math.sqrt(sums))

    def node(self, kind: str, *operands: str, shape: Shape | None = None, **attributes: Any) -> str:
        """A new node with one result; `shape` where inference cannot know it."""
        return self.nodes(kind, operands, 1, shape=shape, **attributes)[0]

    def nodes(
        self,
        kind: str,
        operands: tuple[str, ...],
        count: int,
        shape: Shape | None = None,
        **attributes: Any,
    ) -> list[str]:
        """A new node with several results."""
        number = len(self._nodes)
        results = [f"value{number}_{k}" if count > 1 else f"value{number}" for k in range(count)]
        node = helper.make_node(kind, operands, results, f"{kind}_{number}", **attributes)
        self._nodes.append(node)
        for result, inferred in zip(results, self._inferred(node), strict=True):
            self.shapes[result] = shape or inferred
        return results

    def size(self, name: str) -> int:
        """Elements of one sample."""
        return math.prod(dim for dim in self.sample(name))

    def sample(self, name: str) -> tuple[int, ...]:
        """Shape without the batch, which is any symbol; for a fixed batch, without that axis."""
        shape = list(self.shapes[name])
        shape.remove(self.batch)
        return tuple(dim for dim in shape if isinstance(dim, int))

    def model(self) -> onnx.ModelProto:
        """The model, checked."""
        values = {name: self._info(name) for name in (*self._inputs, *self.outputs)}
        graph = helper.make_graph(
            self._nodes,
            "network",
            [values[name] for name in self._inputs],
            [values[name] for name in self.outputs],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model

    def feed(self, samples: int, seed: int) -> dict[str, Array]:
        """Normally distributed inputs, their largest magnitudes as `input` was told."""
        rng = np.random.default_rng(seed)
        feed = {}
        for name, largest in self._inputs.items():
            shape = [samples if isinstance(dim, str) else dim for dim in self.shapes[name]]
            values = rng.standard_normal(shape)
            feed[name] = (values * (largest / np.abs(values).max())).astype(np.float32)
        return feed

    def batch_axis(self, name: str) -> int:
        """The axis of the batch of an activation."""
        return self.shapes[name].index(self.batch)

    def _info(self, name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])

    def _inferred(self, node: onnx.NodeProto) -> list[Shape]:
        """The shapes of the results of a node; an axis that is not known counts as the batch."""
        known = [name for name in node.input if name in self.shapes]
        constants = {name: self._constants[name] for name in node.input if name in self._constants}
        graph = helper.make_graph(
            [node],
            "step",
            [self._info(name) for name in known],
            [onnx.ValueInfoProto(name=name) for name in node.output],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        return [
            tuple(
                dim.dim_value if dim.HasField("dim_value") else self.batch
                for dim in result.type.tensor_type.shape.dim
            )
            for result in inferred.graph.output
        ]
