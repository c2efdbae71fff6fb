"""Targets as families: what a setting changes, what follows it, and what it cannot be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import SettingError
from anacc.targets import (
    Target,
    configure,
    load_target,
    provenance,
    shipped_targets,
    target_from_data,
    target_to_data,
)
from anacc.targets.dependence import KEPT, RULES
from anacc.targets.forms import as_text, forms
from anacc.targets.keys import units

HERMES = load_target("hermes")
VALUES = {row.key: row.value for row in provenance.rows(HERMES)}


def changes(settings: dict[str, Any], target: Target = HERMES) -> dict[str, Any]:
    """The values of the configured target that are not those of the target, by key."""
    before = {row.key: row.value for row in provenance.rows(target)}
    after = provenance.rows(configure(target, settings).target)
    return {row.key: row.value for row in after if row.value != before.get(row.key)}


def own(tmp_path: Path, text: str) -> Target:
    path = tmp_path / "own.toml"
    path.write_text(f'inherit = "hermes"\n{text}', encoding="utf-8")
    return load_target(path)


# What is set, and all that changes with it.
FOLLOWS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"grid": "16x4"}, {"grid.rows": 16, "grid.columns": 4, "gdpu.count": 4}),
    ({"grid.rows": "16"}, {"grid.rows": 16, "bridge.count": 128}),
    ({"grid.columns": 4, "gdpu.count": 2, "bridge.count": 64}, {"grid.columns": 4,
      "gdpu.count": 2}),
    ({"grid.columns": 16, "gdpu.wiring": "any"}, {"grid.columns": 16, "gdpu.wiring": "any",
      "bridge.count": 128}),
    ({"crossbar.columns": 128}, {"crossbar.columns": 128, "gdpu.hidden_units": 32,
      "read_modes.four_phase.energy": 52.8125 / 2, "read_modes.one_phase.energy": 13.4375 / 2}),
    ({"crossbar": "512x512"}, {"crossbar.rows": 512, "crossbar.columns": 512,
      "gdpu.hidden_units": 128, "read_modes.four_phase.energy": 211.25,
      "read_modes.one_phase.energy": 53.75}),
    ({"crossbar": (1024, 256), "energy.mvm_scaling": "core"}, {"crossbar.rows": 1024,
      "energy.mvm_scaling": "core"}),
    ({"crossbar.counts_per_device": 40}, {"crossbar.counts_per_device": 40,
      "crossbar.conductance_per_count": 0.25875}),
    ({"input.bits": "6"}, {"input.bits": 6, "input.max_code": 31, "adc.levels_per_phase": 104,
      "read_modes.four_phase.latency": 136.0, "read_modes.one_phase.latency": 37.0}),
    ({"input.time_per_lsb": "2"}, {"input.time_per_lsb": 2.0, "adc.levels_per_phase": 854,
      "read_modes.four_phase.latency": 1028.0, "read_modes.one_phase.latency": 260.0}),
    ({"chip.clock": 2}, {"chip.clock": 2.0, "links.values_per_ns": 2.0, "links.hop_latency": 0.5,
      "links.chip_values_per_ns": 2.0, "latency.ldpu_per_column": 0.5}),
    ({"chip.clock": 2, "links.values_per_ns": "1"}, {"chip.clock": 2.0, "links.hop_latency": 0.5,
      "latency.ldpu_per_column": 0.5}),
    ({"energy.link_per_hop": "0.25"}, {"energy.link_per_hop": 0.25,
      "energy.bridge_per_value": 0.25}),
    ({"read_modes.offered": "1-phase"}, {"read_modes.offered": ("1-phase",),
      "read_modes.default": "1-phase"}),
    ({"read_modes.default": "1-phase"}, {"read_modes.default": "1-phase"}),
    ({"adc.full_scale_cells": "12,24"}, {"adc.full_scale_cells": (12.0, 24.0)}),
    ({"adc.full_scale_cells": "12+24"}, {"adc.full_scale_cells": (12.0, 24.0)}),
    ({"adc.full_scale_cells": [6, 24.0]}, {"adc.full_scale_cells": (6.0, 24.0)}),
    ({"grid.rows": np.int64(4), "links.values_per_ns": np.float32(0.5), "bridge.count": 64},
     {"grid.rows": 4, "links.values_per_ns": 0.5, "links.chip_values_per_ns": 0.5}),
    ({"gdpu.function_table.segments": 64, "gdpu.function_table.interpolation": "nearest",
      "gdpu.function_table.format": "binary16"}, {"gdpu.function_table.segments": 64,
      "gdpu.function_table.interpolation": "nearest", "gdpu.function_table.format": "binary16"}),
    ({"grid": "8x8", "crossbar.rows": 256}, {}),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "expected"), FOLLOWS, ids=lambda value: str(value)[:60])
def test_what_is_set_and_what_follows(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changes(settings) == expected


def test_a_setting_says_what_was_before() -> None:
    made = configure(HERMES, {"crossbar.columns": "128"}).target
    rows = {row.key: row for row in provenance.rows(made)}
    columns, units_ = rows["crossbar.columns"], rows["gdpu.hidden_units"]
    assert (columns.source, columns.unit) == ("assumed", "columns")
    assert columns.note.startswith("set by the user; before: 256 columns (published: Khaddam-")
    assert units_.source == "derived"
    assert "64 x 128 / 256 columns; before: 64 hidden units (derived: Both LSTMs" in units_.note
    assert provenance.own_settings(target_to_data(made)) == {"crossbar.columns": 128}
    assert provenance.own_settings(target_to_data(HERMES)) == {}
    again = configure(made, {"crossbar.columns": 64}).target
    assert "before: 128 columns (assumed: set by the user; before: 256" in (
        again.crossbar.columns.note
    )


def test_a_setting_that_changes_nothing_leaves_the_published_value() -> None:
    assert configure(HERMES, {"crossbar": "256x256", "links.values_per_ns": 1}).target == HERMES
    assert configure(HERMES, None).target is HERMES


def test_what_was_chosen_otherwise_does_not_follow(tmp_path: Path) -> None:
    target = own(tmp_path, "gdpu.count = 2\nbridge.count = 5\nlinks.chip_values_per_ns = 3\n")
    assert changes({"grid": "4x4", "links.values_per_ns": 2}, target) == {
        "grid.rows": 4, "grid.columns": 4, "links.values_per_ns": 2.0,
    }  # fmt: skip
    assert changes({"grid.columns": 1}, target) == {"grid.columns": 1, "gdpu.count": 1}


def test_a_target_with_one_mode(tmp_path: Path) -> None:
    data = target_to_data(HERMES)
    del data["read_modes"]["one_phase"]
    data["read_modes"]["offered"]["value"] = ["4-phase"]
    target = target_from_data(data)
    found = changes({"crossbar.rows": 128, "input.time_per_lsb": 2}, target)
    assert "read_modes.four_phase.energy" in found and "read_modes.one_phase.energy" not in found


@pytest.mark.parametrize(
    ("settings", "kept", "causes"),
    [
        ({"grid.rows": 4}, ["chip.die_area"], ["grid.rows"]),
        ({"crossbar": "64x64"}, ["chip.die_area", "adc.full_scale_cells", "area.core"],
         ["crossbar.rows", "crossbar.columns"]),
        ({"crossbar.columns": 64, "area.core": 0.2, "energy.mvm_scaling": "core"},
         ["chip.die_area", "read_modes.four_phase.energy", "read_modes.one_phase.energy"],
         ["crossbar.columns"]),
        ({"chip.clock": 2}, ["latency.gdpu_per_unit", "latency.bridge_per_step"], ["chip.clock"]),
        ({"links.values_per_ns": 2}, [], []),
        ({"grid": "8x8"}, [], []),
    ],
)  # fmt: skip
def test_what_nobody_knows_is_told_in_one_sentence(
    settings: dict[str, Any], kept: list[str], causes: list[str]
) -> None:
    warnings = configure(HERMES, settings).warnings
    assert len(warnings) == bool(kept)
    for warning in warnings:
        assert warning.split("`")[1::2] == [*kept, *causes]


# Settings, words of the message, words of the hint.
IMPOSSIBLE: list[tuple[Any, str, str]] = [
    ({"grid.row": "8"}, "`grid.row`: a target has no such key", "`grid.rows`"),
    ({"crosbar.rows": "8"}, "no such key", "`crossbar.rows`"),
    ({"ROWS": "8"}, "no such key", "`anacc targets keys`"),
    ({"gdpu": "8"}, "no such key", "`gdpu.count`"),
    ({"inherit": "hermes"}, "no such key", "keys"),
    ({"": "8"}, "no such key", "keys"),
    ({"grid.rows\x1b": "8"}, "`grid.rows\\x1b`", "`grid.rows`"),
    ({"grid.rows": ""}, "is empty", "integer from 1 to 65536, in rows"),
    ({"grid.rows": " "}, "is empty", ""),
    ({"grid.rows": "0"}, "greater than 0, not `0`", "integer from 1 to 65536, in rows"),
    ({"grid.rows": "-8"}, "greater than 0, not `-8`", "in rows"),
    ({"grid.rows": "8.0"}, "whole number", "in rows"),
    ({"grid.rows": "1e2"}, "whole number", "in rows"),
    ({"grid.rows": "nan"}, "whole number", ""),
    ({"grid.rows": "1_000"}, "whole number", ""),
    ({"grid.rows": "\u0661\u0666"}, "whole number in decimal digits", ""),
    ({"grid.rows": "1" * 30}, "less than or equal to 65536", ""),
    ({"grid.rows": "9" * 5000}, "whole number", ""),
    ({"grid.rows": 16.0}, "valid integer, not `16.0`", "in rows"),
    ({"grid.rows": True}, "valid integer", ""),
    ({"grid.rows": None}, "valid integer", ""),
    ({"grid.rows": [8]}, "valid integer", ""),
    ({"grid": "8"}, "`grid=8` is not a size ROWSxCOLUMNS", "`grid=16x16`"),
    ({"grid": "8x8x8"}, "not a size", ""),
    ({"grid": "8x"}, "not a size", ""),
    ({"grid": ""}, "not a size", ""),
    ({"grid": "\u0668x\u0668"}, "not a size", ""),
    ({"grid": 8}, "not a size", ""),
    ({"grid": "0x8"}, "`grid.rows` must be greater than 0", "in rows"),
    ({"grid": "8x70000"}, "`grid.columns` must be less", ""),
    ({"grid": "8x8", "grid.rows": 8}, "give `grid.rows` twice", ""),
    ({"links.values_per_ns": "nan"}, "finite number, not `nan`", "number above 0, in values/ns"),
    ({"links.values_per_ns": "-inf"}, "finite number", ""),
    ({"links.values_per_ns": "1e400"}, "finite number", ""),
    ({"links.values_per_ns": "1,5"}, "decimal number", ""),
    ({"links.values_per_ns": "0"}, "greater than 0", ""),
    ({"links.values_per_ns": "fast"}, "decimal number", ""),
    ({"chip.clock": 0, "crossbar.rows": 0}, "also wrong: `crossbar.rows`", ""),
    ({"adc.full_scale_cells": "12,,24"}, "has an empty entry", "list of numbers above 0, in cells"),
    ({"adc.full_scale_cells": ""}, "has an empty entry", ""),
    ({"adc.full_scale_cells": "12,0"}, "an entry that must be greater than 0", ""),
    ({"read_modes.default": "2-phase"}, "'4-phase' or '1-phase'", "4-phase, 1-phase"),
    ({"read_modes.default": "1-phase", "read_modes.offered": "4-phase"}, "does not list", ""),
    ({"gdpu.count": "9"}, "`grid.columns` is 8", "8 or less"),
    ({"grid.columns": 4, "gdpu.count": 8}, "`grid.columns` is 4", "4 or less"),
    ({"gdpu.functions": "affine+table"}, "`gdpu.function_table` is missing", "hermes-ext"),
    ({"gdpu.function_table.segments": 9}, "`gdpu.function_table.interpolation` is missing", ""),
    ({"input.time_per_lsb": 10}, "`adc.levels_per_phase` is 4270", "2047"),
    ({"crossbar": "8192x8192"}, "more than the 33554432", "4096 rows"),
    ({"grid": "65536x65536"}, "more than the 262144", "4 rows"),
    ({"crossbar.rows": 3000, "adc.multiplier_bits": 30}, "at most 2838 rows", "multiplier_bits"),
    ({"chip.name": " "}, "is empty", "text"),
    (["grid.rows=8"], "`settings` is a mapping", "grid.rows"),
    ("grid.rows=8", "`settings` is a mapping", "grid.rows"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "words", "hint"), IMPOSSIBLE, ids=lambda v: str(v)[:40])
def test_impossible_settings_are_refused_by_name(settings: Any, words: str, hint: str) -> None:
    with pytest.raises(SettingError) as caught:
        configure(HERMES, settings)
    message = caught.value.message
    assert caught.value.exit_status == 2
    assert words in message
    assert hint in (caught.value.hint or "")
    assert message.isprintable() and len(message) < 400


@pytest.mark.parametrize("name", shipped_targets())
def test_every_value_reads_back_from_its_text(name: str) -> None:
    """What `anacc targets keys` shows of a value sets it again: nothing changes."""
    target = load_target(name)
    texts = {row.key: as_text(row.value) for row in provenance.rows(target)}
    assert configure(target, texts).target == target


def test_forms_say_what_is_allowed() -> None:
    assert list(forms()) == list(units())
    shown = {key: str(form) for key, form in forms().items()}
    assert shown["grid.rows"] == "integer from 1 to 65536"
    assert shown["adc.full_scale_cells"] == "list of numbers above 0"
    assert shown["gdpu.tanh_table.input_limit"] == "number above 0, at most 64"
    assert shown["energy.link_per_hop"] == "number from 0 on"
    assert shown["gdpu.wiring"] == "column, any"
    assert shown["read_modes.offered"] == "list of 4-phase, 1-phase"
    assert shown["read_modes.one_phase.phases"] == "1, 4"
    assert shown["chip.name"] == "text"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_value_as_text(value: float) -> None:
    assert forms()["links.values_per_ns"].parse(as_text(value)) == value


def test_rules_name_keys_and_stand_in_order() -> None:
    order = [rule.key for rule in RULES]
    for rule in RULES:
        assert {rule.key, *rule.reads} <= units().keys()
        # What a rule reads is not followed after it.
        for key in rule.reads:
            assert key not in order or order.index(key) < order.index(rule.key)
    assert len(order) == len(set(order))
    assert {*KEPT, *(key for causes in KEPT.values() for key in causes)} <= units().keys()


@given(
    st.dictionaries(
        st.sampled_from(["grid.rows", "grid.columns", "crossbar.rows", "crossbar.columns"]),
        st.integers(1, 256),
    )
)
def test_any_size_of_the_family_is_consistent(settings: dict[str, Any]) -> None:
    """Sizes alone never need another setting, and come back when they are set back."""
    configured = configure(HERMES, settings)
    back = {key: VALUES[key] for key in settings}
    again = configure(configured.target, back).target
    found = {row.key: row.value for row in provenance.rows(again)}
    keep = {"gdpu.hidden_units"}  # the floor of a quotient does not come back
    for key, value in VALUES.items():
        if key not in keep:
            assert found[key] == (pytest.approx(value) if isinstance(value, float) else value)


def test_energy_of_a_cell_stays() -> None:
    sizes = [(64, 64), (256, 256), (1000, 300)]
    densities = []
    for size in sizes:
        target = configure(HERMES, {"crossbar": size}).target
        densities.append(target.read_mode("4-phase").energy.value / target.cells_per_core)
    assert all(left == pytest.approx(right) for left, right in pairwise(densities))


def test_the_documentation_lists_what_follows_and_what_stays() -> None:
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    rows = [(rule.key, rule.reads, f" {rule.words} |") for rule in RULES]
    rows += [(key, causes, "") for key, causes in KEPT.items()]
    lines = [
        f"| `{key}` | {', '.join(f'`{each}`' for each in reads)} |{words}"
        for key, reads, words in rows
    ]
    assert [line for line in text.splitlines() if line.startswith("| `")] == lines
