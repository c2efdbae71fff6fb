"""What schedules mean, in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from anacc.program.model import Adc, Format
from anacc_runtime import _kernel, arithmetic
from anacc_runtime.native.encode import encode
from anacc_runtime.native.operations import (
    Body,
    Fill,
    Gather,
    Loop,
    Operand,
    Operation,
    RegionKind,
    Scatter,
    Schedule,
    TileCall,
    Vector,
)

Array = np.ndarray[Any, Any]
DTYPES = {
    Format.INT8: np.int8,
    Format.INT16: np.int16,
    Format.INT32: np.int32,
    Format.BINARY16: np.float16,
}


@dataclass(frozen=True)
class PlainTile:
    """A tile as arrays; see `_kernel.Tile`."""

    codes: Array
    adc: Adc
    scale: Array
    offset: Array | None
    addends: tuple[tuple[str, Array | None], ...]
    runs: tuple[tuple[int, int], ...]

    def native(self, isa: str | None) -> _kernel.Tile:
        adc = self.adc
        settings = adc.phases, adc.multiplier, adc.shift, adc.maximum
        return _kernel.Tile(
            self.codes, settings, self.scale, self.offset, self.addends, None, self.runs, False,
            isa,
        )  # fmt: skip

    def apply(self, x: Array, addends: Sequence[Array]) -> Array:
        """The value for an input vector of int8 bytes from which the runs are taken."""
        codes = np.concatenate([x[start : start + length] for start, length in self.runs])
        counts = arithmetic.mvm(codes, self.codes, self.adc)
        if self.offset is None:
            y = arithmetic.scale(counts, self.scale)
        else:
            y = arithmetic.affine(counts, self.scale, self.offset)
        for addend, (_, scale) in zip(addends, self.addends, strict=True):
            scaled = addend if scale is None else arithmetic.scale(addend, scale)
            y = arithmetic.add(y, scaled.astype(np.float16))
        return y


@dataclass
class Model:
    """A schedule with all that an engine is made of."""

    schedule: Schedule
    tiles: tuple[PlainTile, ...] = ()
    constants16: Array = field(default_factory=lambda: np.zeros(0, np.float16))
    constants32: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    curves: tuple[arithmetic.Curve, ...] = ()

    def engine(self, isa: str | None = None, words: Array | None = None) -> _kernel.Engine:
        return _kernel.Engine(
            encode(self.schedule) if words is None else words,
            tuple(tile.native(isa) for tile in self.tiles),
            self.constants16,
            self.constants32,
            tuple((c.samples, c.limit, c.odd, c.interpolate) for c in self.curves),
            isa,
        )

    def expected(self, externals: Sequence[Array]) -> list[Array]:
        """What the externals, (batch, bytes) uint8, hold in the end."""
        results = [array.copy() for array in externals]
        for sample in range(len(externals[0])):
            _Interpreter(self, [array[sample] for array in results]).run()
        return results


class _Interpreter:
    """Executes a schedule for one sample, position by position."""

    def __init__(self, model: Model, externals: list[Array]) -> None:
        self.model = model
        self.memory: list[Array] = []
        for region in model.schedule.regions:
            match region.kind:
                case RegionKind.EXTERNAL:
                    self.memory.append(externals[region.offset])
                case RegionKind.CONSTANTS16:
                    self.memory.append(model.constants16.view(np.uint8))
                case RegionKind.CONSTANTS32:
                    self.memory.append(model.constants32.view(np.uint8))
                case _:
                    self.memory.append(np.zeros(region.size, np.uint8))

    def run(self) -> None:
        for group in self.model.schedule.groups:
            for number, index in enumerate(product(*map(range, group.axes))):
                self.axes, self.number = index, number
                self.body(group.body, ())

    def body(self, body: Body, loops: tuple[int, ...]) -> None:
        for node in body:
            if isinstance(node, Loop):
                for iteration in range(node.count):
                    self.body(node.body, (*loops, iteration))
            else:
                self.execute(node, loops)

    def address(self, operand: Operand, loops: tuple[int, ...]) -> tuple[Array, int]:
        address = operand.base + int(np.dot(operand.loops, loops) + np.dot(operand.axes, self.axes))
        if operand.table is not None:
            address += int(self.model.schedule.tables[operand.table][self.number])
        return self.memory[operand.region], address

    def read(self, operand: Operand, loops: tuple[int, ...], length: int, dtype: Any) -> Array:
        memory, start = self.address(operand, loops)
        piece = memory[start : start + length * np.dtype(dtype).itemsize]
        return np.frombuffer(piece.tobytes(), dtype)

    def write(self, operand: Operand, loops: tuple[int, ...], value: Array) -> None:
        memory, start = self.address(operand, loops)
        data = np.frombuffer(value.tobytes(), np.uint8)
        memory[start : start + len(data)] = data

    def execute(self, operation: Operation, loops: tuple[int, ...]) -> None:
        match operation:
            case Gather():
                memory, start = self.address(operation.source, loops)
                pieces = [memory[start + k :][: operation.element] for k in _offsets(operation)]
                self.write(operation.target, loops, np.concatenate(pieces))
            case Scatter():
                memory, start = self.address(operation.target, loops)
                offsets = list(_offsets(operation))
                size = operation.element
                source = self.read(operation.source, loops, len(offsets) * size, np.uint8)
                for number, offset in enumerate(offsets):
                    piece = source[number * size : (number + 1) * size]
                    memory[start + offset : start + offset + size] = piece
            case Fill():
                times = operation.size // len(operation.pattern)
                data = np.frombuffer(operation.pattern * times, np.uint8)
                self.write(operation.target, loops, data)
            case TileCall():
                self.tile(operation, loops)
            case Vector():
                self.write(operation.target, loops, self.vector(operation, loops))

    def tile(self, call: TileCall, loops: tuple[int, ...]) -> None:
        tile = self.model.tiles[call.tile]
        x = self.read(call.x, loops, max(start + length for start, length in tile.runs), np.int8)
        columns = tile.codes.shape[1]
        addends = [
            self.read(operand, loops, columns, np.int8 if kind == "int8" else np.float16)
            for operand, (kind, _) in zip(call.addends, tile.addends, strict=True)
        ]
        value = tile.apply(x, addends)
        if call.value is not None:
            self.write(call.value, loops, value)
        if call.codes is not None:
            self.write(call.codes, loops, arithmetic.quantise(value))

    def vector(self, vector: Vector, loops: tuple[int, ...]) -> Array:
        dtypes = [DTYPES[vector.format], np.float16, np.float16]
        if vector.op == "average":
            dtypes[1] = np.float32
        s = []
        for operand, single, dtype in zip(
            vector.sources, vector.broadcast, dtypes[: len(vector.sources)], strict=True
        ):
            length = 1 if single else vector.length * vector.vectors
            value = self.read(operand, loops, length, dtype)
            s.append(np.broadcast_to(value, (vector.length,)) if single else value)
        match vector.op:
            case "relu" | "quantise" | "scale" | "affine" | "add" | "multiply" | "average":
                return np.asarray(getattr(arithmetic, vector.op)(*s))
            case "clamp":
                return arithmetic.clamp(s[0], vector.low, vector.high)
            case "lookup":
                return arithmetic.lookup(s[0], self.model.curves[vector.table])
            case "maximum":
                return arithmetic.maximum(s[0], vector.length)
            case "sum":
                return arithmetic.total(s[0], vector.length)
        raise AssertionError(vector.op)


def _offsets(copy: Gather | Scatter) -> Iterator[int]:
    """The offsets of the elements that lie apart, in the order of those that do not."""
    for index in product(*(range(count) for count, _ in copy.dims)):
        yield sum(i * stride for i, (_, stride) in zip(index, copy.dims, strict=True))
