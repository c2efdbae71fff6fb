"""Which unit of a target computes which function: the target's own lists decide.

A function of single elements runs on a GDPU where the target lists it there, else in the LDPU of a
core, past the crossbar.  What no unit lists goes to the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from anacc.ir import Op
from anacc.ir.cells import CELLS, directions_of
from anacc.ir.functions import names
from anacc.targets import Target
from anacc_passes.gates import blocks_of, functions_of_gates, on_gdpu

CORE, GDPU = "core", "gdpu"

# What each op needs of a GDPU, and what of an LDPU; None: it cannot run there.
_ELEMENTWISE: Mapping[str, tuple[frozenset[str] | None, frozenset[str] | None]] = {
    "affine": (frozenset({"affine"}), frozenset({"affine"})),
    "add": (frozenset({"affine", "add"}), frozenset({"affine", "residual"})),
    "multiply": (frozenset({"affine", "multiply"}), None),
    "relu": (None, frozenset({"affine", "relu"})),
    "clamp": (None, frozenset({"affine", "clamp"})),
    "tanh": (frozenset({"affine", "tanh"}), None),
    "sigmoid": (frozenset({"affine", "tanh", "sigmoid"}), None),
    "function": (frozenset({"affine", "table"}), None),
}
_BRIDGE: Mapping[str, frozenset[str]] = {
    "max_pool": frozenset({"window", "max_pool"}),
    "average_pool": frozenset({"window", "average_pool"}),
    "reshape": frozenset({"reshape"}),
    "expand": frozenset({"reshape"}),
    "transpose": frozenset({"transpose"}),
    "slice": frozenset({"slice"}),
    "pad": frozenset({"pad"}),
    "concat": frozenset({"concat", "requantise"}),
}
_LAYER = frozenset({"affine", "accumulate", "requantise"})  # behind every crossbar
_FUSED = {"affine": "affine", "add": "residual", "relu": "relu", "clamp": "clamp"}


def unit_of(target: Target, kind: str) -> str | None:
    """The kind of unit that runs an elementwise op: `gdpu`, `core` or None."""
    on_gdpu, on_ldpu = _ELEMENTWISE[kind]
    gdpu, ldpu = set(target.gdpu.functions.value), set(target.ldpu.functions.value)
    if on_gdpu is not None and on_gdpu <= gdpu and target.gdpu.count.value > 0:
        return GDPU
    if on_ldpu is not None and on_ldpu <= ldpu:
        return CORE
    return None


def fuses(target: Target, kind: str) -> bool:
    """Whether the LDPU can do an op behind a crossbar layer."""
    return _FUSED.get(kind) in target.ldpu.functions.value


def missing(target: Target, op: Op) -> str | None:
    """Why no unit of the target can run a graph op, or None if one can."""
    name = target.chip.name.value
    layer = op.kind in ("conv", "linear", *CELLS)
    if layer and not set(target.ldpu.functions.value) >= _LAYER:
        return f"the LDPU of `{name}` lacks affine, accumulate or requantise"
    if op.kind in CELLS:
        return _missing_of_cells(target, op)
    if op.kind in _ELEMENTWISE:
        lacks = unit_of(target, op.kind) is None
        function = names(op.nested("steps")) if op.kind == "function" else op.kind
        return f"no digital unit of `{name}` computes {function}" if lacks else None
    bridge = set(target.bridge.functions.value) if target.bridge.count.value else set[str]()
    if op.kind in ("conv", "linear"):
        needed = frozenset({"window"} if op.kind == "conv" else ())
    else:
        needed = _BRIDGE.get(op.kind, frozenset())
    lacking = sorted(needed - bridge)
    return f"the bridge of `{name}` has no {lacking[0]}" if lacking else None


# What the function of a gate needs of a GDPU.
_OF_GATE: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "affine": frozenset({"affine"}),
    "tanh": frozenset({"tanh"}),
    "scaled_tanh": frozenset({"affine", "tanh"}),
    "sigmoid": frozenset({"tanh", "sigmoid"}),
}
# What cells need of it besides.
_OF_CELL: Mapping[str, frozenset[str]] = {
    "lstm": frozenset({"affine", "multiply", "add"}),
    "gru": frozenset({"affine", "multiply", "add"}),
    "rnn": frozenset({"affine"}),
}


def _missing_of_cells(target: Target, op: Op) -> str | None:
    """Why no unit of the target can run a recurrent layer, or None if some can."""
    name = target.chip.name.value
    for way in range(directions_of(op)):
        blocks = blocks_of(op, way)
        widest = max(len(block.gates) for block in blocks)
        if target.crossbar.columns.value < widest:
            return f"a crossbar of `{name}` has no columns for the {widest} gates of a unit"
        clamped = {line.low == 0.0 and line.high == math.inf for block in blocks
                   for line in block.lines if line.is_clamped}  # fmt: skip
        needed = {"relu" if plain else "clamp" for plain in clamped}
        if lacking := sorted(needed - set(target.ldpu.functions.value)):
            return f"the LDPU of `{name}` has no {lacking[0]}, which gates of its cells need"
        functions = on_gdpu(functions_of_gates(op, way)).values()
        needed = set(_OF_CELL[op.kind]).union(*(_OF_GATE[each.name] for each in functions))
        offered = set(target.gdpu.functions.value) if target.gdpu.count.value else set[str]()
        if not needed <= offered:
            return f"no digital unit of `{name}` computes {op.kind}"
    return None


def on_bridge(kind: str) -> bool:
    """Whether a graph op is work of the bridge."""
    return kind in _BRIDGE


def is_elementwise(kind: str) -> bool:
    """Whether a graph op is a function of single elements."""
    return kind in _ELEMENTWISE
