"""Random schedules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from anacc.program.model import Adc, Format
from anacc_runtime import arithmetic
from anacc_runtime.native.encode import OPS
from anacc_runtime.native.operations import (
    Body,
    Fill,
    Gather,
    Group,
    Index,
    Loop,
    Operand,
    Operation,
    Region,
    RegionKind,
    Scatter,
    Schedule,
    TileCall,
    Vector,
)
from tests.runtime.schedule_model import DTYPES, Model, PlainTile

Array = np.ndarray[Any, Any]


@dataclass
class _Storage:
    """A region whose elements are of one type and have all been written."""

    region: int
    format: Format
    size: int


class Maker:
    """Makes random schedules whose groups read what the ones before have written."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.regions: list[Region] = []
        self.tables: list[Array] = []
        self.tiles: list[PlainTile] = []
        self.storages: list[_Storage] = []
        self.arena = 0
        self.externals = 0

    def model(self, groups: int) -> Model:
        """A schedule with two external inputs; all else that is written is external, too, half of
        the time, so that it can be compared."""
        constants16 = finite_halves(self.rng, 64)
        constants32 = self.rng.normal(size=16).astype(np.float32)
        self.regions += (
            Region(RegionKind.CONSTANTS16, 128, 0),
            Region(RegionKind.CONSTANTS32, 64, 0),
        )
        for kind in (Format.INT8, Format.BINARY16):
            self.external(kind, int(self.rng.integers(40, 400)) * 2)
        made = tuple(self.group() for _ in range(groups))
        curves = tuple(
            arithmetic.Curve(finite_halves(self.rng, 9), 3.5, odd, interpolate)
            for odd in (False, True)
            for interpolate in (False, True)
        )
        schedule = Schedule(tuple(self.regions), tuple(self.tables), made)
        return Model(schedule, tuple(self.tiles), constants16, constants32, curves)

    def feed(self, batch: int) -> list[Array]:
        """Arrays for the externals: the inputs random, results 0."""
        arrays: list[Array] = []
        for region in self.regions:
            if region.kind is RegionKind.EXTERNAL:
                array = np.zeros((batch, region.size), np.uint8)
                if len(arrays) == 0:
                    array[:] = codes(self.rng, array.shape)
                elif len(arrays) == 1:
                    halves = finite_halves(self.rng, array.size // 2)
                    array[:] = halves.view(np.uint8).reshape(array.shape)
                arrays.append(array)
        return arrays

    def external(self, kind: Format, size: int) -> None:
        self.storages.append(_Storage(len(self.regions), kind, size))
        self.regions.append(Region(RegionKind.EXTERNAL, size, self.externals))
        self.externals += 1

    def group(self) -> Group:
        """A group with a loop or without, and memory of its own for what it makes."""
        rng = self.rng
        axes = tuple(int(n) for n in rng.integers(1, 5, rng.integers(0, 4)))
        fresh: list[_Storage] = []
        body: list[Operation | Loop] = []
        for _ in range(rng.integers(1, 5)):
            loops = tuple(int(n) for n in rng.integers(1, 4, rng.choice([0, 0, 1, 2])))
            inner: Body = (self.operation(axes, loops, fresh),)
            for count in reversed(loops):
                inner = (Loop(count, inner),)
            body += inner
        self.storages += fresh
        return Group(axes, tuple(body))

    def target(
        self, kind: Format, size: int, axes: tuple[int, ...], loops: tuple[int, ...],
        fresh: list[_Storage],
    ) -> Operand:  # fmt: skip
        """A place for `size` bytes at each index, all different, in a region of its own."""
        counts = [*loops, *axes]
        strides = [0] * len(counts)
        step = size
        for k in self.rng.permutation(len(counts)):
            strides[k] = step
            step *= counts[k]
        number = len(self.regions)
        here = tuple(strides[: len(loops)]), tuple(strides[len(loops) :])
        match self.rng.integers(3):
            case 0:  # a local region, which only this group could read
                local = -(-size // 64) * 64
                self.regions.append(Region(RegionKind.LOCAL, local, 0))
                return Operand(number, 0, (0,) * len(loops), (0,) * len(axes))
            case 1:
                fresh.append(_Storage(number, kind, step))
                aligned = -(-step // 64) * 64
                self.regions.append(Region(RegionKind.ARENA, aligned, self.arena))
                self.arena += aligned
            case _:
                fresh.append(_Storage(number, kind, step))
                self.regions.append(Region(RegionKind.EXTERNAL, step, self.externals))
                self.externals += 1
        if axes and not self.rng.integers(4):
            table = [int(np.dot(here[1], index)) for index in product(*map(range, axes))]
            self.tables.append(np.array(table, np.int64))
            return Operand(number, 0, here[0], (0,) * len(axes), len(self.tables) - 1)
        return Operand(number, 0, *here)

    def source(
        self, kind: Format, extent: int, axes: tuple[int, ...], loops: tuple[int, ...]
    ) -> Operand:
        """A place from which `extent` bytes of earlier results can be read at each index."""
        rng, item = self.rng, np.dtype(DTYPES[kind]).itemsize
        fitting = [s for s in self.storages if s.format is kind and s.size >= extent]
        storage = fitting[rng.integers(len(fitting))]
        room = (storage.size - extent) // item
        low, strides = 0, []
        for count in (*loops, *axes):
            most = room // max(count - 1, 1)
            stride = int(rng.integers(-min(most, 40), min(most, 40) + 1))
            room -= abs(stride) * (count - 1)
            low += min(0, stride) * (count - 1)
            strides.append(stride * item)
        base = (int(rng.integers(room + 1)) - low) * item
        if axes and not rng.integers(4):
            span = strides[len(loops) :]
            table = [int(np.dot(span, index)) for index in product(*map(range, axes))]
            self.tables.append(np.array(table, np.int64))
            zero = (0,) * len(axes)
            number = len(self.tables) - 1
            return Operand(storage.region, base, tuple(strides[: len(loops)]), zero, number)
        at = tuple(strides[: len(loops)]), tuple(strides[len(loops) :])
        return Operand(storage.region, base, *at)

    def operation(
        self, axes: tuple[int, ...], loops: tuple[int, ...], fresh: list[_Storage]
    ) -> Operation:
        rng = self.rng
        kind = (Format.INT8, Format.BINARY16)[rng.integers(2)]
        item = np.dtype(DTYPES[kind]).itemsize
        match rng.integers(6):
            case 0 | 1:
                gather = bool(rng.integers(2))
                counts = [int(n) for n in rng.integers(1, 4, rng.integers(0, 3))]
                element = int(rng.choice([1, 2, 3, 4, 7, 8, 20])) * item
                size = element * prod(counts)
                room, dims = 40 * item - element if gather else size, []
                if gather:
                    for count in counts:
                        stride = int(rng.integers(0, room // item // max(count - 1, 1) + 1)) * item
                        room -= stride * (count - 1)
                        dims.append((count, stride))
                    source = self.source(kind, 40 * item, axes, loops)
                    return Gather(self.target(kind, size, axes, loops, fresh), source,
                                  tuple(dims), element)  # fmt: skip
                step = element
                strides = [0] * len(counts)
                for k in rng.permutation(len(counts)):
                    strides[k] = step
                    step *= counts[k]
                if size > 80:  # more than any source need have
                    return Fill(self.target(kind, 6, axes, loops, fresh), 6, b"\1\2")
                source = self.source(kind, size, axes, loops)
                target = self.target(kind, size, axes, loops, fresh)
                return Scatter(target, source, tuple(zip(counts, strides, strict=True)), element)
            case 2:
                pattern = bytes(int(n) for n in rng.integers(0, 100, rng.choice([1, 2, 4])))
                size = len(pattern) * int(rng.integers(1, 9)) * 2
                return Fill(self.target(kind, size, axes, loops, fresh), size, pattern)
            case 3:
                return self.tile_call(axes, loops, fresh)
            case _:
                return self.vector(axes, loops, fresh)

    def tile_call(
        self, axes: tuple[int, ...], loops: tuple[int, ...], fresh: list[_Storage]
    ) -> TileCall:
        rng = self.rng
        rows, columns = int(rng.integers(1, 40)), int(rng.integers(1, 36))
        cut = int(rng.integers(1, rows + 1))
        runs = ((0, rows),) if cut == rows else ((rows - cut, cut), (0, rows - cut))
        addends: list[tuple[str, Array | None]] = []
        operands = []
        for _ in range(rng.integers(0, 3)):
            kind = (Format.INT8, Format.BINARY16)[rng.integers(2)]
            scale = finite_halves(rng, columns) if rng.integers(2) else None
            addends.append(("int8" if kind is Format.INT8 else "binary16", scale))
            extent = columns * np.dtype(DTYPES[kind]).itemsize
            operands.append(self.source(kind, extent, axes, loops))
        x = self.source(Format.INT8, rows, axes, loops)
        tile = PlainTile(
            rng.integers(-127, 128, (rows, columns)).astype(np.int8),
            Adc(int(rng.choice([1, 4])), int(rng.integers(1, 64)), int(rng.integers(0, 14)), 427),
            finite_halves(rng, columns),
            finite_halves(rng, columns) if rng.integers(2) else None,
            tuple(addends),
            runs,
        )
        self.tiles.append(tile)
        value = codes = None
        wanted = int(rng.integers(3))
        if wanted != 0:
            value = self.target(Format.BINARY16, 2 * columns, axes, loops, fresh)
        if wanted != 1:
            codes = self.target(Format.INT8, columns, axes, loops, fresh)
        index = Index(0, (0,) * len(loops), (0,) * len(axes))
        return TileCall(len(self.tiles) - 1, x, tuple(operands), value, codes, index, index)

    def vector(
        self, axes: tuple[int, ...], loops: tuple[int, ...], fresh: list[_Storage]
    ) -> Vector:
        rng = self.rng
        op = str(rng.choice([name for name in OPS if name != "average"]))
        length, vectors = int(rng.integers(1, 20)), 1
        kind = Format.BINARY16
        if op in ("maximum", "sum"):
            kind, vectors = Format.INT8, int(rng.integers(1, 4))
        elif op in ("scale", "affine"):
            kind = (Format.INT8, Format.BINARY16)[rng.integers(2)]
        count = {"scale": 2, "affine": 3, "add": 2, "multiply": 2}.get(op, 1)
        sources, broadcast = [], []
        for k in range(count):
            source_kind = kind if k == 0 else Format.BINARY16
            single = vectors == 1 and op not in ("maximum", "sum") and bool(rng.integers(4) == 0)
            extent = (1 if single else length * vectors) * np.dtype(DTYPES[source_kind]).itemsize
            if k > 0 and rng.integers(2):
                sources.append(Operand(0, 2 * int(rng.integers(0, 64 - extent // 2 + 1)),
                                       (0,) * len(loops), (0,) * len(axes)))  # fmt: skip
            else:
                sources.append(self.source(source_kind, extent, axes, loops))
            broadcast.append(single)
        result = {"quantise": Format.INT8, "maximum": Format.INT8, "sum": Format.INT32}.get(
            op, Format.BINARY16
        )
        size = length * np.dtype(DTYPES[result]).itemsize
        target = self.target(result, size, axes, loops, fresh)
        low, high = sorted(float(np.float16(v)) for v in rng.normal(size=2))
        return Vector(
            op, target, tuple(sources), tuple(broadcast), kind, length, vectors, low, high,
            int(rng.integers(4)),
        )  # fmt: skip


def codes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Codes in [-127, 127], as bytes."""
    return rng.integers(-127, 128, shape).astype(np.int8).view(np.uint8)


def finite_halves(rng: np.random.Generator, count: int) -> Array:
    """Finite binary16 numbers: moderate ones, and some of any magnitude."""
    values = (rng.normal(size=count) * 2).astype(np.float16)
    bits = rng.integers(0, 1 << 16, count).astype(np.uint16)
    bits[bits & 0x7C00 == 0x7C00] = 0x7BFF
    return np.where(rng.random(count) < 0.1, bits.view(np.float16), values)
