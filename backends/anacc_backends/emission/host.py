"""Streams of the host: inputs, outputs and ONNX segments, and the borders that they cross."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anacc.errors import CompileError
from anacc.host_values import is_kind, is_returned
from anacc.ir import Op
from anacc.program.manifest import Border, Segment
from anacc_backends.emission.stream import Emission, StreamWriter


@dataclass
class Borders:
    """Borders and segments of the program, in the order in which streams need them."""

    borders: list[Border] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    models: list[bytes] = field(default_factory=list)

    def add(self, emission: Emission, channel: str, described: Mapping[str, Any]) -> int:
        """The number of a new border of a channel (attributes as in the chip op `input`).

        Raises:
            CompileError: programs know no such element type.
        """
        if not is_kind(described["dtype"]):
            raise CompileError(
                f"tensor `{described['name']}` crosses a border of the host, and its element type "
                f"{described['dtype']} is none that programs can hold"
            )
        axis = described["batch_axis"]
        batch = emission.module.batch
        self.borders.append(
            Border(
                name=described["name"],
                channel=emission.numbers[channel],
                dtype=described["dtype"],
                shape=tuple(batch if size == -1 else size for size in described["shape"]),
                batch_axis=None if axis == -1 else axis,
                permutation=tuple(described["permutation"]),
                scale=(emission.module.values[channel].scale or 1.0) / described.get("lsb", 1.0),
                zero=described.get("zero", 0),
            )
        )
        return len(self.borders) - 1


def emit_input(emission: Emission, op: Op, stream: StreamWriter, borders: Borders) -> None:
    """Quantise and send a model input."""
    stream.op("input", borders.add(emission, op.results[0], op.attributes))


def emit_output(emission: Emission, op: Op, stream: StreamWriter, borders: Borders) -> None:
    """Receive a model output."""
    stream.op("output", borders.add(emission, op.operands[0], op.attributes))


def emit_host(emission: Emission, op: Op, stream: StreamWriter, borders: Borders) -> None:
    """Run a segment of the ONNX model."""
    pairs = op.nested("borders")
    numbers = [
        borders.add(emission, channel, dict(described))
        for channel, described in zip((*op.operands, *op.results), pairs, strict=True)
    ]
    inputs, outputs = numbers[: len(op.operands)], numbers[len(op.operands) :]
    for number in outputs:
        _check_returned(borders.borders[number])
    # A result that both the chip and the host take has a border for each, of one name.
    taken = tuple(dict.fromkeys(borders.borders[number].name for number in inputs))
    given = tuple(dict.fromkeys(borders.borders[number].name for number in outputs))
    borders.models.append(emission.module.source.extract(op.nested("nodes"), taken, given))
    borders.segments.append(Segment(inputs=tuple(inputs), outputs=tuple(outputs)))
    stream.op("segment", len(borders.segments) - 1)


def _check_returned(border: Border) -> None:
    """Refuse a result that ONNX Runtime would not hand over.

    Raises:
        CompileError: naming it.
    """
    if not is_returned(border.dtype):
        raise CompileError(
            f"tensor `{border.name}` leaves a host segment, and ONNX Runtime gives no "
            f"{border.dtype} back",
            "cast it to float32 in the model",
        )
