"""A network whose layers have the names and shapes of a published HERMES mapping.

The network of the mapping is a Performer, of which a mapping says nothing but its linear layers;
here they are joined as simply as can be.  The table holds the numbers of the mapping
`cifar10_mapping_full.json` of [1]_: for each layer rows and columns of its matrix, row and column
of its core, and row and column of its first cell.

References:
    .. [1] https://github.com/IBM/kernel-approximation-using-analog-in-memory-computing,
       imka-lra/resources/hermes_mappings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYER = "encoder.encoder.layers"
FEATURES = "self_attn.attention.feature_map.projection_layer"

PUBLISHED: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    f"{LAYER}.0.self_attn.k_proj": ((64, 64), (0, 0), (192, 0)),
    f"{LAYER}.0.self_attn.v_proj": ((64, 64), (0, 0), (192, 64)),
    f"{LAYER}.0.self_attn.q_proj": ((64, 64), (1, 0), (0, 0)),
    f"{LAYER}.0.self_attn.out_proj": ((64, 64), (1, 0), (0, 64)),
    f"{LAYER}.0.{FEATURES}": ((32, 128), (1, 0), (64, 64)),
    f"{LAYER}.0.fc1": ((64, 128), (0, 0), (0, 0)),
    f"{LAYER}.0.fc2": ((128, 64), (0, 0), (0, 128)),
    f"{LAYER}.1.self_attn.k_proj": ((64, 64), (1, 0), (0, 128)),
    f"{LAYER}.1.self_attn.v_proj": ((64, 64), (1, 0), (64, 0)),
    f"{LAYER}.1.self_attn.q_proj": ((64, 64), (1, 0), (128, 0)),
    f"{LAYER}.1.self_attn.out_proj": ((64, 64), (1, 0), (192, 0)),
    f"{LAYER}.1.{FEATURES}": ((32, 128), (1, 0), (96, 64)),
    f"{LAYER}.1.fc1": ((64, 128), (0, 0), (64, 0)),
    f"{LAYER}.1.fc2": ((128, 64), (0, 0), (128, 128)),
    "classifier.0.0": ((64, 128), (0, 0), (128, 0)),
    "sentence_projection_layer": ((128, 10), (1, 0), (128, 64)),
}


def published() -> dict[str, Any]:
    """The mapping as JSON data."""
    found: dict[str, Any] = {}
    for name, ((rows, columns), (r, c), (row, column)) in PUBLISHED.items():
        region = {
            "tile_col_region": [column, column + columns],
            "tile_row_region": [row, row + rows],
            "weight_col_region": [0, columns],
            "weight_row_region": [0, rows],
        }
        found[name] = {
            "type": "Linear",
            "weight": f"{name}.weight",
            "bias": f"{name}.bias",
            "tiles_map": {str(r): {str(c): [region]}},
            "n_shared": 1,
        }
    return found


class _Network:
    def __init__(self) -> None:
        self.random = np.random.default_rng(5)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: np.ndarray[Any, Any]) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: list[str], name: str) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}.out"], name=name))
        return f"{name}.out"

    def linear(self, x: str, name: str) -> str:
        """As PyTorch exports a linear layer of more than two axes: its weight has no name left."""
        rows, columns = PUBLISHED[name][0]
        weight = self.random.normal(size=(rows, columns)).astype(np.float32) / np.sqrt(rows)
        path = "/" + "/".join(_modules(name))
        w = self.constant(f"onnx::MatMul_{len(self.constants)}", weight.astype(np.float32))
        b = self.constant(f"{name}.bias", self.random.normal(size=columns).astype(np.float32) / 8)
        return self.node("Add", [b, self.node("MatMul", [x, w], f"{path}/MatMul")], f"{path}/Add")


def _modules(name: str) -> list[str]:
    """The parts of a path as PyTorch writes them: the number of a layer stays with its list."""
    parts: list[str] = []
    for part in name.split("."):
        if part.isdigit():
            parts[-1] += f".{part}"
        else:
            parts.append(part)
    return parts


def model() -> onnx.ModelProto:
    """The network: x (N, 4, 64) gives `y` (N, 4, 10) and the features of both layers."""
    net = _Network()
    heads = net.constant("heads", np.array([0, 4, 2, 32], np.int64))
    x, features = "x", []
    for layer in (f"{LAYER}.0", f"{LAYER}.1"):
        key, value, query = (net.linear(x, f"{layer}.self_attn.{n}_proj") for n in "kvq")
        both = net.node("Add", [key, query], f"{layer}.both")
        split = net.node("Reshape", [both, heads], f"{layer}.split")
        features.append(net.linear(split, f"{layer}.{FEATURES}"))
        attended = net.linear(value, f"{layer}.self_attn.out_proj")
        x = net.node("Add", [attended, x], f"{layer}.residual")
        inner = net.node("Relu", [net.linear(x, f"{layer}.fc1")], f"{layer}.relu")
        x = net.node("Add", [net.linear(inner, f"{layer}.fc2"), x], f"{layer}.result")
    x = net.node("Relu", [net.linear(x, "classifier.0.0")], "classifier.relu")
    y = net.linear(x, "sentence_projection_layer")
    graph = helper.make_graph(
        net.nodes,
        "performer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 64])],
        [
            helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", 4, 10]),
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4, 2, 128])
                for name in features
            ),
        ],
        net.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def samples(count: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs."""
    values = np.random.default_rng(9).normal(size=(count, 4, 64))
    return {"x": values.astype(np.float32)}
