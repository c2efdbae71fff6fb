"""Small networks, one for each way of using the chip, compiled with weights of a fixed seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import anacc
from anacc.program.image import Image

Nodes = list[onnx.NodeProto]
Weights = dict[str, np.ndarray[Any, Any]]


def _model(nodes: Nodes, weights: Weights, x: list[int], y: list[int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def residual() -> onnx.ModelProto:
    """Convolutions with a residual, batch norm, pooling, groups, a product; Softmax on the host."""
    random = np.random.default_rng(1)
    weights: Weights = {
        "w1": random.normal(size=(8, 3, 3, 3)),
        "b1": random.normal(size=8),
        "w2": random.normal(size=(8, 8, 3, 3)) / 8,
        "gamma": random.uniform(0.5, 2, 8),
        "beta": random.normal(size=8),
        "mean": random.normal(size=8),
        "variance": random.uniform(0.5, 2, 8),
        "w3": random.normal(size=(16, 2, 3, 3)) / 4,
        "b3": random.normal(size=16),
        "w4": random.normal(size=(16 * 4 * 4, 10)) / 16,
        "b4": random.normal(size=10),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["c1"], name="first", pads=[1] * 4, strides=[1, 1]),
        make("Relu", ["c1"], ["r1"], name="relu1"),
        make("Conv", ["r1", "w2"], ["c2"], name="second", pads=[1] * 4),
        make(
            "BatchNormalization", ["c2", "gamma", "beta", "mean", "variance"], ["n2"], name="norm"
        ),
        make("Add", ["n2", "r1"], ["s2"], name="sum"),
        make("Relu", ["s2"], ["r2"], name="relu2"),
        make("MaxPool", ["r2"], ["p2"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["p2", "w3", "b3"], ["c3"], name="grouped", group=4, pads=[1] * 4),
        make("Relu", ["c3"], ["r3"], name="relu3"),
        make("Flatten", ["r3"], ["f"], name="flatten"),
        make("Gemm", ["f", "w4", "b4"], ["z"], name="last"),
        make("Softmax", ["z"], ["y"], name="softmax"),
    ]
    return _model(nodes, weights, [1, 3, 8, 8], [1, 10])


def large() -> onnx.ModelProto:
    """A matrix with three row tiles and two column tiles, and one behind it."""
    random = np.random.default_rng(2)
    weights: Weights = {
        "w1": random.normal(size=(600, 400)) / 25,
        "b1": random.normal(size=400),
        "w2": random.normal(size=(400, 20)) / 20,
        "b2": random.normal(size=20),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="wide"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], name="narrow"),
    ]
    return _model(nodes, weights, [1, 600], [1, 20])


def recurrent() -> onnx.ModelProto:
    """An LSTM of two chunks of hidden units, and a product of its states."""
    random = np.random.default_rng(3)
    weights: Weights = {
        "w": random.normal(size=(1, 480, 12)) / 4,
        "r": random.normal(size=(1, 480, 120)) / 12,
        "b": random.normal(size=(1, 960)) / 4,
        "v": random.normal(size=(120, 7)),
    }
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["s"], name="lstm", hidden_size=120),
        helper.make_node("Squeeze", ["s", "axes"], ["q"], name="squeeze"),
        helper.make_node("MatMul", ["q", "v"], ["y"], name="last"),
    ]
    model = _model(nodes, weights, [6, 1, 12], [6, 1, 7])
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    model.graph.initializer.append(axes)
    return model


def uneven() -> onnx.ModelProto:
    """Matrices of which what is left over beside whole crossbars fills others."""
    random = np.random.default_rng(5)
    weights: Weights = {
        "w1": random.normal(size=(100, 90)) / 10,
        "b1": random.normal(size=90),
        "w2": random.normal(size=(90, 90)) / 10,
        "w3": random.normal(size=(90, 5)) / 8,
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2"], ["g"], name="second"),
        helper.make_node("Add", ["g", "r"], ["s"], name="sum"),
        helper.make_node("Gemm", ["s", "w3"], ["y"], name="third"),
    ]
    return _model(nodes, weights, [1, 100], [1, 5])


def depthwise() -> onnx.ModelProto:
    """Channels of very different ranges, which a depthwise convolution reads."""
    random = np.random.default_rng(6)
    spread = np.geomspace(1, 100, 12).reshape(-1, 1, 1, 1)
    weights: Weights = {
        "w1": random.normal(size=(12, 3, 1, 1)) * spread,
        "w2": random.normal(size=(12, 1, 3, 3)) / spread,
        "w3": random.normal(size=(5, 12, 1, 1)),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="first"),
        make("Relu", ["a"], ["r"], name="relu"),
        make("Conv", ["r", "w2"], ["d"], name="depthwise", pads=[1] * 4, group=12),
        make("Relu", ["d"], ["s"], name="relu2"),
        make("Conv", ["s", "w3"], ["y"], name="last"),
    ]
    return _model(nodes, weights, [1, 3, 8, 8], [1, 5, 8, 8])


def elementwise() -> onnx.ModelProto:
    """A fork of which one branch is longer than the other, joined on a GDPU."""
    random = np.random.default_rng(4)
    weights: Weights = {
        f"w{number}": random.normal(size=(6, 6, 3, 3)) / 7 for number in range(1, 4)
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="stem", pads=[1] * 4),
        make("Conv", ["a", "w2"], ["b"], name="gate", pads=[1] * 4),
        make("Sigmoid", ["b"], ["g"], name="sigmoid"),
        make("Mul", ["a", "g"], ["m"], name="gated"),
        make("Conv", ["m", "w3"], ["y"], name="last", pads=[1] * 4),
    ]
    return _model(nodes, weights, [1, 6, 6, 6], [1, 6, 6, 6])


@dataclass(frozen=True)
class Example:
    """A network and the options to compile it with; offsets are not corrected, but for those."""

    network: Callable[[], onnx.ModelProto]
    options: Mapping[str, Any] = field(default_factory=dict)


SMALL = {"settings": {"crossbar": "64x64", "grid": "1x2"}, "packing": "never"}

NETWORKS = {
    "residual": Example(residual),
    "large": Example(large),
    "recurrent": Example(recurrent),
    "elementwise": Example(elementwise),
    "copied": Example(residual, {"optimize": "throughput"}),
    "shared": Example(residual, {"settings": {"crossbar": "64x64"}, "optimize": "throughput"}),
    "few": Example(residual, {"settings": {"grid": "2x2"}, "optimize": "throughput"}),
    "chained": Example(residual, {**SMALL, "chips": "auto"}),
    "rounds": Example(residual, {**SMALL, "chips": 1, "reload": True}),
    "regrouped": Example(uneven, {"settings": {"crossbar": "64x64"}, "packing": "densest"}),
    "ranges": Example(depthwise, {"optimize": "latency"}),
    "corrected": Example(residual, {"correction": "bias"}),
}


@cache
def compiled(name: str) -> Image:
    """The program of an example."""
    example = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"correction": "none", **example.options}
        return anacc.compile(example.network(), **options).image


def saved(name: str, folder: Path) -> Path:
    """The file of the network of an example."""
    path = folder / f"{name}.onnx"
    onnx.save(NETWORKS[name].network(), path)
    return path
