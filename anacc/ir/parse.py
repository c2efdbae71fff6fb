"""Reads the text of the IR; `anacc.ir.text` states the grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import IrError
from anacc.ir.blobs import digest, element_type, from_literals, load_blob
from anacc.ir.module import AttributeValue, Channel, Level, Module, Op, TensorType, Type, Value
from anacc.ir.tokens import Reader, fail

Array = npt.NDArray[Any]
FindBlob = Callable[[str, np.dtype[Any]], Array]
"""The constant with a SHA-256 and an element type; raises IrError where there is none."""


def parse_module(text: str, constants: Mapping[str, Array] | None = None) -> Module:
    """The module that a text states.

    Its structure is as the text says, no more: `anacc.ir.verify.verify` checks the rules of the IR.

    Args:
        text: the text of one module.
        constants: where blobs are looked up, by content: the names do not matter.

    Raises:
        IrError: if the text does not follow the grammar; it names the line and what was expected.
    """
    index: dict[str, Array] = {}

    def find(sha256: str, dtype: np.dtype[Any]) -> Array:
        if constants and not index:
            index.update((digest(a), a) for a in constants.values() if not a.dtype.hasobject)
        if sha256 not in index:
            raise IrError(f"no constant has the content sha256:{sha256}")
        return index[sha256]

    return _Parser(text, find).module()


def read_module(path: Path) -> Module:
    """The module that `anacc.ir.text.write_module` wrote; its large constants are memory mapped.

    Raises:
        IrError: if the file cannot be read, or its text does not follow the grammar.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IrError(f"the module `{path}` cannot be read: {error}") from error
    try:
        return _Parser(text, lambda sha256, dtype: load_blob(path.parent, sha256, dtype)).module()
    except IrError as error:
        raise IrError(f"`{path}`, {error.message}", error.hint) from error


class _Parser(Reader):
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, text: str, find_blob: FindBlob) -> None:
        super().__init__(text)
        self._find_blob = find_blob
        self._inputs: list[str] = []
        self._outputs: list[tuple[str, str]] = []
        self._values: dict[str, Value] = {}
        self._constants: dict[str, Array] = {}
        self._ops: list[Op] = []

    # Types and values.

    def _type(self) -> Type:
        if self.next.text == "channel" and self.second.text == "<":
            self.take()
            self.take()
            format_ = self.of_kind("word", "a channel format")
            self.expect(",")
            token_size = self.integer("a token size")
            self.expect("x")
            tokens = self.integer("a number of tokens")
            self.expect(">")
            return Channel(format_, token_size, tokens)
        return self._tensor()

    def _tensor(self) -> TensorType:
        dtype = self.of_kind("word", "a type")
        self.expect("[")
        if self.accept("?"):
            self.expect("]")
            return TensorType(dtype, None)
        shape: list[int | str] = []
        self.items(lambda: shape.append(self._dim()), "]")
        return TensorType(dtype, tuple(shape))

    def _dim(self) -> int | str:
        return "N" if self.accept("N") else self.integer("an integer or `N`")

    def _value(self) -> str:
        """A typed value, added to the table; its name."""
        line = self.next.line
        name = self.name("%", "a value")
        self.expect(":")
        kind = self._type()
        scale, zero = None, 0
        if self.second.text != "(" and self.accept("scale"):
            scale = float(self.number("a scale"))
            if self.second.text != "(" and self.accept("zero"):
                zero = self.integer("a zero point")
        if name in self._values:
            fail(line, f"value `{name}` is defined twice")
        self._values[name] = Value(name, kind, scale, zero)
        return name

    # Statements.

    def module(self) -> Module:
        """The whole text."""
        self.expect("module")
        name = self.string("the name of the module as a string")
        self.expect("level")
        self.expect("=")
        levels = {level.value: level for level in Level}
        if self.next.text not in levels:
            self.expected(" or ".join(f"`{level}`" for level in levels))
        level = levels[self.take().text]
        self.expect("batch")
        self.expect("=")
        batch = None if self.accept("N") else self.integer("`N` or a batch size")
        self.expect("{")
        while not self.accept("}"):
            self._statement()
        if self.next.kind != "end":
            self.expected("the end of the text")
        return Module(
            level=level,
            name=name,
            batch=batch,
            inputs=tuple(self._inputs),
            outputs=tuple(self._outputs),
            values=self._values,
            constants=self._constants,
            ops=tuple(self._ops),
        )

    def _statement(self) -> None:
        # An op without results starts with its kind, which may be one of these words.
        if self.second.text == "(":
            self._op()
        elif self.accept("constant"):
            self._constant()
        elif self.accept("input"):
            self._inputs.append(self._value())
        elif self.accept("output"):
            onnx_name = self.string("the name of an output as a string")
            self.expect("=")
            self._outputs.append((onnx_name, self.name("%@", "a value")))
        elif self.next.kind == "name" or self.next.text == "_":
            self._op()
        else:
            self.expected("`constant`, `input`, `output`, an op or `}`")

    def _constant(self) -> None:
        line = self.next.line
        name = self.name("@", "a constant")
        self.expect(":")
        kind = self._tensor()
        self.expect("=")
        if name in self._constants:
            fail(line, f"constant `{name}` is defined twice")
        try:
            dtype = element_type(kind.dtype)
            shape = _fixed_shape(kind)
            self._constants[name] = self._content(dtype, shape)
        except ValueError as error:
            fail(line, f"constant `{name}`: {error}")

    def _content(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        if not self.accept("blob"):
            if self.next.text != "[":
                self.expected("`[` or `blob`")
            values = self.literal()
            return from_literals(dtype, shape, values if isinstance(values, tuple) else ())
        line = self.next.line
        sha256 = self.of_kind("blob", "`sha256:` and 64 hexadecimal digits").removeprefix("sha256:")
        try:
            array = self._find_blob(sha256, dtype)
        except IrError as error:
            raise IrError(f"line {line}: {error.message}", error.hint) from error
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"the blob is of type {array.dtype}{list(array.shape)}")
        return array

    def _op(self) -> None:
        results: list[str] = []
        if self.second.text != "(":
            self.items(lambda: results.append(self._result()), "=")
        kind = self.word_or_string("the kind of an op")
        self.expect("(")
        operands: list[str] = []
        self.items(lambda: operands.append(self._operand()), ")")
        attributes: dict[str, AttributeValue] = {}
        if self.accept("{"):
            self.items(lambda: self._attribute(attributes), "}")
        origins: list[str] = []
        # `from` and `on`, like `scale` above, may also be the kind of the next op.
        if self.second.text != "(" and self.accept("from"):
            origins.append(self.string("an ONNX node as a string"))
            while self.accept(","):
                origins.append(self.string("an ONNX node as a string"))
        unit = None
        if self.second.text != "(" and self.accept("on"):
            unit = self._unit()
        self._ops.append(
            Op(kind, tuple(operands), tuple(results), attributes, tuple(origins), unit)
        )

    def _result(self) -> str:
        return "" if self.accept("_") else self._value()

    def _operand(self) -> str:
        return "" if self.accept("_") else self.name("%@", "a value or a constant")

    def _attribute(self, attributes: dict[str, AttributeValue]) -> None:
        line = self.next.line
        name = self.word_or_string("an attribute")
        self.expect("=")
        if name in attributes:
            fail(line, f"attribute `{name}` is given twice")
        attributes[name] = self.literal()

    def _unit(self) -> str:
        if self.next.kind == "string":
            return self.string()
        kind = self.of_kind("word", "a unit")
        return f"{kind} {self.of_kind('number', 'chip and index of the unit')}"


def _fixed_shape(kind: TensorType) -> tuple[int, ...]:
    if kind.shape is None or "N" in kind.shape:
        raise ValueError("its shape must be of integers")
    if any(dim < 0 for dim in kind.dims):
        raise ValueError("its shape has a negative dimension")
    return kind.dims
