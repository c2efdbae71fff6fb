"""A program's mapping in the schema of published HERMES mappings; see `anacc.mapping_file`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from anacc.errors import ProgramError, UsageError
from anacc.mapping_file import (
    RECURRENT,
    RECURRENT_COLUMNS,
    RECURRENT_ROWS,
    ROW_ORDER,
    TRANSPOSED_COLUMNS,
    MappedLayer,
    MappedRegion,
    MappingFile,
    first_overlap,
    layer_names,
    layer_type,
)
from anacc.program.image import Image
from anacc.reports.mapping import report

_CONVOLUTIONS = ("Conv", "ConvInteger", "ConvTranspose", "QLinearConv")
_DIGITS = 9
"""Of the number of a core at most."""

_Entry = Mapping[str, Any]


def mapping_of(image: Image) -> MappingFile:
    """Where the matrices of all layers of a program lie.

    Args:
        image: the program; all comes from its mapping report, and its weights are not read.

    Returns:
        the layers in order, by the name of their module where the model tells it, else of their
        node; no layer's cells are shared by several calls: `n_shared` is 1.

    Raises:
        UsageError: the schema cannot say how the program uses crossbars.
        ProgramError: what the mapper wrote down cannot be.
    """
    made = report(image)
    if not made["tiles"]:
        raise UsageError("the program states no tiles in its mapping report", "compile it again")
    known = {layer.get("name"): layer for layer in made["layers"]}
    tiles: dict[str, list[_Entry]] = defaultdict(list)
    for tile in made["tiles"]:
        tiles[tile.get("layer") or ""].append(tile)
    layers = {name: known.get(name) or {} for name in tiles}
    width = _figure(image, "grid", "columns")
    labels = _labels(layers)
    found = {
        labels[name]: _layer(name, layers[name], members, width) for name, members in tiles.items()
    }
    overlap = first_overlap(
        found, _figure(image, "crossbar", "rows"), _figure(image, "crossbar", "columns")
    )
    if overlap is not None:
        raise UsageError(
            f"layers `{overlap[0]}` and `{overlap[1]}` hold the same cells one after the other, "
            "and a mapping file says only which layer holds a cell",
            "compile the model for more chips instead of reloading one",
        )
    return found


def _figure(image: Image, section: str, name: str) -> int:
    """A count of the target's, which `report` has checked to be an integer or absent."""
    value = ((image.manifest.target.get(section) or {}).get(name) or {}).get("value")
    if not value:
        raise ProgramError(f"target in program: `{section}.{name}` is missing")
    return int(value)


def _labels(layers: Mapping[str, _Entry]) -> dict[str, str]:
    """What each layer is called in the file: by its module, unless others are called so too."""
    wanted = {}
    for name, layer in layers.items():
        node = (layer.get("nodes") or [name])[0]
        parameters = layer.get("weight") or "", layer.get("bias") or ""
        # Parts of one layer, such as the directions of a recurrent one, have names of their own.
        wanted[name] = (layer_names(name, *parameters) or [name])[0] if node == name else name
    taken = Counter[str]()
    for name, label in wanted.items():
        taken.update({name, label})
    return {name: label if taken[label] == 1 else name for name, label in wanted.items()}


def _layer(name: str, layer: _Entry, tiles: Sequence[_Entry], width: int) -> MappedLayer:
    """The entry of a layer.

    Args:
        name: of the layer.
        layer: its entry in the report.
        tiles: its tiles.
        width: columns of the grid.
    """
    places: dict[tuple[int, int], list[MappedRegion]] = defaultdict(list)
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for tile in tiles:
        region = _region(name, tile)
        weights = region.weight_row_region, region.weight_col_region
        if weights in seen or tile.get("replica"):
            raise UsageError(
                f"layer `{name}` holds some weights on several crossbars, and a mapping file knows "
                "one place for each",
                "compile it without copies: `--optimize area`",
            )
        seen.add(weights)
        places[divmod(_core(name, tile.get("core")), width)].append(region)
    tiles_map: dict[str, dict[str, list[MappedRegion]]] = {}
    for (row, column), regions in sorted(places.items()):
        tiles_map.setdefault(str(row), {})[str(column)] = regions
    operator = layer.get("operator") or ""
    shape, group = layer.get("weight_shape") or [], layer.get("groups") or 1
    spatial = len(shape) - 2 if operator in _CONVOLUTIONS else 0
    is_plain = group == 1 and all(size == 1 for size in shape[2:]) and bool(operator)
    rows = None if is_plain else ROW_ORDER
    columns = TRANSPOSED_COLUMNS if operator == "ConvTranspose" else None
    kind = layer_type(operator, spatial)
    if kind in RECURRENT:
        rows, columns = RECURRENT_ROWS, RECURRENT_COLUMNS
    try:
        return MappedLayer(
            type=kind,
            weight=layer.get("weight"),
            bias=layer.get("bias"),
            tiles_map=tiles_map,
            n_shared=1,
            row_order=rows,
            column_order=columns,
        )
    except ValidationError as error:
        raise _wrong(f"layer `{name}`", error) from None


def _region(name: str, tile: _Entry) -> MappedRegion:
    if (tile.get("copies") or 1) > 1:
        raise UsageError(
            f"a tile of layer `{name}` holds its rows {tile['copies']} times, and a mapping file "
            "knows one place for each weight",
            "compile the model with `--row-copies never`",
        )
    row, column = tile.get("row") or 0, tile.get("column") or 0
    try:
        return MappedRegion(
            tile_row_region=(row, row + (tile.get("rows") or 0)),
            tile_col_region=(column, column + (tile.get("columns") or 0)),
            weight_row_region=tuple(tile.get("weight_rows") or ()),
            weight_col_region=tuple(tile.get("weight_columns") or ()),
        )
    except ValidationError as error:
        raise _wrong(f"a tile of layer `{name}`", error) from None


def _wrong(what: str, error: ValidationError) -> ProgramError:
    reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return ProgramError(f"mapping report: {what} is wrong: {reason[:1].lower()}{reason[1:]}")


def _core(name: str, core: Any) -> int:
    """The number of a core, `core 0.12` or 12."""
    chip, _, number = str(core).removeprefix("core ").rpartition(".")
    if not (number.isdecimal() and (not chip or chip.isdecimal()) and len(number) <= _DIGITS):
        raise ProgramError(f"mapping report: a tile of layer `{name}` lies on no core")
    if chip not in ("", "0"):
        raise UsageError(
            f"layer `{name}` lies on chip {chip}, and a mapping file knows the cores of one chip",
            "compile the model for one chip",
        )
    return int(number)
