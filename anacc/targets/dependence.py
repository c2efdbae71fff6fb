"""Which figures of a target follow from others, so that changing one number keeps it consistent.

A rule names the keys that it reads and the key that follows.  It speaks only where the target kept
the rule before: a figure that somebody chose otherwise is left alone.  Where nobody can know how a
figure would change, `KEPT` lists it, and the user is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anacc.targets.quantity import LARGEST_COUNT

Values = Mapping[str, Any]
"""The value of each dotted key of a target."""

Followed = tuple[Any, str]
"""The value that follows, and in words how."""


@dataclass(frozen=True)
class Rule:
    """How a figure follows.

    Attributes:
        key: what follows.
        reads: keys of which a change makes it follow.
        follow: the values before and after the change to the value that follows, which may be the
            one before; None: this target does not keep the rule.
        words: the rule, for documentation.
    """

    key: str
    reads: tuple[str, ...]
    follow: Callable[[Values, Values], Followed | None]
    words: str


def _times(key: str, *by: str) -> Callable[[Values, Values], Followed | None]:
    """In proportion to a product of other figures."""

    def follow(old: Values, new: Values) -> Followed | None:
        value, shown = old[key], f"{old[key]:g}"
        for each in by:
            value = value * new[each] / old[each]
            shown += f" x {new[each]:g} / {old[each]:g}" if new[each] != old[each] else ""
        return value, shown

    return follow


def _over(key: str, by: str) -> Callable[[Values, Values], Followed | None]:
    """In inverse proportion to another figure."""

    def follow(old: Values, new: Values) -> Followed | None:
        return old[key] * old[by] / new[by], f"{old[key]:g} x {old[by]:g} / {new[by]:g}"

    return follow


def _same(key: str, other: str) -> Callable[[Values, Values], Followed | None]:
    """Equal to another figure."""

    def follow(old: Values, new: Values) -> Followed | None:
        return (new[other], f"as `{other}`") if old[key] == old[other] else None

    return follow


def _gdpu_count(old: Values, new: Values) -> Followed | None:
    if new["gdpu.wiring"] != "column":
        return None
    columns, count = new["grid.columns"], old["gdpu.count"]
    if old["gdpu.wiring"] == "column" and count == old["grid.columns"]:
        return columns, "one for each core column"
    return min(count, columns), "at most one for each core column"


def _hidden_units(old: Values, new: Values) -> Followed | None:
    # As many units as columns have gates; a core of fewer columns than gates still has one.
    units, columns = old["gdpu.hidden_units"], old["crossbar.columns"]
    value = max(1, units * new["crossbar.columns"] // columns)
    return value, f"{units} x {new['crossbar.columns']} / {columns} columns"


def _bridge_count(old: Values, new: Values) -> Followed | None:
    if old["bridge.count"] != _cores(old):
        return None
    return min(_cores(new), LARGEST_COUNT), "as many as cores"


def _cores(values: Values) -> int:
    return int(values["grid.rows"]) * int(values["grid.columns"])


def _energy(key: str) -> Callable[[Values, Values], Followed | None]:
    proportional = _times(key, "crossbar.rows", "crossbar.columns")

    def follow(old: Values, new: Values) -> Followed | None:
        if old.get(key) is None or new["energy.mvm_scaling"] != "used_cells":
            return None
        value, shown = proportional(old, new) or (None, "")
        return value, f"{shown} cells, as `energy.mvm_scaling` is `used_cells`"

    return follow


def _latency(key: str, phases: int) -> Callable[[Values, Values], Followed | None]:
    def follow(old: Values, new: Values) -> Followed | None:
        if old.get(key) is None:
            return None
        before, after = _pulse(old), _pulse(new)
        shown = f"{old[key]:g} ns + {phases} x ({after:g} - {before:g}) ns of input pulses"
        return old[key] + phases * (after - before), shown

    return follow


def _pulse(values: Values) -> float:
    """The longest input pulse, in ns."""
    return float(values["input.max_code"]) * float(values["input.time_per_lsb"])


def _levels(old: Values, new: Values) -> Followed | None:
    levels, before, after = old["adc.levels_per_phase"], _pulse(old), _pulse(new)
    value = max(1, int(levels * after / before))
    return value, f"{levels} x {after:g} / {before:g} ns of pulses at the same rate of counting"


def _max_code(old: Values, new: Values) -> Followed | None:
    before, after = (2 ** (values["input.bits"] - 1) - 1 for values in (old, new))
    return (after, "sign and magnitude") if old["input.max_code"] == before else None


def _default_mode(old: Values, new: Values) -> Followed | None:
    offered = new["read_modes.offered"]
    if old["read_modes.default"] in offered or not offered:
        return None
    return offered[0], "the first mode that is offered"


_GRID = ("grid.rows", "grid.columns")
_CROSSBAR = ("crossbar.rows", "crossbar.columns")
_PULSE = ("input.max_code", "input.time_per_lsb")

RULES: tuple[Rule, ...] = (
    Rule(
        "gdpu.count",
        ("grid.columns", "gdpu.wiring"),
        _gdpu_count,
        "with `column` wiring one for each core column if there was one for each, else at most one",
    ),
    Rule("bridge.count", _GRID, _bridge_count, "as many as cores, if there were as many"),
    Rule(
        "gdpu.hidden_units",
        ("crossbar.columns",),
        _hidden_units,
        "in proportion to the columns that the gates of a unit take",
    ),
    Rule(
        "crossbar.conductance_per_count",
        ("crossbar.counts_per_device",),
        _over("crossbar.conductance_per_count", "crossbar.counts_per_device"),
        "so that the conductance of a device stays",
    ),
    Rule("input.max_code", ("input.bits",), _max_code, "2^(bits - 1) - 1, if it was"),
    Rule(
        "adc.levels_per_phase",
        _PULSE,
        _levels,
        "in proportion to the longest input pulse, during which the converter counts",
    ),
    Rule("read_modes.default", ("read_modes.offered",), _default_mode, "one that is offered"),
    *(
        rule
        for mode, phases in (("four_phase", 4), ("one_phase", 1))
        for rule in (
            Rule(
                f"read_modes.{mode}.latency",
                _PULSE,
                _latency(f"read_modes.{mode}.latency", phases),
                "input pulses of all phases, and what the read took beside them",
            ),
            Rule(
                f"read_modes.{mode}.energy",
                _CROSSBAR,
                _energy(f"read_modes.{mode}.energy"),
                "in proportion to the cells, where `energy.mvm_scaling` is `used_cells`",
            ),
        )
    ),
    Rule(
        "links.values_per_ns",
        ("chip.clock",),
        _times("links.values_per_ns", "chip.clock"),
        "in proportion to the clock",
    ),
    Rule("links.hop_latency", ("chip.clock",), _over("links.hop_latency", "chip.clock"), "cycles"),
    Rule(
        "latency.ldpu_per_column",
        ("chip.clock",),
        _over("latency.ldpu_per_column", "chip.clock"),
        "cycles",
    ),
    Rule(
        "links.chip_values_per_ns",
        ("links.values_per_ns",),
        _same("links.chip_values_per_ns", "links.values_per_ns"),
        "that of a link on the chip, if it was",
    ),
    Rule(
        "energy.bridge_per_value",
        ("energy.link_per_hop",),
        _same("energy.bridge_per_value", "energy.link_per_hop"),
        "that of a hop, if it was",
    ),
)
"""In an order in which what a rule reads has been followed before."""

KEPT: Mapping[str, tuple[str, ...]] = {
    "chip.die_area": (*_GRID, *_CROSSBAR),
    "area.core": _CROSSBAR,
    "adc.full_scale_cells": ("crossbar.rows",),
    "latency.gdpu_per_unit": ("chip.clock",),
    "latency.bridge_per_step": ("chip.clock",),
}
"""Figures that would change with others, nobody can say how."""


def unknown(key: str, values: Values) -> tuple[str, ...]:
    """The figures with which `key` would change in a way that nobody can say."""
    if key.endswith("_phase.energy") and values["energy.mvm_scaling"] != "used_cells":
        return _CROSSBAR
    return KEPT.get(key, ())
