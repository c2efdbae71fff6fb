"""Operators on integers: each is `dequantise`, the operator on real numbers, and `quantise`.

The operator on real numbers is imported as any node of its kind is, under its own conditions; all
of its ops come from the one node, which the host runs as it is where the chip cannot.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import helper

from anacc.frontend.external import Array
from anacc.frontend.naming import unused_name
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.quantised import grid_at
from anacc.frontend.registry import MICROSOFT, QUANTISED, importer_of, imports, unmet
from anacc.ir import TensorType

_WITH_SUMS = (*QUANTISED, "int32")


@dataclass(frozen=True)
class Operand:
    """An input of integers, by positions among the inputs of the node (-1: there is none).

    Attributes:
        position: the integers.
        scale: their scale; without one it is 1.
        zero: their zero point.
        axis: the axis of a weight that several scales are for.
    """

    position: int
    scale: int = -1
    zero: int = -1
    axis: int = 0


class RealNode:
    """A node on integers, as a node of another operator on real numbers.

    Args:
        node: the node.
        kind: the operator on real numbers.
        dropped: attributes of the node that this one has not.
    """

    def __init__(self, node: Node, kind: str, dropped: Sequence[str] = ()) -> None:
        self.node, self.kind, self.dropped = node, kind, dropped
        self.inputs: list[str] = []
        self.types: dict[str, TensorType] = {}
        self.values: dict[str, Array] = {}

    def take_float(self, tensor: str) -> None:
        """Add an input that is a tensor of real numbers already."""
        self.inputs.append(tensor)

    def take(self, operand: Operand, factor: Array | None = None) -> None:
        """Add an input: real numbers in place of integers.

        Args:
            operand: the integers.
            factor: the scale of a constant where the node has none.

        Raises:
            Unsupported: if scales and zero points are not known.
        """
        node = self.node
        if node.constant(operand.position) is not None:
            self._constant(operand, factor)
            return
        tensor = node.proto.input[operand.position]
        grid = scale, zero = grid_at(node, operand.scale, operand.zero)
        operands = (node.value(operand.position),)
        name = node.derive("dequantise", operands, "real", tensor, scale=scale, zero=zero)
        node.scope.integers[name] = grid
        self._add(name[1:], TensorType("float32", node.type(operand.position).shape))

    def _constant(self, operand: Operand, factor: Array | None) -> None:
        integers = np.asarray(self.node.constant(operand.position))
        scale = np.ones(1, np.float32) if factor is None else factor
        if operand.scale >= 0:
            scale = self._parameter(operand.scale)
        zero: Array = np.zeros(1, np.int8)
        if operand.zero >= 0 and self.node.has(operand.zero):
            zero = self._parameter(operand.zero)
        shape = [1] * integers.ndim
        if integers.ndim:
            shape[operand.axis] = -1
        steps = np.asarray(scale, np.float32).reshape(shape)
        shifted = integers.astype(np.int64) - np.asarray(zero, np.int64).reshape(shape)
        self.add_constant(operand.position, shifted.astype(np.float32) * steps, steps)

    def _parameter(self, position: int) -> Array:
        value = self.node.constant(position)
        if value is None:
            raise Unsupported("its scales and zero points are constants")
        return value

    def add_constant(self, position: int, array: Array, step: Array | None = None) -> None:
        """Add a constant, called after an input of the node; `step` is the scale of integers."""
        scope, types = self.node.scope, self.node.facts.types
        name = unused_name(
            f"{self.node.proto.input[position]}.real",
            lambda name: f"@{name}" in scope.constants or name in types,
        )
        if step is not None:
            scope.steps[name] = step.reshape(-1)
        self.values[name] = np.asarray(array, np.float32)
        self._add(name, TensorType("float32", tuple(array.shape)))

    def _add(self, name: str, kind: TensorType) -> None:
        self.types[name] = kind
        self.inputs.append(name)

    def build(self, grid: tuple[float, int] | None) -> None:
        """Import the node on real numbers, and quantise what it gives by a scale and a zero point;
        None: it gives float32."""
        node = self.node
        result = node.proto.output[0]
        exact = result if grid is None else f"{result}.exact"
        proto = helper.make_node(self.kind, self.inputs, [exact], name=node.name)
        kept = (each for each in node.proto.attribute if each.name not in self.dropped)
        proto.attribute.extend(kept)
        kind = node.facts.types[result]
        self.types[exact] = TensorType("float32", kind.shape)
        facts = replace(
            node.facts,
            types=ChainMap(self.types, dict(node.facts.types)),
            values=ChainMap(self.values, dict(node.facts.values)),
        )
        inner = replace(node, proto=proto, facts=facts, used=node.used | {exact})
        importer = importer_of(proto)
        if importer is None:
            raise Unsupported(f"the chip has an operator {self.kind}")
        for constraint in importer.requires:
            if not constraint(inner):
                raise unmet(constraint)
        importer.build(inner)
        if grid is not None:
            value = f"%{exact}"
            node.scope.stands_for[value], node.scope.integers[value] = result, grid
            node.emit("quantise", (value,), scale=grid[0], zero=grid[1], dtype=kind.dtype)


def _import(
    node: Node,
    kind: str,
    operands: Sequence[Operand],
    result: tuple[int, int],
    dropped: Sequence[str] = (),
) -> None:
    real = RealNode(node, kind, dropped)
    for operand in operands:
        real.take(operand)
    real.build(grid_at(node, *result))


@imports("QLinearConv", elements=QUANTISED)
def import_qlinear_conv(node: Node) -> None:
    """QLinearConv becomes what Conv does, between `dequantise` and `quantise`."""
    real = RealNode(node, "Conv")
    real.take(Operand(0, 1, 2))
    real.take(Operand(3, 4, 5))
    _add_bias(real, 8, 1, 4)
    real.build(grid_at(node, 6, 7))


def _add_bias(real: RealNode, position: int, first: int, second: int, factor: float = 1.0) -> None:
    """Add a bias of integers, whose scale is the product of two scales and a factor."""
    node = real.node
    if not node.has(position):
        return
    bias, scales = node.constant(position), (node.constant(first), node.constant(second))
    if bias is None or scales[0] is None or scales[1] is None:
        raise Unsupported("its parameters are constants")
    scale = np.asarray(scales[0], np.float64).reshape(-1) * np.asarray(scales[1]).reshape(-1)
    real.add_constant(position, bias.reshape(-1) * scale * factor)


@imports("QLinearMatMul", elements=QUANTISED)
def import_qlinear_matmul(node: Node) -> None:
    """QLinearMatMul becomes what MatMul does, between `dequantise` and `quantise`."""
    _import(node, "MatMul", (Operand(0, 1, 2), Operand(3, 4, 5, axis=-1)), (6, 7))


@imports("ConvInteger", elements=_WITH_SUMS)
def import_conv_integer(node: Node) -> None:
    """ConvInteger becomes what Conv does, on integers as they are."""
    _import(node, "Conv", (Operand(0, zero=2), Operand(1, zero=3)), (-1, -1))


@imports("MatMulInteger", elements=_WITH_SUMS)
def import_matmul_integer(node: Node) -> None:
    """MatMulInteger becomes what MatMul does, on integers as they are."""
    _import(node, "MatMul", (Operand(0, zero=2), Operand(1, zero=3, axis=-1)), (-1, -1))


@imports(f"{MICROSOFT}.QGemm", elements=QUANTISED)
def import_qgemm(node: Node) -> None:
    """QGemm becomes what Gemm does, between `dequantise` and `quantise`."""
    real = RealNode(node, "Gemm", ("beta",))
    real.take(Operand(0, 1, 2))
    real.take(Operand(3, 4, 5, axis=0 if node.attribute("transB", 0) else -1))
    _add_bias(real, 6, 1, 4, float(node.attribute("alpha", 1.0)))
    real.build(grid_at(node, 7, 8) if node.has(7) else None)


@imports(f"{MICROSOFT}.QLinearAdd", f"{MICROSOFT}.QLinearMul", elements=QUANTISED)
def import_qlinear_pair(node: Node) -> None:
    """QLinearAdd and QLinearMul become what Add and Mul do."""
    kind = node.proto.op_type.removeprefix("QLinear")
    _import(node, kind, (Operand(0, 1, 2), Operand(3, 4, 5)), (6, 7))


@imports(
    f"{MICROSOFT}.QLinearAveragePool",
    f"{MICROSOFT}.QLinearGlobalAveragePool",
    f"{MICROSOFT}.QLinearSigmoid",
    elements=QUANTISED,
)
def import_qlinear_one(node: Node) -> None:
    """QLinearAveragePool, QLinearGlobalAveragePool and QLinearSigmoid become what the operators
    without QLinear do."""
    if node.attribute("channels_last", 0):
        raise Unsupported("its channels lie on axis 1")
    kind = node.proto.op_type.removeprefix("QLinear")
    _import(node, kind, (Operand(0, 1, 2),), (3, 4), ("channels_last",))


@imports(f"{MICROSOFT}.QLinearConcat", elements=QUANTISED)
def import_qlinear_concat(node: Node) -> None:
    """QLinearConcat becomes what Concat does."""
    parts = range(2, len(node.proto.input), 3)
    _import(node, "Concat", [Operand(k, k + 1, k + 2) for k in parts], (0, 1))
