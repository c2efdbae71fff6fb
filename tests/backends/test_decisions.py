"""Decisions: what the report says of the mapping is what the module holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from anacc_backends.decisions import conversion_warnings
from tests.backends.emitted import program
from tests.backends.test_emit import before
from tests.passes.chips import Chip


def mapping(name: str) -> dict[str, Any]:
    found = program(before(name)).mapping
    assert json.loads(json.dumps(found)) == found  # plain data
    return found


def test_tiles_and_layers() -> None:
    found = mapping("tile")
    first, second = found["tiles"]
    assert first == {
        "core": "core 0.1",
        "row": 8,
        "column": 16,
        "rows": 2,
        "columns": 2,
        "layer": "L",
        "weight_rows": [0, 2],
        "weight_columns": [0, 2],
        "copies": 1,
        "replica": 0,
        "cells_used": 4,
        "conversion_snr_db": None,
    }
    assert (second["core"], second["weight_rows"]) == ("core 0.2", [2, 4])
    (layer,) = found["layers"]
    assert layer == {
        "name": "L",
        "nodes": ["L"],
        "kind": "crossbar",
        "matrix": [4, 2],
        "tiles": 2,
        "cores": ["core 0.1", "core 0.2"],
        "replicas": 1,
        "positions": 3,
        "unit": "core",
    }
    # Two tiles of four cells for each of three tokens.
    assert found["macs"]["crossbar"] == 24
    assert found["warnings"] == ["a warning"]


def test_streams_of_other_kinds_are_layers_of_their_own() -> None:
    found = mapping("lstm_cell")
    assert [(layer["name"], layer["unit"]) for layer in found["layers"]] == [
        ("L", "core"),
        ("lstm_cell h", "gdpu"),
    ]
    found = mapping("average")
    assert [(layer["kind"], layer["tiles"], layer["cores"]) for layer in found["layers"]] == [
        ("gather", 0, [])
    ]
    assert found["macs"] == {"crossbar": 0, "host": 0, "host_activations": 0}


def test_units_name_every_stream_in_order() -> None:
    found = mapping("pointwise")
    assert found["units"][0] == {"stream": 0, "unit": "host 0.0", "kind": "input", "nodes": ["i"]}
    assert [entry["stream"] for entry in found["units"]] == list(range(6))
    assert [entry["nodes"] for entry in found["units"][1:5]] == [
        ["Affine"], ["Sigmoid"], ["Mul"], ["Clip"]
    ]  # fmt: skip


def test_host_segments_say_why() -> None:
    (segment,) = mapping("host")["host"]
    assert segment == {"nodes": ["Erf"], "reasons": ["no unit computes Erf"], "hints": []}


def test_origins_of_streams_and_weights() -> None:
    found = program(before("tile")).origin
    assert found["streams"] == [["i"], ["i"], ["i"], ["L"], ["L"], ["o"], ["o"]]
    assert found["weights"][1] == {"layer": "L", "nodes": ["L"], "rows": [2, 4], "columns": [0, 2]}


def test_multiply_adds_of_the_host_are_counted() -> None:
    counts = "activation_products = 15, borders ="
    text = before("host").replace("products = 0", "products = 20").replace("borders =", counts)
    wanted = {"crossbar": 0, "host": 20, "host_activations": 15}
    assert program(text).mapping["macs"] == wanted


def test_layers_that_converters_serve_badly_are_named() -> None:
    chip = Chip()
    for layer, snr in (("good", 30.0), ("bad", 12.4), ("worse", 3.0), ("bad", 25.0)):
        chip.tile([chip.input(3)], 2, layer=layer)
        last = chip.ops[-1]
        chip.ops[-1] = replace(last, attributes={**last.attributes, "snr": snr})
    (warning,) = conversion_warnings(chip.module())
    assert "`worse` (3 dB), `bad` (12 dB);" in warning and "good" not in warning


def test_without_measured_conversions_there_is_no_warning() -> None:
    chip = Chip()
    chip.tile([chip.input(3)], 2)
    assert conversion_warnings(chip.module()) == []
