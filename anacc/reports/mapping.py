"""The mapping report: how a model lies on the chip.

::

    report = schema, model, target, target_files, target_settings, read_mode, cores, cells, chips,
             rounds, programming, layers, tiles, units, links, bounds, performance, host, nodes,
             borders, macs, quantisation, warnings, program, options, provenance

Counts of cores and cells are taken from the code, so that they hold for a program that was
assembled by hand; layers, bounds and host reasons are what the mapper wrote down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anacc.program.image import Image
from anacc.program.manifest import Port
from anacc.program.model import Code, Instr, UnitKind, instructions
from anacc.reports.structure import check_mapping, check_target
from anacc.targets.provenance import own_files, own_settings

SCHEMA = 1
"""Version of the report; a key that changes its meaning or goes raises it, a new key does not."""


def report(image: Image) -> dict[str, Any]:
    """Return the mapping report of a program, as JSON data.

    Args:
        image: the program; its weights are not read.

    Returns:
        A dictionary with these keys, all of them always there; what the mapper did not state is
        empty or None:

        - `schema`: `SCHEMA`.
        - `model`: name, sha256, batch, inputs and outputs (name, dtype, shape; None for a symbolic
          batch).
        - `target`, `read_mode`: names; `target_files`: the users' files that set values of it;
          `target_settings`: what `--set` or `settings` set, values by dotted key.
        - `cores`: `used` and `available` cores, `chips`, `rounds` for which they are programmed.
        - `chips`: for each chip its number, `cores` and `cells` in use, its `layers`, and values
          per sample that go `to_next` and `to_previous` chip.
        - `rounds`: for each round its number, `cores`, `cells`, the time to program them in `ns`,
          and the values per sample that are `waiting` when it ends.
        - `programming`: `ns_before` for all crossbars once; of several rounds, `ns_per_batch`,
          `cells_per_batch` and `most_per_batch` (times that one crossbar is programmed) for each
          batch; `meaning` says how the time is bounded.
        - `cells`: `used` unit cells; `of` the cells of the cores in use; `share`, their quotient.
        - `layers`: name, ONNX nodes, kind, matrix [rows, columns], groups, tiles, cores, unit,
          positions of each layer; of those on crossbars the ONNX `operator`, names of `weight` and
          `bias` among the model's initialisers, and `weight_shape`; `replicas`, how many copies of
          it share the positions.
        - `tiles`: core, row, column, rows, columns, layer, cells_used of each crossbar region, the
          `weight_rows` and `weight_columns` [first, last + 1] of the layer's matrix in it, and
          `conversion_snr_db`, the signal-to-noise ratio of its conversions on calibration data;
          `copies`, how often the region holds its rows; `replica`, which copy of the layer it
          belongs to.
        - `units`, `links`: streams by unit; the links' load.
        - `bounds`: for each decision its cost (`value`), a lower `bound`, and their `meaning`.
        - `performance`: estimates for one sample, see `anacc_backends.performance`: time of the
          `slowest` stage with its bound, latency, energy of matrix-vector products, the busiest
          unit of each kind, and the target's figures that all this rests on.
        - `host`: ONNX `nodes` of each host segment with the `reasons`, and for each of
          them in `hints` what a user can do.
        - `nodes`: for each ONNX node its name, operator, `where` it runs (`crossbar`, `ldpu`,
          `gdpu`, `bridge`, `host`; `folded`, `unused` and `nothing` run nowhere), units, tiles,
          host segment, reason and hint; see `anacc_backends.nodes`.
        - `borders`: `tensors` that host and chip exchange, with the bytes of one sample; see
          `anacc_backends.traffic`; `bytes`, the sum of those that cross to or from the chip.
        - `macs`: multiply-adds of one sample on `crossbar` and `host`; of the latter
          `host_constant` with constant weights and `host_activations` of two activations, which
          no crossbar can hold; `host_share`, and `crossbar_share` of those with constant weights,
          in [0, 1] or None.
        - `quantisation`: for each tensor of a quantised model whose codes the chip does not hold as
          they are: `tensor`, `kind` (weight or activation), `bits_lost`, log2 of the LSB on the
          chip over the model's, and `codes_saturated`, how many codes of the weight, or of those
          that the activation may have, lie beyond -127 ... 127.
        - `warnings`: sentences.
        - `program`: numbers of streams, instructions, channels, weight blocks, weight cells and
          host segments.
        - `options`, `provenance`: of the compilation.

    Raises:
        ProgramError: what the mapper wrote down, or the target, has another structure.
    """
    mapping, manifest = image.mapping, image.manifest
    check_mapping(mapping)
    check_target(manifest.target)
    tiles = mapping.get("tiles") or []
    return {
        "schema": SCHEMA,
        "model": {
            "name": manifest.model,
            "sha256": manifest.model_sha256,
            "batch": manifest.batch,
            "inputs": [_port(port) for port in manifest.inputs],
            "outputs": [_port(port) for port in manifest.outputs],
        },
        "target": _figure(manifest.target, "chip", "name"),
        "target_files": own_files(manifest.target),
        "target_settings": own_settings(manifest.target),
        "read_mode": manifest.options.get("read_mode"),
        "cores": _cores(image),
        "cells": _cells(image, tiles),
        "chips": mapping.get("chips") or [],
        "rounds": mapping.get("rounds") or [],
        "programming": mapping.get("programming") or {},
        "layers": mapping.get("layers") or [],
        "tiles": tiles,
        "units": mapping.get("units") or [],
        "links": mapping.get("links") or {},
        "bounds": mapping.get("bounds") or {},
        "performance": mapping.get("performance") or {},
        "host": mapping.get("host") or [],
        "nodes": mapping.get("nodes") or [],
        "borders": _borders(mapping.get("borders") or []),
        "macs": _macs(mapping.get("macs") or {}),
        "quantisation": mapping.get("quantisation") or [],
        "warnings": mapping.get("warnings") or [],
        "program": _counts(image),
        "options": dict(manifest.options),
        "provenance": dict(manifest.provenance),
    }


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}


def _figure(target: Mapping[str, Any], section: str, key: str) -> Any:
    """A value of the target's data, None where it has no such key."""
    return ((target.get(section) or {}).get(key) or {}).get("value")


def _product(target: Mapping[str, Any], section: str) -> int | None:
    """rows * columns of a section, None if the target does not state them."""
    rows, columns = _figure(target, section, "rows"), _figure(target, section, "columns")
    return None if rows is None or columns is None else int(rows) * int(columns)


def _used_cores(code: Code) -> set[tuple[int, int]]:
    units = (stream.unit for stream in code.streams)
    return {(unit.chip, unit.index) for unit in units if unit.kind == UnitKind.CORE.value}


def _cores(image: Image) -> dict[str, Any]:
    used = _used_cores(image.code)
    streams = image.code.streams
    chips = 1 + max((stream.unit.chip for stream in streams), default=0)
    rounds = len({stream.round for stream in streams if stream.unit.kind == UnitKind.CORE.value})
    per_chip = _product(image.manifest.target, "grid")
    available = None if per_chip is None else per_chip * chips
    return {"used": len(used), "available": available, "chips": chips, "rounds": max(rounds, 1)}


def _cells(image: Image, tiles: list[dict[str, Any]]) -> dict[str, Any]:
    """Cells in use: those that the mapper counted (a block of a grouped layer holds unused ones),
    else those of all weight blocks that are programmed."""
    used = sum(tile.get("cells_used") or 0 for tile in tiles) or _programmed_cells(image.code)
    per_core = _product(image.manifest.target, "crossbar")
    # A core that is programmed for several rounds holds as many crossbars of weights.
    crossbars = {
        (stream.unit, stream.round)
        for stream in image.code.streams
        if stream.unit.kind == UnitKind.CORE.value
    }
    of = None if per_core is None else per_core * len(crossbars)
    return {"used": used, "of": of, "share": used / of if of else None}


def _programmed_cells(code: Code) -> int:
    return sum(
        code.weights[operand].rows * code.weights[operand].columns
        for instr in _instructions(code)
        if instr.op == "program" and isinstance(operand := instr.operands[0], int)
    )


def _instructions(code: Code) -> list[Instr]:
    return [instr for stream in code.streams for instr in instructions(stream.body)]


def _macs(macs: Mapping[str, Any]) -> dict[str, Any]:
    crossbar, host = macs.get("crossbar"), macs.get("host")
    activations = macs.get("host_activations")
    constant = None if host is None or activations is None else max(host - activations, 0)
    return {
        "crossbar": crossbar,
        "host": host,
        "host_constant": constant,
        "host_activations": activations,
        "host_share": _share(host, crossbar),
        "crossbar_share": _share(crossbar, constant),
    }


def _share(part: int | None, rest: int | None) -> float | None:
    """Part of the sum of both, None where one is unknown or both are nothing."""
    if part is None or rest is None or part + rest == 0:
        return None
    return part / (part + rest)


def _borders(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    crossing = [each.get("bytes") or 0 for each in tensors if each.get("crosses")]
    return {"bytes": sum(crossing) if tensors else None, "tensors": tensors}


def _counts(image: Image) -> dict[str, int]:
    code = image.code
    return {
        "streams": len(code.streams),
        "instructions": len(_instructions(code)),
        "channels": len(code.channels),
        "weights": len(code.weights),
        "weight_cells": sum(weight.rows * weight.columns for weight in code.weights),
        "segments": len(image.manifest.segments),
    }
