"""The mapping report, as data and as text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anacc.errors import ProgramError
from anacc.reports import SCHEMA, render, report
from anacc.reports.layout import MAX_NAME, core_ranges, figure, some_names
from anacc.reports.text import MAX_LAYERS, plain, table
from anacc.targets import load_target, target_to_data
from tests.cli.sample import MAPPING, image

KEYS = {
    "schema", "model", "target", "target_files", "target_settings", "read_mode", "cores", "cells",
    "chips", "rounds", "programming", "layers", "tiles", "units", "links", "bounds", "host",
    "nodes", "borders", "macs", "quantisation", "warnings", "performance", "program", "options",
    "provenance",
}  # fmt: skip


def with_mapping(mapping: dict[str, Any]) -> dict[str, Any]:
    return report(replace(image(), mapping=mapping))


def test_report_of_a_program() -> None:
    made = report(image())
    assert set(made) == KEYS
    assert made["schema"] == SCHEMA
    assert made["model"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    assert (made["target"], made["read_mode"]) == ("IBM HERMES Project Chip", "4-phase")
    assert made["cores"] == {"used": 1, "available": 64, "chips": 1, "rounds": 1}
    assert made["cells"] == {"used": 12, "of": 256 * 256, "share": 12 / 65536}
    assert made["macs"] == {
        "crossbar": 12,
        "host": 4,
        "host_constant": 1,
        "host_activations": 3,
        "host_share": 0.25,
        "crossbar_share": 12 / 13,
    }
    assert made["borders"]["bytes"] == 10
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
    assert (made["nodes"], made["borders"]) == ([], {"bytes": None, "tensors": []})
    assert "cores    1 of 64" in render(made)


def test_a_target_of_a_user(tmp_path: Path) -> None:
    (tmp_path / "mychip.toml").write_text('inherit = "hermes"\ncrossbar.rows = 128\n')
    target = target_to_data(load_target(tmp_path / "mychip.toml"))
    manifest = image().manifest.model_copy(update={"target": target})
    made = report(replace(image(), manifest=manifest))
    assert (report(image())["target_files"], made["target_files"]) == ([], ["mychip.toml"])
    assert "target   IBM HERMES Project Chip, changed by mychip.toml, 4-phase" in render(made)


def test_a_target_that_states_nothing() -> None:
    plain_image = image()
    manifest = plain_image.manifest.model_copy(update={"target": {}, "options": {}})
    made = report(replace(plain_image, manifest=manifest))
    assert made["cores"]["available"] is None
    assert made["cells"]["share"] is None
    assert "unknown" in render(made)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"layers": 5}, "layers"),
    ({"layers": [5]}, "layers.0"),
    ({"layers": [{"matrix": 5}]}, "layers.0.matrix"),
    ({"layers": [{"matrix": ["4"]}]}, "layers.0.matrix.0"),
    ({"layers": [{}, {"cores": 5}]}, "layers.1.cores"),
    ({"layers": [{"cores": [[]]}]}, "layers.0.cores.0"),
    ({"layers": [{"nodes": [{}]}]}, "layers.0.nodes.0"),
    ({"layers": [{"nodes": "Conv"}]}, "layers.0.nodes"),
    ({"bounds": [1]}, "bounds"),
    ({"chips": [{"layers": 3}]}, "chips.0.layers"),
    ({"chips": [{"to_next": -1}]}, "chips.0.to_next"),
    ({"rounds": [{"ns": "x"}]}, "rounds.0.ns"),
    ({"programming": [1]}, "programming"),
    ({"bounds": {"a": 3}}, "bounds.a"),
    ({"performance": {"slowest_ns": "fast"}}, "performance.slowest_ns"),
    ({"performance": {"busy": {"core": {"layers": [1]}}}}, "performance.busy.core.layers.0"),
    ({"performance": {"figures": [3]}}, "performance.figures.0"),
    ({"bounds": {"a": {"value": {}}}}, "bounds.a.value"),
    ({"tiles": [{"cells_used": "x"}]}, "tiles.0.cells_used"),
    ({"macs": {"crossbar": "a", "host": 1}}, "macs.crossbar"),
    ({"host": [{"nodes": 3}]}, "host.0.nodes"),
    ({"host": [{"reasons": [None]}]}, "host.0.reasons.0"),
    ({"tiles": [{"cells_used": 10**400}]}, "tiles.0.cells_used"),
    ({"tiles": [{"cells_used": True}]}, "tiles.0.cells_used"),
    ({"macs": {"crossbar": -1}}, "macs.crossbar"),
    ({"units": [1]}, "units.0"),
    ({"nodes": [3]}, "nodes.0"),
    ({"nodes": [{"units": [0]}]}, "nodes.0.units.0"),
    ({"nodes": [{"segment": "x"}]}, "nodes.0.segment"),
    ({"borders": {}}, "borders"),
    ({"borders": [{"bytes": -1}]}, "borders.0.bytes"),
    ({"host": [{"hints": [0]}]}, "host.0.hints.0"),
    ({"links": []}, "links"),
    ({"warnings": [{}]}, "warnings.0"),
]


@pytest.mark.parametrize(("mapping", "place"), WRONG, ids=[str(case[0])[:60] for case in WRONG])
def test_a_mapping_of_another_structure(mapping: dict[str, Any], place: str) -> None:
    with pytest.raises(ProgramError, match=f"mapping report: `{place}` is wrong: ") as caught:
        with_mapping(mapping)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ({"grid": 5}, "grid"),
        ({"grid": {"rows": 8}}, "grid.rows"),
        ({"crossbar": {"rows": {"value": "x"}}}, "crossbar.rows.value"),
        ({"chip": {"name": {"value": []}}}, "chip.name.value"),
    ],
)
def test_a_target_of_another_structure(target: dict[str, Any], place: str) -> None:
    plain_image = image()
    manifest = plain_image.manifest.model_copy(update={"target": target})
    with pytest.raises(ProgramError, match=f"target in program: `{place}` is wrong: "):
        report(replace(plain_image, manifest=manifest))


def test_what_is_null_is_absent_and_other_keys_are_kept() -> None:
    layer = {"name": "dense", "nodes": None, "matrix": None, "cores": None, "own": {"a": 1}}
    made = with_mapping({"layers": [layer], "tiles": None, "bounds": {"a": {"value": None}}})
    assert made["layers"] == [layer]
    assert "dense" in render(made)


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
        "leave it out",
        "12 multiply-adds on crossbars, 92.3% of those with constant weights; 3 of two activations",
        "10 bytes cross it for each sample",
    ):
        assert part in text
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())


def test_nodes_and_borders_are_listed_on_demand() -> None:
    assert "where it runs" not in render(report(image()))
    lines = render(report(image()), nodes=True).splitlines()
    start = lines.index("ONNX node  operator  where it runs")
    assert lines[start : start + 11] == [
        "ONNX node  operator  where it runs",
        "MatMul_0   MatMul    2 tiles on cores 0-1, 8; bridge 3",
        "Add_1      Add       LDPU of core 0",
        "Tanh_4     Tanh      GDPUs 0, 1.2",
        "Softmax_2  Softmax   host segment 0: the chip has no Softmax",
        "Pool_5     MaxPool   bridge 12",
        "Const_3    Constant  folded",
        "",
        "tensor  at            format  bytes a sample  crosses",
        "x       input         i8                   4  yes",
        "y       segment 0 in  f16                  6  yes",
    ]
    assert "z       output        tensor" in lines


def test_many_reasons_are_shortened() -> None:
    host = [{"nodes": [f"n{i}"], "reasons": [f"reason {i}"]} for i in range(9)]
    host.append({"nodes": ["a", "b", "c", "d"], "reasons": ["many"] * 4})
    made = with_mapping({"host": host})
    text = render(made)
    assert "a, b, c, and 1 more  many" in text
    assert "... and 4 more reasons: `--all` lists them" in text and "reason 8" not in text
    assert "reason 8" in render(made, all_rows=True)


def test_what_quantised_tensors_lose() -> None:
    """The worst come first, and a screen holds them; JSON has them in the mapper's order."""
    entries = [
        {"tensor": f"t{k}", "kind": "activation", "bits_lost": k / 8, "codes_saturated": k % 2}
        for k in range(12)
    ]
    made = with_mapping({"quantisation": entries})
    assert made["quantisation"] == entries
    lines = render(made).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("quantised tensor"))
    assert lines[first + 1].split() == ["t11", "activation", "1.38", "1"]
    assert lines[first + 9] == "... and 4 more: `--all` lists them"
    assert "t0 " in render(made, all_rows=True)
    assert "quantised tensor" not in render(with_mapping({}))


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
        (["core 0." + "9" * 10], " core 0.9999999999 "),
    ],
)
def test_cores(cores: list[str], text: str) -> None:
    assert text in render(with_mapping({"layers": [{"name": "wide", "cores": cores, "unit": "u"}]}))


def test_names_cannot_steer_a_terminal_or_the_layout() -> None:
    layer = {"name": "\x1b[31mred\n[bold]x", "nodes": ["a\nb"]}
    text = render(with_mapping({"layers": [layer], "warnings": ["\x1b]0;title\x07\nwarning: own"]}))
    assert "\x1b" not in text
    assert "?[31mred [bold]x" in text
    assert "warning: ?]0;title? warning: own\n" in text


def test_no_name_of_a_file_reaches_the_text_unescaped() -> None:
    """Every string that a program holds has an escape sequence."""
    made = _marked(report(image()))
    text = render(made, all_rows=True)
    assert "\x1b" not in text and "\u202e" not in text


def _marked(data: Any) -> Any:
    match data:
        case str():
            return data + "\x1b[2J\u202e"
        case dict():
            keys = {key: _marked(key) if key == "dense" else key for key in data}
            return {keys[key]: _marked(value) for key, value in data.items()}
        case list():
            return [_marked(value) for value in data]
        case _:
            return data


def test_table_aligns_columns() -> None:
    assert plain(table(("name", "n"), [("a", 1), ("bb", 10)], "lr")) == (
        "name   n\na      1\nbb    10\n"
    )


def test_long_names_are_shortened_in_tables_and_named_once() -> None:
    long = "block/" * 40 + "Conv_7"
    assert some_names(["a", "a", "b"], all_rows=False) == "a, b"
    shown = some_names([long], all_rows=False)
    assert len(shown) <= MAX_NAME
    assert shown.startswith("block/") and shown.endswith("Conv_7")
    assert some_names([long], all_rows=True) == long


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (93312.0, "93,312"), (2048.0, "2,048"), (3.98123, "3.981"), (0.0, "0"), (512.25, "512"),
        (0.05, "0.05"), (1e20, "1e+20"), (float("inf"), "inf"), (float("nan"), "nan"), (64, "64"),
    ],
)  # fmt: skip
def test_figures_are_written_in_full(value: float, text: str) -> None:
    assert figure(value) == text


def test_cores_are_shortened() -> None:
    cores = [f"core 0.{number}" for number in (0, 1, 2, 8, 16, 24, 32, 33)]
    assert core_ranges(cores) == "0-2, 8, 16, 24, 32-33"
    assert core_ranges(cores, all_rows=False) == "0-2, 8, 16, ... 8 cores"
    assert core_ranges(["core 0.1", "core 2.1", "core 2.2"]) == "1, 2.1-2.2"
    assert core_ranges(["core 0.1", "core 2.1", "core 2.2"], chips=True) == "0.1, 2.1-2.2"


def test_options_of_the_mapper() -> None:
    options = {"packing": "auto", "effort": 1, "chips": 1, "reload": False, "optimize": None}
    for more, text in (
        ({}, "options  packing auto, effort 1\n"),
        (
            {"optimize": "area", "chips": "auto", "reload": True, "mapping": "given"},
            "options  packing auto, effort 1, optimize area, chips auto, reload, a mapping file\n",
        ),
    ):
        manifest = image().manifest.model_copy(update={"options": {**options, **more}})
        assert text in render(report(replace(image(), manifest=manifest)))


@pytest.mark.parametrize(("bound", "text"), [(99.0, "1.0% above"), (20.0, "5 times that")])
def test_a_bound_far_away_is_a_factor(bound: float, text: str) -> None:
    performance = {"mvms": 1, "slowest_ns": 100.0, "bound_ns": bound}
    assert text in render(with_mapping({"performance": performance}))
