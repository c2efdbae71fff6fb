"""Which unit of a target computes which function: the target's own lists decide.

A function of single elements runs on a GDPU where the target lists it there, else in the LDPU of a
core, past the crossbar.  What no unit lists goes to the host.
"""

from __future__ import annotations

from collections.abc import Mapping

from anacc.ir import Op
from anacc.targets import Target

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
    "lstm": (frozenset({"affine", "tanh", "sigmoid", "multiply", "add"}), None),  # its cells
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
    """The kind of unit that runs an elementwise op or an LSTM: `gdpu`, `core` or None."""
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
    if op.kind in ("conv", "linear", "lstm") and not set(target.ldpu.functions.value) >= _LAYER:
        return f"the LDPU of `{name}` lacks affine, accumulate or requantise"
    if op.kind == "lstm" and target.crossbar.columns.value < 4:
        return f"a crossbar of `{name}` has no columns for the four gates of a unit"
    if op.kind in _ELEMENTWISE:
        lacks = unit_of(target, op.kind) is None
        return f"no digital unit of `{name}` computes {op.kind}" if lacks else None
    bridge = set(target.bridge.functions.value) if target.bridge.count.value else set[str]()
    if op.kind in ("conv", "linear"):
        needed = frozenset({"window"} if op.kind == "conv" else ())
    else:
        needed = _BRIDGE.get(op.kind, frozenset())
    lacking = sorted(needed - bridge)
    return f"the bridge of `{name}` has no {lacking[0]}" if lacking else None


def on_bridge(kind: str) -> bool:
    """Whether a graph op is work of the bridge."""
    return kind in _BRIDGE


def is_elementwise(kind: str) -> bool:
    """Whether a graph op is a function of single elements."""
    return kind in _ELEMENTWISE and kind != "lstm"
