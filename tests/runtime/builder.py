"""Builds small programs by hand, for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anacc.program.image import Image
from anacc.program.manifest import FORMAT_VERSION, Border, Manifest, Port, Segment
from anacc.program.model import (
    Access,
    Adc,
    Buffer,
    Channel,
    Code,
    Const,
    Format,
    Instr,
    Loop,
    Node,
    Operand,
    Register,
    Slice,
    Stream,
    Table,
    Unit,
    UnitKind,
    Weight,
)
from anacc.targets import load_target, target_to_data

I8, I16, I32, F16 = Format.INT8, Format.INT16, Format.INT32, Format.BINARY16
TENSOR = Format.TENSOR
CORE, GDPU, BRIDGE, HOST = UnitKind.CORE, UnitKind.GDPU, UnitKind.BRIDGE, UnitKind.HOST

Declaration = tuple[Format, int] | tuple[Format, int, bool]  # format, length, state

HERMES = target_to_data(load_target("hermes"))

ADC = Adc(phases=4, multiplier=5, shift=9, maximum=427)


def i(op: str, *operands: Operand) -> Instr:
    """An instruction."""
    return Instr(op, operands)


def loop(count: int, *body: Node, sequential: bool = False) -> Loop:
    """A loop."""
    return Loop(count, body, sequential)


def nest(counts: Sequence[int], *body: Node) -> Loop:
    """Perfectly nested parallel loops."""
    inner = loop(counts[-1], *body)
    return nest(counts[:-1], inner) if len(counts) > 1 else inner


def r(register: int, length: int, offset: int = 0) -> Slice:
    """A slice of a register."""
    return Slice(register, offset, length)


def at(base: int, strides: Sequence[int], *dims: tuple[int, int]) -> Access:
    """A buffer access."""
    return Access(base, tuple(strides), dims)


class Builder:
    """Collects the parts of a program; `image` puts them together."""

    def __init__(self) -> None:
        self.adcs: list[Adc] = []
        self.weights: list[np.ndarray[Any, Any]] = []
        self.tables: list[Table] = []
        self.channels: list[Channel] = []
        self.streams: list[Stream] = []
        self.borders: list[Border] = []
        self.segments: list[Segment] = []
        self.models: list[bytes] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.pool16: list[float] = []
        self.pool32: list[float] = []
        self.batch: int | None = None

    def channel(self, format: Format, size: int) -> int:
        self.channels.append(Channel(format, size, 1 << 20))
        return len(self.channels) - 1

    def weight(self, codes: Any) -> int:
        self.weights.append(np.asarray(codes, np.int8))
        return len(self.weights) - 1

    def adc(self, adc: Adc = ADC) -> int:
        self.adcs.append(adc)
        return len(self.adcs) - 1

    def const16(self, values: Any, depth: int) -> Const:
        """Constants that are the same in all iterations of `depth` loops."""
        values = np.atleast_1d(np.asarray(values, np.float16))
        self.pool16.extend(values.tolist())
        return Const(len(self.pool16) - len(values), (0,) * depth, len(values))

    def const32(self, values: Any, depth: int) -> Const:
        values = np.atleast_1d(np.asarray(values, np.float32))
        self.pool32.extend(values.tolist())
        return Const(len(self.pool32) - len(values), (0,) * depth, len(values))

    def table(self, samples: Any, limit: float, odd: bool = True, interpolate: bool = True) -> int:
        base = len(self.pool16)
        self.pool16.extend(np.asarray(samples, np.float16).tolist())
        self.tables.append(Table(base, len(samples), limit, odd, interpolate))
        return len(self.tables) - 1

    def stream(
        self,
        kind: UnitKind,
        registers: Sequence[Declaration],
        *body: Node,
        buffer: Buffer | None = None,
        name: str = "",
    ) -> None:
        same = sum(stream.unit.kind == kind.value for stream in self.streams)
        # A chip has many cores and one bridge and host.
        unit = Unit(0, kind.value, same if kind is CORE else 0)
        made = tuple(Register(*register) for register in registers)
        self.streams.append(Stream(unit, name or f"{kind.value} {same}", made, buffer, body))

    def border(
        self,
        name: str,
        channel: int,
        shape: Sequence[int | None],
        permutation: Sequence[int] | None = None,
        scale: float = 1.0,
        batch_axis: int | None = 0,
    ) -> int:
        rest = len(shape) - (batch_axis is not None)
        order = tuple(range(rest)) if permutation is None else tuple(permutation)
        self.borders.append(
            Border(
                name=name,
                channel=channel,
                dtype="float32",
                shape=tuple(shape),
                batch_axis=batch_axis,
                permutation=order,
                scale=scale,
            )
        )
        return len(self.borders) - 1

    def input(self, name: str, channel: int, shape: Sequence[int | None], **keys: Any) -> None:
        border = self.border(name, channel, shape, **keys)
        self.stream(HOST, [], i("input", border), name=f"input {name}")
        if all(port.name != name for port in self.inputs):
            self.inputs.append(self._port(border))

    def output(self, name: str, channel: int, shape: Sequence[int | None], **keys: Any) -> None:
        border = self.border(name, channel, shape, **keys)
        self.stream(HOST, [], i("output", border), name=f"output {name}")
        self.outputs.append(self._port(border))

    def segment(self, model: bytes, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self.segments.append(Segment(inputs=tuple(inputs), outputs=tuple(outputs)))
        self.models.append(model)
        self.stream(HOST, [], i("segment", len(self.segments) - 1), name="segment")

    def _port(self, border: int) -> Port:
        entry = self.borders[border]
        return Port(
            name=entry.name, dtype=entry.dtype, shape=entry.shape, batch_axis=entry.batch_axis
        )

    def image(self) -> Image:
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            model="test",
            model_sha256="0" * 64,
            target=HERMES,
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            batch=self.batch,
            borders=tuple(self.borders),
            segments=tuple(self.segments),
            options={},
            provenance={},
        )
        code = Code(
            tuple(self.adcs),
            tuple(Weight(*codes.shape) for codes in self.weights),
            tuple(self.tables),
            tuple(self.channels),
            tuple(self.streams),
        )
        return Image(
            manifest,
            code,
            np.asarray(self.pool16, np.float16),
            np.asarray(self.pool32, np.float32),
            self.weights,
            self.models,
            {},
            {},
        )
