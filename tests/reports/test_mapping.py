"""The mapping report, as data and as text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from anacc.errors import ProgramError
from anacc.reports import SCHEMA, render, report
from anacc.reports.text import MAX_LAYERS, plain, table
from tests.cli.sample import MAPPING, image

KEYS = {
    "schema", "model", "target", "read_mode", "cores", "cells", "layers", "tiles", "units",
    "links", "bounds", "host", "macs", "warnings", "program", "options", "provenance",
}  # fmt: skip


def with_mapping(mapping: dict[str, Any]) -> dict[str, Any]:
    return report(replace(image(), mapping=mapping))


def test_report_of_a_program() -> None:
    made = report(image())
    assert set(made) == KEYS
    assert made["schema"] == SCHEMA
    assert made["model"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    assert (made["target"], made["read_mode"]) == ("IBM HERMES Project Chip", "4-phase")
    assert made["cores"] == {"used": 1, "available": 64, "chips": 1}
    assert made["cells"] == {"used": 12, "of": 256 * 256, "share": 12 / 65536}
    assert made["macs"] == {"crossbar": 12, "host": 4, "host_share": 0.25}
    assert made["program"] == {
        "streams": 3,
        "instructions": 7,
        "channels": 2,
        "weights": 1,
        "weight_cells": 12,
        "segments": 0,
    }
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_mapper_that_states_nothing() -> None:
    """Cores and cells come from the code; all keys are there."""
    made = with_mapping({})
    assert set(made) == KEYS
    assert made["cores"]["used"] == 1
    assert made["cells"]["used"] == 12
    assert (made["layers"], made["bounds"], made["macs"]["host_share"]) == ([], {}, None)
    assert "cores    1 of 64" in render(made)


def test_a_target_that_states_nothing() -> None:
    plain_image = image()
    manifest = plain_image.manifest.model_copy(update={"target": {}, "options": {}})
    made = report(replace(plain_image, manifest=manifest))
    assert made["cores"]["available"] is None
    assert made["cells"]["share"] is None
    assert "unknown" in render(made)


@pytest.mark.parametrize(
    "mapping", [{"layers": 5}, {"layers": [5]}, {"bounds": [1]}, {"warnings": [{}]}]
)
def test_a_mapping_of_another_structure(mapping: dict[str, Any]) -> None:
    with pytest.raises(ProgramError, match=f"`{next(iter(mapping))}` is not a"):
        with_mapping(mapping)


def test_text() -> None:
    text = render(report(image()))
    for part in (
        "dense",
        "MatMul_0, Add_1",
        "4 x 3",
        "core 0.0",
        "Softmax_2",
        "the chip has no Softmax",
        "warning: calibrated on random inputs",
        "(25.0%)",
    ):
        assert part in text
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())


def test_text_fits_a_screen() -> None:
    layer = MAPPING["layers"][0]  # type: ignore[index]
    many = with_mapping({"layers": [layer | {"name": f"layer{n}"} for n in range(60)]})
    assert len(render(many).splitlines()) < MAX_LAYERS + 16
    assert f"and {60 - MAX_LAYERS} more" in render(many)
    assert "layer59" in render(many, all_rows=True)


def test_what_only_moves_data_for_a_layer_is_left_out() -> None:
    window = {"name": "window", "nodes": ["MatMul_0"], "unit": "bridge", "matrix": [0, 0]}
    pool = {"name": "pool", "nodes": ["MaxPool_3"], "unit": "bridge"}
    made = with_mapping({"layers": [window, *MAPPING["layers"], pool]})  # type: ignore[misc]
    text = render(made)
    assert "window" not in text
    assert "MaxPool_3" in text
    assert "... and 1 more: `--all` lists them" in text
    assert "window" in render(made, all_rows=True)


def test_long_lists_are_shortened() -> None:
    layer = {"name": "wide", "nodes": list("abcdef"), "cores": [0, 1, 2, 3, 8, 10, 11]}
    made = with_mapping({"layers": [layer]})
    assert "a, b, c, and 3 more" in render(made)
    assert "a, b, c, d, e, f" in render(made, all_rows=True)
    assert "0-3, 8, 10-11" in render(made)


@pytest.mark.parametrize(
    ("cores", "text"),
    [
        (["core 0.1", "core 0.10", "core 0.2"], " 1-2, 10 "),
        (["core 0.63", "core 1.0", "core 1.1"], " 63, 1.0-1.1 "),
        (["somewhere"], " somewhere "),
    ],
)
def test_cores(cores: list[str], text: str) -> None:
    assert text in render(with_mapping({"layers": [{"name": "wide", "cores": cores, "unit": "u"}]}))


def test_names_cannot_steer_a_terminal_or_the_layout() -> None:
    layer = {"name": "\x1b[31mred\n[bold]x", "nodes": ["a\nb"]}
    text = render(with_mapping({"layers": [layer], "warnings": ["\x1b]0;title\x07"]}))
    assert "\x1b" not in text
    assert "?[31mred [bold]x" in text
    assert "warning: ?]0;title?" in text


def test_table_aligns_columns() -> None:
    assert plain(table(("name", "n"), [("a", 1), ("bb", 10)], "lr")) == (
        "name   n\na      1\nbb    10\n"
    )
