"""The data structure of the IR.

::

    module    = level, name, batch, inputs, outputs, values, constants, ops
    op        = results "=" kind "(" operands ")" attributes, origins
    operand   = name of a value (written %name) or of a constant (written @name)
    value     = name, type, scale?, zero?
    type      = tensor (element type, shape) | channel (format, token size, tokens)

Modules are never changed in place: a pass builds a new one (`dataclasses.replace`).  Ops are
listed in an order in which every value is defined before it is used; only an op with the attribute
`recurrent` set may use what a later op sends back to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH = "N"
"""The one symbolic dimension of a shape: the batch, whatever the model calls it."""

Dim = int | str
AttributeValue = int | float | str | bool | tuple["AttributeValue", ...]


@lru_cache(maxsize=256)
def dtype_name(dtype: np.dtype[Any]) -> str:
    """An element type in NumPy's spelling, which NumPy composes anew each time."""
    return str(dtype)


class Level(Enum):
    """Which vocabulary a module uses."""

    GRAPH = "graph"
    LAYER = "layer"
    CHIP = "chip"


@dataclass(frozen=True)
class TensorType:
    """A tensor: an ONNX element type in NumPy's spelling (`float32`, `int64`, ...) and a shape of
    integers and at most one `BATCH`.  A shape of None is unknown; only the host may hold it."""

    dtype: str
    shape: tuple[Dim, ...] | None

    @property
    def batch_axis(self) -> int | None:
        """Position of the batch in the shape, or None."""
        if self.shape is None or BATCH not in self.shape:
            return None
        return self.shape.index(BATCH)

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of one sample: the axes without the batch.

        Raises:
            ValueError: if the shape is unknown.
        """
        if self.shape is None:
            raise ValueError("the shape is unknown")
        return tuple(dim for dim in self.shape if isinstance(dim, int))


@dataclass(frozen=True)
class Channel:
    """A chip-level value: `tokens` vectors of `token_size` elements per sample.

    Format `i8` holds codes and `f16` LDPU values; the real value is element * scale of the value.
    Format `tensor` is a whole host tensor (token size 0, one token).
    """

    format: str
    token_size: int
    tokens: int


Type = TensorType | Channel


@dataclass(frozen=True)
class Value:
    """A value of the module.

    Attributes:
        name: `%...`.
        type: its type.
        scale: real value of one code (LSB), None until quantised.
        zero: the code that stands for 0: real = (code - zero) * scale.  Values of quantised models
            have it from the model; `anacc_passes.quantise` settles it.
    """

    name: str
    type: Type
    scale: float | None = None
    zero: int = 0


@dataclass(frozen=True)
class Recoded:
    """A tensor of a quantised model whose codes the chip does not hold as they are.

    Attributes:
        tensor: ONNX name.
        kind: `weight` or `activation`.
        bits: log2(LSB on the chip / LSB of the model): the precision that is lost; below 0 where
            the chip's LSB is the finer one.
        saturated: of a weight, how many of its codes are beyond [-127, 127]; of an activation, how
            many of the codes that it may have.
    """

    tensor: str
    kind: str
    bits: float
    saturated: int


@dataclass(frozen=True)
class Op:
    """An operation.

    Attributes:
        kind: name in the vocabulary of the module's level.
        operands: names of values (`%...`) and constants (`@...`), or "" for an absent one.
        results: names of the values that it defines (`%...`), "" for an absent one.
        attributes: as the op's spec declares; sorted by name when printed.
        origins: names of the ONNX nodes that it came from, in graph order.
        unit: the unit it is assigned to (`core 0.12`), chip level only.
    """

    kind: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    unit: str | None = None

    def integer(self, name: str) -> int:
        """An attribute that is declared as an integer.

        Raises:
            TypeError: if it is something else; so do the other accessors.
        """
        value = self.attributes[name]
        if not isinstance(value, int):
            raise TypeError(f"{self.kind}: {name} is no integer")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute that is declared as integers."""
        value = self.attributes[name]
        if not isinstance(value, tuple):
            raise TypeError(f"{self.kind}: {name} is no tuple")
        found = tuple(item for item in value if isinstance(item, int))
        if len(found) != len(value):
            raise TypeError(f"{self.kind}: {name} holds something that is no integer")
        return found

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute that is declared as a number; `default` where it may be absent."""
        value = self.attributes.get(name, default)
        if not isinstance(value, (int, float)):
            raise TypeError(f"{self.kind}: {name} is no number")
        return float(value)

    def text(self, name: str) -> str:
        """An attribute that is declared as a string."""
        value = self.attributes[name]
        if not isinstance(value, str):
            raise TypeError(f"{self.kind}: {name} is no string")
        return value

    def nested(self, name: str) -> Any:
        """An attribute that is declared as nested tuples (`any`), or absent: ()."""
        return self.attributes.get(name, ())


@dataclass(frozen=True)
class Held:
    """An ONNX tensor that the chip holds (chip level).

    Attributes:
        tensor: its ONNX name.
        shape: its shape; -1 stands for the batch.
        batch_axis: position of the batch in the shape, or None.
        permutation: of the other axes, in the order in which tokens hold the elements.
        parts: for each format that exists (`i8`, `f16`), the channels whose tokens, side by side,
            make the tokens.
        scale: real value of one unit of an element.
        zero: the code that stands for 0.
        factors: what the elements of a token are multiplied by, one for each; (): by 1.
        grid: where the tensor holds integers of a quantised model, their scale and zero point:
            the chip holds the real numbers that they stand for.  None: it holds real numbers.
    """

    tensor: str
    shape: tuple[int, ...]
    batch_axis: int | None
    permutation: tuple[int, ...]
    parts: Mapping[str, tuple[str, ...]]
    scale: float
    zero: int = 0
    factors: tuple[float, ...] = ()
    grid: tuple[float, int] | None = None


@dataclass(frozen=True)
class Module:
    """A network at one level.

    Attributes:
        level: the vocabulary.
        name: the ONNX graph's name.
        batch: the fixed batch size, or None where the model's batch is symbolic.
        inputs: names of the values that the model takes, in ONNX order (value `%x` is ONNX `x`).
        outputs: (ONNX output name, value name) pairs in ONNX order.
        values: every value by name; those of the inputs included.
        constants: arrays by name (`@...`), by reference: never copied by a pass that keeps them.
        ops: in an order in which definitions come before uses.
        source: what host segments and calibration need of the ONNX model; not part of the text.
        grids: for values that a quantised model quantises, its ONNX tensor and its LSB; not part of
            the text.
        recoded: what the report says of a quantised model's tensors; not part of the text.
        held: the ONNX tensors that channels hold, in order of the ops; not part of the text either.
    """

    level: Level
    name: str
    batch: int | None
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    values: Mapping[str, Value]
    constants: Mapping[str, npt.NDArray[Any]]
    ops: tuple[Op, ...]
    source: Any = None
    grids: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    recoded: tuple[Recoded, ...] = ()
    held: tuple[Held, ...] = ()

    def type_of(self, name: str) -> Type:
        """The type of a value or constant.

        Raises:
            KeyError: if there is none of that name.
        """
        if name.startswith("@"):
            array = self.constants[name]
            return TensorType(dtype_name(array.dtype), tuple(map(int, array.shape)))
        return self.values[name].type

    def tensor(self, name: str) -> TensorType:
        """The type of a value or constant that is a tensor.

        Raises:
            TypeError: if it is a channel.
        """
        kind = self.type_of(name)
        if not isinstance(kind, TensorType):
            raise TypeError(f"{name} is a channel, not a tensor")
        return kind

    def producers(self) -> dict[str, Op]:
        """The op that defines each value (none for inputs)."""
        return {result: op for op in self.ops for result in op.results if result}

    def consumers(self) -> dict[str, list[Op]]:
        """The ops that use each value, in order; an op that uses it twice is listed twice."""
        uses: dict[str, list[Op]] = {name: [] for name in self.values}
        for op in self.ops:
            for operand in op.operands:
                if operand.startswith("%"):
                    uses[operand].append(op)
        return uses


def equal(left: Module, right: Module) -> bool:
    """Whether two modules are the same IR: all fields that the text has, constants by content."""
    same_constants = left.constants.keys() == right.constants.keys() and all(
        left.constants[name].dtype == right.constants[name].dtype
        and left.constants[name].shape == right.constants[name].shape
        and left.constants[name].tobytes() == right.constants[name].tobytes()
        for name in left.constants
    )
    return same_constants and all(
        getattr(left, name) == getattr(right, name)
        for name in ("level", "name", "batch", "inputs", "outputs", "values", "ops")
    )
