"""The schema of mapping files: what is read, what is refused, what is written."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anacc.errors import MappingError
from anacc.mapping_file import (
    MAX_BYTES,
    first_overlap,
    layer_names,
    layer_type,
    mapping_data,
    mapping_text,
    read_mapping,
)
from tests.performer import PUBLISHED, published

REGION = {
    "tile_col_region": [5, 8],
    "tile_row_region": [0, 4],
    "weight_col_region": [0, 3],
    "weight_row_region": [2, 6],
}
LAYER = {
    "type": "Linear",
    "weight": "fc.weight",
    "bias": "fc.bias",
    "tiles_map": {"0": {"7": [REGION]}},
    "n_shared": 2,
}


def test_a_published_mapping_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(published()))
    found = read_mapping(file)
    assert list(found) == list(PUBLISHED)
    assert mapping_data(found) == published()
    assert json.loads(mapping_text(found)) == published()
    assert read_mapping(published()) == found
    regions = [region for layer in found.values() for region in layer.regions()]
    assert {(row, column) for row, column, _ in regions} == {(0, 0), (1, 0)}


def test_what_is_shared_and_orders_are_kept() -> None:
    layer = {**LAYER, "bias": None, "row_order": "group, kernel, channel"}
    assert mapping_data(read_mapping({"fc": layer})) == {"fc": layer}
    del layer["bias"], layer["n_shared"]
    assert mapping_data(read_mapping({"fc": layer})) == {
        "fc": {**layer, "bias": None, "n_shared": 1}
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """A mapping of one layer with another value at a path; None takes the key away."""
    data: dict[str, Any] = {"fc": copy.deepcopy(LAYER)}
    place: Any = data
    *parts, last = path.split(".")
    for part in parts:
        place = place[int(part) if isinstance(place, list) else part]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return data


HERE = "fc.tiles_map.0.7.0"

WRONG: dict[str, tuple[Any, str]] = {
    "no layers": ({"fc": 3}, "the mapping: layer `fc`: "),
    "no type": (changed("fc.type", None), "layer `fc`: `type`: is missing"),
    "no tiles": (changed("fc.tiles_map", None), "layer `fc`: `tiles_map`: is missing"),
    "unknown key": (changed("fc.colour", "red"), "layer `fc`: `colour`: there is no such key"),
    "a number for a name": (changed("fc.weight", 3), "layer `fc`: `weight`: "),
    "shared by none": (changed("fc.n_shared", 0), "layer `fc`: `n_shared`: "),
    "half a call": (changed("fc.n_shared", 1.5), "layer `fc`: `n_shared`: "),
    "a row that is no number": (changed("fc.tiles_map.a", {}), "`tiles_map.a`: string should"),
    "a negative row": (changed("fc.tiles_map.-1", {}), "`tiles_map.-1`: "),
    "a column with zeros": (changed("fc.tiles_map.0.07", []), "`tiles_map.0.07`: "),
    "an endless column": (changed("fc.tiles_map.0.1234567", []), "`tiles_map.0.1234567`: "),
    "no list": (changed("fc.tiles_map.0.7", {}), "`tiles_map.0.7`: "),
    "unknown key of a region": (changed(f"{HERE}.chip", 0), "`tiles_map.0.7.0.chip`: there is no"),
    "a missing region": (changed(f"{HERE}.tile_row_region", None), "tile_row_region`: is missing"),
    "three ends": (changed(f"{HERE}.tile_row_region", [0, 4, 5]), "tile_row_region`: "),
    "a fraction": (changed(f"{HERE}.tile_row_region.1", 4.0), "tile_row_region.1`: "),
    "a truth": (changed(f"{HERE}.tile_row_region.1", True), "tile_row_region.1`: "),
    "a negative end": (changed(f"{HERE}.tile_row_region.0", -1), "tile_row_region.0`: "),
    "an endless end": (changed(f"{HERE}.tile_row_region.1", 10**400), "tile_row_region.1`: "),
    "nothing": (changed(f"{HERE}.weight_row_region", [4, 4]), "`weight_row_region` is empty"),
    "backwards": (changed(f"{HERE}.weight_col_region", [3, 0]), "`weight_col_region` is empty"),
    "another size": (
        changed(f"{HERE}.tile_col_region", [5, 9]),
        "`weight_col_region` and `tile_col_region` are of different sizes",
    ),
}


@pytest.mark.parametrize(("data", "part"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_mapping_is_refused_in_one_sentence(data: Any, part: str) -> None:
    with pytest.raises(MappingError, match=re.escape(part)) as caught:
        read_mapping(data)
    assert "\n" not in str(caught.value)


DAMAGED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "is not JSON: "),
    "no text": (b"\xff\xfe", "is not JSON: "),
    "depth": (b"[" * 100_000, "is not JSON: it is nested too deeply"),
    "digits": (b"1" * 5000, "is not JSON: "),
    "a list": (b"[]", "must be an object"),
    "a layer twice": (b'{"fc": {}, "fc": {}}', "has the key `fc` twice"),
    "a core twice": (b'{"fc": {"tiles_map": {"0": {}, "0": {}}}}', "has the key `0` twice"),
    "too large": (b" " * (MAX_BYTES + 1), "has more than 64 MiB"),
}


@pytest.mark.parametrize(("content", "part"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_refused_in_one_sentence(
    tmp_path: Path, content: bytes, part: str
) -> None:
    file = tmp_path / "mapping.json"
    file.write_bytes(content)
    with pytest.raises(MappingError, match=re.escape(part)) as caught:
        read_mapping(file)
    assert caught.value.message.startswith(f"mapping file `{file}`")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["no file", "a folder"])
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "absent.json"
    make(file)
    with pytest.raises(MappingError, match=r"absent\.json` cannot be read: "):
        read_mapping(file)


def test_regions_that_share_cells_are_found() -> None:
    apart = read_mapping(
        changed("fc.tiles_map.0.7", [REGION, {**REGION, "tile_col_region": [8, 11]}])
    )
    assert first_overlap(apart, 256, 256) is None
    beside = read_mapping({"a": LAYER, "b": {**LAYER, "tiles_map": {"0": {"6": [REGION]}}}})
    assert first_overlap(beside, 256, 256) is None
    corner = {**REGION, "tile_col_region": [7, 10], "tile_row_region": [3, 7]}
    assert first_overlap(read_mapping(changed("fc.tiles_map.0.7", [REGION, corner])), 8, 10) == (
        "fc",
        "fc",
    )
    both = {"a": LAYER, "b": {**LAYER, "tiles_map": {"0": {"7": [corner]}}}}
    assert first_overlap(read_mapping(both), 8, 10) == ("a", "b")


def test_layers_are_called_by_their_modules() -> None:
    assert layer_names("Gemm_3", "encoder.fc1.weight", "encoder.fc1.bias") == [
        "encoder.fc1",
        "Gemm_3",
    ]
    assert layer_names("/encoder/layers.0/fc1/MatMul", "onnx::MatMul_7") == [
        "encoder.layers.0.fc1",
        "/encoder/layers.0/fc1/MatMul",
    ]
    assert layer_names("/MatMul") == ["/MatMul"]
    assert layer_names("n", "w", "fc.bias") == ["fc", "n"]


def test_layers_have_types() -> None:
    assert layer_type("MatMul", 0) == "Linear"
    assert layer_type("QLinearConv", 2) == "Conv2d"
    assert layer_type("ConvTranspose", 1) == "ConvTranspose1d"
    assert layer_type("LSTM", 0) == "LSTM"
    assert layer_type("com.microsoft.DynamicQuantizeLSTM", 0) == "LSTM"
