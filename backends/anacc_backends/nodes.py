"""Where every node of the ONNX model went, as the report shows it: JSON data of the program."""

from __future__ import annotations

from typing import Any

from anacc.frontend import SourceModel
from anacc.frontend.listing import FOLDED, UNUSED, Listed
from anacc.frontend.products import is_product
from anacc.ir import Module, Op
from anacc.program.model import UnitKind
from anacc_passes.reasons import host_reasons

_MEANING = {
    FOLDED: "its results are known when the model is compiled",
    UNUSED: "no output of the model depends on it",
    "nothing": "its elements stay as they are where they are",
}
_IDLE = {"Cast", "Dropout", "Identity"}
"""Operators that do nothing on the chip; their names stay with the op before them."""
_MOVES = {"Expand", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that only the bridge can run: where another unit has their names, they do nothing."""


def node_table(module: Module) -> list[dict[str, Any]]:
    """One entry for each node of the original model, in its order.

    - `name`, `operator`: of the node.
    - `where`: `crossbar` (with the units that serve it), `ldpu` (of the cores named, behind their
      crossbars), `gdpu`, `bridge`, `host`, `folded`, `unused`, or `nothing`: it does nothing.
    - `units`: all units that work for it; `tiles`: regions of crossbars.
    - `segment`: number of the host segment; `reason`, `hint`: why, and what helps.
    """
    streams: dict[str, list[Op]] = {}
    hosted: dict[str, dict[str, Any]] = {}
    segments = [op for op in module.ops if op.kind == "host"]
    for number, op in enumerate(segments):
        for name, (reason, hint) in host_reasons(op).items():
            hosted[name] = _entry("host", segment=number, reason=reason, hint=hint or None)
    for op in module.ops:
        if op.kind not in ("input", "output", "host"):
            for name in dict.fromkeys(op.origins):
                streams.setdefault(name, []).append(op)
    return [
        {
            "name": node.name,
            "operator": node.operator,
            **(hosted.get(node.name) or _on_chip(node, streams.get(node.name, []))),
        }
        for node in _listing(module)
    ]


def _listing(module: Module) -> tuple[Listed, ...]:
    """The nodes of the model; without one, those that ops came from."""
    if isinstance(module.source, SourceModel):
        return module.source.listing
    ops = [op for op in module.ops if op.kind not in ("input", "output")]
    return tuple(Listed(name, "") for name in dict.fromkeys(n for op in ops for n in op.origins))


def _on_chip(node: Listed, streams: list[Op]) -> dict[str, Any]:
    """The entry of a node that is not on the host."""
    if node.fate or not streams or node.operator in _IDLE:
        where = node.fate or "nothing"
        return _entry(where, reason=_MEANING[where])
    units = sorted({str(op.unit) for op in streams}, key=_order)
    kinds = {unit.split()[0] for unit in units}
    tiles = sum(op.kind == "tile" for op in streams)
    if tiles and (is_product(node.operator) or not node.operator):
        return _entry("crossbar", units=units, tiles=tiles)
    if UnitKind.GDPU.value in kinds:
        return _entry("gdpu", units=units)
    if UnitKind.BRIDGE.value in kinds and (kinds == {"bridge"} or node.operator in _MOVES):
        return _entry("bridge", units=[unit for unit in units if unit.startswith("bridge")])
    if node.operator in _MOVES:
        return _entry("nothing", reason=_MEANING["nothing"])
    return _entry("ldpu", units=[unit for unit in units if unit.startswith("core")])


def _entry(
    where: str,
    *,
    units: list[str] | None = None,
    tiles: int = 0,
    segment: int | None = None,
    reason: str | None = None,
    hint: str | None = None,
) -> dict[str, Any]:
    return {
        "where": where,
        "units": units or [],
        "tiles": tiles,
        "segment": segment,
        "reason": reason,
        "hint": hint,
    }


def _order(unit: str) -> tuple[str, tuple[int, ...]]:
    """Units by kind, then by number: `core 0.2` before `core 0.10`."""
    kind, _, number = unit.partition(" ")
    return kind, tuple(int(part) for part in number.split(".") if part.isdigit())
