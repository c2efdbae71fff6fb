"""Emit the program of a routed chip module: one stream for each op."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anacc.errors import CompileError
from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel, replica
from anacc.program.image import Image
from anacc.program.manifest import FORMAT_VERSION, Manifest, Port
from anacc.program.model import Channel, Code, Stream
from anacc.targets import Target, target_to_data
from anacc_backends.capacity import capacities
from anacc_backends.decisions import mapping, origin
from anacc_backends.emission.bridge import emit_gather, emit_merge, emit_regroup
from anacc_backends.emission.cells import emit_gru_cell, emit_lstm_cell, emit_rnn_cell
from anacc_backends.emission.core import emit_tile
from anacc_backends.emission.gdpu import emit_pointwise
from anacc_backends.emission.host import Borders, emit_host, emit_input, emit_output
from anacc_backends.emission.stream import FORMATS, Emission, StreamWriter
from anacc_passes.routing.sites import round_of

_ON_CHIP: dict[str, Callable[[Emission, Op, StreamWriter], None]] = {
    "tile": emit_tile,
    "gather": emit_gather,
    "regroup": emit_regroup,
    "merge": emit_merge,
    "pointwise": emit_pointwise,
    "lstm_cell": emit_lstm_cell,
    "gru_cell": emit_gru_cell,
    "rnn_cell": emit_rnn_cell,
}
_ON_HOST: dict[str, Callable[[Emission, Op, StreamWriter, Borders], None]] = {
    "input": emit_input,
    "output": emit_output,
    "host": emit_host,
}


@dataclass(frozen=True)
class Origin:
    """Where a program comes from.

    Attributes:
        model_sha256: of the ONNX file.
        ports: inputs and outputs of the ONNX model.
        options: of the compilation, JSON data.
        provenance: package versions.
        warnings: for the report.
    """

    model_sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    options: Mapping[str, Any]
    provenance: Mapping[str, str]
    warnings: tuple[str, ...]


def emit(module: Module, target: Target, source: Origin) -> Image:
    """The program of a placed and routed chip-level module.

    Args:
        module: every op has a unit, every tile a place, every result its route.
        target: the chip.
        source: what the manifest says of the model.

    Raises:
        CompileError: if an op has no unit.
    """
    emission = Emission(module, target, {name: number for number, name in enumerate(module.values)})
    borders = Borders()
    streams: list[Stream] = []
    for op in module.ops:
        if op.unit is None:
            raise CompileError(f"op `{op.kind}` of {_title(op)} has not been placed")
        stream = StreamWriter(emission, op.unit, _title(op))
        if op.kind in _ON_HOST:
            _ON_HOST[op.kind](emission, op, stream, borders)
        else:
            _ON_CHIP[op.kind](emission, op, stream)
        streams.append(replace(stream.finish(), round=round_of(op)))
    code = Code(
        adcs=tuple(emission.adcs),
        weights=emission.weight_shapes(),
        tables=tuple(emission.tables),
        channels=_channels(module, target),
        streams=tuple(streams),
    )
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        model=module.name,
        model_sha256=source.model_sha256,
        target=target_to_data(target),
        inputs=source.inputs,
        outputs=source.outputs,
        batch=module.batch,
        borders=tuple(borders.borders),
        segments=tuple(borders.segments),
        options=dict(source.options),
        provenance=dict(source.provenance),
    )
    return Image(
        manifest=manifest,
        code=code,
        constants16=emission.constants16.array(),
        constants32=emission.constants32.array(),
        weights=emission.weights,
        segments=borders.models,
        mapping=mapping(module, target, source.warnings),
        origin=origin(module),
    )


def _title(op: Op) -> str:
    """Name of a stream, for people."""
    if op.kind == "tile":
        (r0, r1), (c0, c1) = op.integers("weight_rows"), op.integers("weight_columns")
        number = f" copy {replica(op)}" if replica(op) else ""
        return f"{op.text('layer')} rows {r0}:{r1} columns {c0}:{c1}{number}"
    if op.kind in ("input", "output"):
        return f"{op.kind} {op.text('name')}"
    first = next((name for name in (*op.results, *op.operands) if name), op.kind)
    return f"{op.kind} {first[1:]}"


def _channels(module: Module, target: Target) -> tuple[Channel, ...]:
    """Declarations of all channels, in the order of the module's values."""
    room = capacities(module, target.links.channel_capacity.value)
    routes: dict[str, tuple[int, ...]] = {}
    for op in module.ops:
        routes.update(zip(op.results, op.nested("routes"), strict=False))
    found = []
    for name in module.values:
        kind = channel(module, name)
        found.append(
            Channel(
                FORMATS[kind.format],
                kind.token_size,
                1 if kind.format == "tensor" else room[name],
                routes.get(name, ()),
            )
        )
    return tuple(found)
