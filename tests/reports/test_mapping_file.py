"""Programs in the schema of mapping files, and what that schema cannot say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from anacc.errors import AnaccError, ProgramError, UsageError
from anacc.mapping_file import mapping_data
from anacc.reports.mapping_file import mapping_of
from tests.cli.sample import image

Data = dict[str, Any]


def tile(layer: str, core: Any, rows: tuple[int, int], cell: tuple[int, int]) -> Data:
    """A tile of three columns."""
    return {
        "core": core,
        "row": cell[0],
        "column": cell[1],
        "rows": rows[1] - rows[0],
        "columns": 3,
        "layer": layer,
        "weight_rows": list(rows),
        "weight_columns": [0, 3],
    }


def layer(name: str, operator: str, shape: list[int], **keys: Any) -> Data:
    return {"name": name, "nodes": [name], "operator": operator, "weight_shape": shape, **keys}


REPORT: Data = {
    "layers": [
        layer("n1", "Conv", [3, 2, 3, 1], weight="net.conv.weight", groups=1),
        layer("/net/fc/MatMul", "MatMul", [4, 3], weight="onnx::MatMul_1"),
        layer("n3", "Conv", [3, 2, 1, 1], weight="net.point.weight", bias="net.point.bias"),
        layer("n4", "ConvTranspose", [2, 1, 2], groups=1),
        layer("l", "LSTM", [1, 3, 4], weight="net.lstm.weight_ih"),
        layer("l reverse", "LSTM", [1, 3, 4], nodes=["l"]),
        layer("n6", "Conv", [3, 1, 1, 1], groups=3),
    ],
    "tiles": [
        tile("n1", "core 0.1", (0, 4), (0, 0)),
        tile("n1", "core 0.63", (4, 6), (250, 253)),
        tile("/net/fc/MatMul", 10, (0, 4), (4, 0)),
        tile("n3", "core 0.9", (0, 2), (0, 0)),
        tile("n4", "core 0.2", (0, 2), (0, 0)),
        tile("l", "core 0.2", (0, 4), (2, 0)),
        tile("l reverse", "core 0.2", (0, 4), (6, 0)),
        tile("n6", "core 0.0", (0, 3), (0, 0)),
    ],
}


def exported(report: Data) -> Data:
    return mapping_data(mapping_of(replace(image(), mapping=report)))


def region(rows: list[int], cell: tuple[int, int]) -> Data:
    return {
        "tile_col_region": [cell[1], cell[1] + 3],
        "tile_row_region": [cell[0], cell[0] + rows[1] - rows[0]],
        "weight_col_region": [0, 3],
        "weight_row_region": rows,
    }


def test_layers_are_named_by_their_modules_and_say_their_orders() -> None:
    rows = {"row_order": "group, kernel, channel"}
    assert exported(REPORT) == {
        "net.conv": {
            "type": "Conv2d",
            "weight": "net.conv.weight",
            "bias": None,
            "tiles_map": {
                "0": {"1": [region([0, 4], (0, 0))]},
                "7": {"7": [region([4, 6], (250, 253))]},
            },
            "n_shared": 1,
            **rows,
        },
        "net.fc": {
            "type": "Linear",
            "weight": "onnx::MatMul_1",
            "bias": None,
            "tiles_map": {"1": {"2": [region([0, 4], (4, 0))]}},
            "n_shared": 1,
        },
        "net.point": {
            "type": "Conv2d",
            "weight": "net.point.weight",
            "bias": "net.point.bias",
            "tiles_map": {"1": {"1": [region([0, 2], (0, 0))]}},
            "n_shared": 1,
        },
        "n4": {
            "type": "ConvTranspose1d",
            "weight": None,
            "bias": None,
            "tiles_map": {"0": {"2": [region([0, 2], (0, 0))]}},
            "n_shared": 1,
            **rows,
            "column_order": "channel, phase",
        },
        "l": {
            "type": "LSTM",
            "weight": "net.lstm.weight_ih",
            "bias": None,
            "tiles_map": {"0": {"2": [region([0, 4], (2, 0))]}},
            "n_shared": 1,
            "row_order": "input, hidden",
            "column_order": "chunk, gate, unit",
        },
        "l reverse": {
            "type": "LSTM",
            "weight": None,
            "bias": None,
            "tiles_map": {"0": {"2": [region([0, 4], (6, 0))]}},
            "n_shared": 1,
            "row_order": "input, hidden",
            "column_order": "chunk, gate, unit",
        },
        "n6": {
            "type": "Conv2d",
            "weight": None,
            "bias": None,
            "tiles_map": {"0": {"0": [region([0, 3], (0, 0))]}},
            "n_shared": 1,
            **rows,
        },
    }


@pytest.mark.parametrize("other", ["net.fc", "/net/fc/Gemm"])
def test_where_two_layers_would_have_one_name_nodes_give_it(other: str) -> None:
    report = copy.deepcopy(REPORT)
    report["layers"].append(layer(other, "Gemm", [4, 3]))
    report["tiles"].append(tile(other, 11, (0, 4), (0, 0)))
    assert {"/net/fc/MatMul", other} <= exported(report).keys()


def test_a_layer_of_which_nothing_is_known_has_its_name() -> None:
    """Its rows are in the compiler's order, whatever that is."""
    report = {"tiles": [tile("dense", 0, (0, 4), (0, 0))]}
    assert exported(report)["dense"]["row_order"] == "group, kernel, channel"


def change(number: int, **keys: Any) -> Callable[[Data], None]:
    """Other values in a tile."""
    return lambda report: report["tiles"][number].update(keys)


UNSAID: dict[str, tuple[Callable[[Data], None], type[AnaccError], str]] = {
    "no tiles": (lambda report: report["tiles"].clear(), UsageError, "states no tiles"),
    "another chip": (change(2, core="core 1.3"), UsageError, "MatMul` lies on chip 1, and"),
    "copies of rows": (change(3, copies=2), UsageError, "layer `n3` holds its rows 2 times"),
    "a copy": (
        lambda report: report["tiles"].append(tile("n3", 11, (0, 2), (0, 0))),
        UsageError,
        "layer `n3` holds some weights on several crossbars",
    ),
    "a copy by its number": (change(3, replica=1), UsageError, "`n3` holds some weights"),
    "cells in turn": (change(6, row=5), UsageError, "layers `l` and `l reverse` hold the same"),
    "no place": (change(2, core="host 0.0"), ProgramError, "MatMul` lies on no core"),
    "an endless core": (change(2, core=10**12), ProgramError, "MatMul` lies on no core"),
    "a far core": (change(2, core=10**8), ProgramError, "layer `/net/fc/MatMul` is wrong"),
    "no rows": (change(2, weight_rows=None), ProgramError, "a tile of layer `/net/fc/MatMul` is"),
    "other rows": (change(2, rows=5), ProgramError, "`tile_row_region` are of different sizes"),
    "no columns": (change(2, weight_columns=[3, 3]), ProgramError, "`weight_col_region` is empty"),
}


@pytest.mark.parametrize(("damage", "kind", "part"), UNSAID.values(), ids=UNSAID.keys())
def test_what_the_schema_cannot_say_is_refused(
    damage: Callable[[Data], None], kind: type[AnaccError], part: str
) -> None:
    report = copy.deepcopy(REPORT)
    damage(report)
    with pytest.raises(kind, match=part) as caught:
        exported(report)
    assert "\n" not in caught.value.message


def test_a_target_without_a_grid_is_refused() -> None:
    manifest = image().manifest.model_copy(update={"target": {}})
    with pytest.raises(ProgramError, match=r"`grid\.columns` is missing"):
        mapping_of(replace(image(), manifest=manifest, mapping=REPORT))
