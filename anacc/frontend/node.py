"""One ONNX node as its importer sees it: it turns the node into ops by `Node.emit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, helper

import anacc.ir.graph_ops  # noqa: F401  (declares the ops)
from anacc.frontend.external import Array
from anacc.frontend.facts import Facts
from anacc.frontend.naming import unused_name
from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, spec_of
from anacc.ir.module import AttributeValue, Dim, Recoded

DEFAULT_HINT = "change the node so that it does, or leave it to the host"


class Unsupported(Exception):
    """The chip does not run a node.

    Args:
        condition: ends the sentence "it runs on the chip only if ...".
        hint: one sentence that says what the user can do; "" where there is nothing special.
    """

    def __init__(self, condition: str, hint: str = "") -> None:
        super().__init__(condition)
        self.hint = hint or DEFAULT_HINT


@dataclass
class Scope:
    """The module under construction: what `Node.emit` adds to.

    Attributes:
        stands_for, integers: as `SourceModel` has them.
        steps: scales of integer weights, of tensors that importers made; see `kept`.
        recoded: what becomes of the codes of integer weights.
    """

    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    stands_for: dict[str, str] = field(default_factory=dict)
    integers: dict[str, tuple[float, int]] = field(default_factory=dict)
    steps: dict[str, Array] = field(default_factory=dict)
    recoded: list[Recoded] = field(default_factory=list)

    def mark(self) -> tuple[int, ...]:
        """The state now, for `undo`: the number of ops, then the sizes of the tables."""
        return (len(self.ops), *map(len, self._tables()))

    def undo(self, mark: tuple[int, ...]) -> None:
        """Forget all that was added since a mark: dictionaries keep the order of insertion."""
        ops, *sizes = mark
        del self.ops[ops:]
        for table, size in zip(self._tables(), sizes, strict=True):
            while len(table) > size:
                table.popitem()

    def _tables(self) -> tuple[dict[str, Any], ...]:
        return self.values, self.constants, self.stands_for, self.integers, self.steps

    def module(self) -> Module:
        """The state so far, for shape rules."""
        return Module(Level.GRAPH, "", None, (), (), self.values, self.constants, ())


@dataclass
class Node:
    """An ONNX node.

    Attributes:
        proto: the node, with a unique name.
        version: the operator set.
        facts: what is known of the tensors.
        used: names of the tensors that some node or output reads.
        scope: what the ops are added to.
        reserved: names of all tensors of the model.
    """

    proto: NodeProto
    version: int
    facts: Facts
    used: frozenset[str]
    scope: Scope
    reserved: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The unique name."""
        return self.proto.name

    def has(self, position: int) -> bool:
        """Whether the optional input is given."""
        return len(self.proto.input) > position and self.proto.input[position] != ""

    def uses(self, position: int) -> bool:
        """Whether anything reads the output."""
        return len(self.proto.output) > position and self.proto.output[position] in self.used

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as a Python value; strings are `str`."""
        for entry in self.proto.attribute:
            if entry.name == name:
                value = helper.get_attribute_value(entry)
                if isinstance(value, bytes):
                    return value.decode(errors="replace")
                if isinstance(value, list) and value and isinstance(value[0], bytes):
                    return [item.decode(errors="replace") for item in value]
                return value
        return default

    def constant(self, position: int) -> Array | None:
        """The value of an input that is constant."""
        return self.facts.values.get(self.proto.input[position]) if self.has(position) else None

    def sample(self, position: int) -> Array | None:
        """The value of a constant, or of one sample of an input that repeats it (axis of 1)."""
        value = self.constant(position)
        if not self.has(position):
            return None
        return self.facts.samples.get(self.proto.input[position]) if value is None else value

    def integers(self, position: int) -> list[int] | None:
        """The elements of an input that is a constant of integers."""
        value = self.constant(position)
        return None if value is None else [int(item) for item in value.ravel()]

    def type(self, position: int) -> TensorType:
        """The type of an input."""
        return self.facts.types[self.proto.input[position]]

    def shape(self, position: int) -> tuple[Dim, ...]:
        """The shape of an input."""
        return known_shape(self.type(position))

    def result(self, position: int = 0) -> tuple[Dim, ...]:
        """The shape of an output."""
        return known_shape(self.facts.types[self.proto.output[position]])

    def value(self, position: int) -> str:
        """The IR name of an input.

        Raises:
            Unsupported: if it is constant, and so no activation.
        """
        name = self.proto.input[position]
        if name in self.facts.values:
            raise Unsupported(f"it moves or computes activations, but `{name}` is a constant")
        return f"%{name}"

    def output(self, position: int = 0) -> str:
        """The IR name of an output, "" where nothing reads it."""
        return f"%{self.proto.output[position]}" if self.uses(position) else ""

    def weight(self, position: int, array: Array | None = None, suffix: str = "") -> str:
        """Make a constant input, or an array derived from it, a constant of the module.

        Args:
            position: the input.
            array: the derived array; the same derivation must have the same suffix.
            suffix: for the name of a derived array.
        """
        name = f"@{self.proto.input[position]}" + (f".{suffix}" if suffix else "")
        content = self.constant(position) if array is None else array
        if content is None or content.dtype != np.float32:
            raise Unsupported(f"`{name[1:]}` is a constant of 32-bit floating point numbers")
        if suffix and name[1:] in self.reserved:
            return self.fresh_constant(content, name[1:])
        if name not in self.scope.constants:
            self.scope.constants[name] = content
        elif suffix and not np.array_equal(self.scope.constants[name], content):
            return self.fresh_constant(content, name[1:])
        return name

    def fresh_constant(self, array: Array, wanted: str) -> str:
        """Make an array a constant of its own."""
        name = self._unused(f"@{wanted}", self.scope.constants)
        self.scope.constants[name] = array
        return name

    def emit(
        self,
        kind: str,
        operands: tuple[str, ...],
        results: tuple[str, ...] | None = None,
        **attributes: AttributeValue,
    ) -> None:
        """Add an op that gives the outputs of the node, or `results`.

        Raises:
            Unsupported: if the shape rule of the op refuses it.
        """
        results = (self.output(),) if results is None else results
        op = Op(kind, operands, results, attributes, (self.name,))
        for name, inferred in zip(results, self._inferred(op), strict=True):
            if not name:
                continue
            declared = self.facts.types.get(name[1:])
            if declared is not None and declared != inferred:
                raise Unsupported(f"ONNX and the chip agree on its shape, {declared.shape}")
            self.scope.values[name] = Value(name, inferred)
        self.scope.ops.append(op)

    def derive(
        self,
        kind: str,
        operands: tuple[str, ...],
        suffix: str,
        stands_for: str,
        **attributes: AttributeValue,
    ) -> str:
        """Add an op whose result is no ONNX tensor; the name of the result.

        Args:
            kind, operands, attributes: of the op.
            suffix: for the name, after that of the tensor that it stands for.
            stands_for: the ONNX tensor with the same numbers, up to sign, order and repetition;
                "": none.
        """
        wanted = f"%{stands_for or self.proto.output[0]}.{suffix}"
        name = self._unused(wanted, self.scope.values)
        self.emit(kind, operands, (name,), **attributes)
        self.scope.stands_for[name] = stands_for
        return name

    def step(
        self, kind: str, operands: tuple[str, ...], suffix: str, **attributes: AttributeValue
    ) -> str:
        """Add an op on the way to the output, whose numbers no ONNX tensor holds; its name.

        Args:
            kind, operands, attributes: of the op.
            suffix: for the name, after that of the output.
        """
        return self.derive(kind, operands, suffix, "", **attributes)

    def _unused(self, wanted: str, taken: Mapping[str, object]) -> str:
        """A name of the IR that neither it nor ONNX has."""
        return unused_name(wanted, lambda name: name in taken or name[1:] in self.reserved)

    def _inferred(self, op: Op) -> list[TensorType]:
        rule = spec_of(Level.GRAPH, op.kind).infer
        if rule is None:
            raise TypeError(f"{op.kind} has no shape rule")
        try:
            types = rule(self.scope.module(), op)
        except ValueError as error:
            raise Unsupported(f"the shapes fit: {error}") from error
        return [kind for kind in types[: len(op.results)] if isinstance(kind, TensorType)]


def known_shape(kind: TensorType) -> tuple[Dim, ...]:
    """The shape of a tensor on the chip.

    Raises:
        Unsupported: if it is unknown.
    """
    if kind.shape is None:
        raise Unsupported("the shapes of its tensors are known")
    return kind.shape


def spatial(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """The axes after batch and channels.

    Raises:
        Unsupported: if the batch is among them.
    """
    if BATCH in shape[2:]:
        raise Unsupported("no spatial axis is the batch")
    return tuple(dim for dim in shape[2:] if isinstance(dim, int))
