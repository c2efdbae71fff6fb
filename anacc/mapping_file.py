"""Mapping files: which part of which layer's matrix lies where on which core, as JSON.

The schema is that of the mappings that IBM published for HERMES [1]_, with a few optional keys
more; docs/mapping-file.md describes it for users::

    file   = {layer name: layer}
    layer  = {"type", "weight", "bias", "tiles_map": {"r": {"c": [region]}}, "n_shared"}
    region = {"tile_row_region", "tile_col_region", "weight_row_region", "weight_col_region"}

r and c are the row and the column of a core in the grid.  A region is a pair (first, last + 1):
rows are inputs and columns are outputs, of the crossbar and of the layer's matrix.

References:
    .. [1] https://github.com/IBM/kernel-approximation-using-analog-in-memory-computing,
       imka-lra/resources/hermes_mappings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from anacc.errors import MappingError
from anacc.files import open_regular

MAX_BYTES = 2**26
"""Of a file: some 100,000 regions."""

ROW_ORDER = "group, kernel, channel"
"""The rows of a convolution: all kernel positions of a group, of each all channels of the group."""
RECURRENT_ROWS = "input, hidden"
"""The rows of a recurrent layer: its inputs, then its hidden states."""
RECURRENT_COLUMNS = "chunk, gate, unit"
"""The columns of a recurrent layer: chunks of hidden units, of each gate after gate."""
TRANSPOSED_COLUMNS = "channel, phase"
"""The columns of a transposed convolution: of each channel all outputs of one input position."""

RECURRENT = ("GRU", "LSTM", "RNN")

_Index = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
_Span = Annotated[tuple[_Index, _Index], Field(strict=False)]
_Place = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,5})$")]
_Text = Annotated[str, Field(max_length=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class MappedRegion(_Part):
    """A part of a layer's matrix, and the cells that hold it; each pair is (first, last + 1)."""

    tile_col_region: _Span
    tile_row_region: _Span
    weight_col_region: _Span
    weight_row_region: _Span

    @model_validator(mode="after")
    def _of_one_size(self) -> MappedRegion:
        for axis in ("row", "col"):
            first, last = getattr(self, f"weight_{axis}_region")
            top, bottom = getattr(self, f"tile_{axis}_region")
            if first >= last:
                raise ValueError(f"`weight_{axis}_region` is empty")
            if last - first != bottom - top:
                raise ValueError(
                    f"`weight_{axis}_region` and `tile_{axis}_region` are of different sizes"
                )
        return self


class MappedLayer(_Part):
    """A layer.

    Attributes:
        type: `Linear`, `Conv2d`, ...
        weight, bias: names of its parameters.
        tiles_map: regions by row and column of their core in the grid.
        n_shared: how many calls of the layer share the cells.
        row_order, column_order: what the rows and columns of the matrix are, where they are not
            those of a plain product; see `ROW_ORDER`.
    """

    type: _Text
    weight: _Text | None = None
    bias: _Text | None = None
    tiles_map: dict[_Place, dict[_Place, list[MappedRegion]]]
    n_shared: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    row_order: _Text | None = None
    column_order: _Text | None = None

    def regions(self) -> Iterator[tuple[int, int, MappedRegion]]:
        """All regions, each with the row and the column of its core."""
        for row, columns in self.tiles_map.items():
            for column, regions in columns.items():
                for region in regions:
                    yield int(row), int(column), region


MappingFile = Mapping[str, MappedLayer]
"""Layers by name."""

_FILE: TypeAdapter[dict[str, MappedLayer]] = TypeAdapter(dict[_Text, MappedLayer])


def layer_type(operator: str, spatial: int) -> str:
    """The type of a layer.

    Args:
        operator: ONNX operator.
        spatial: axes of a kernel, 0 where the operator is no convolution.
    """
    for kind in RECURRENT:
        if operator.endswith(kind):  # DynamicQuantizeLSTM
            return kind
    if operator == "ConvTranspose":
        return f"ConvTranspose{spatial}d"
    return f"Conv{spatial}d" if spatial else "Linear"


def layer_names(node: str, weight: str = "", bias: str = "") -> list[str]:
    """What a layer may be called, the name that PyTorch gives its module first, the node's last.

    Args:
        node: name of the ONNX node; PyTorch writes the path of the module: `/encoder/fc1/MatMul`.
        weight, bias: names of its initialisers, such as `encoder.fc1.weight`, "" for none.
    """
    stems = [
        name.removesuffix(end)
        for name, end in ((weight, ".weight"), (bias, ".bias"))
        if name.endswith(end)
    ]
    path = [".".join(node.split("/")[1:-1])] if node.startswith("/") else []
    return [name for name in dict.fromkeys((*stems, *path, node)) if name]


def read_mapping(source: str | os.PathLike[str] | Mapping[str, Any]) -> MappingFile:
    """Read a mapping.

    Args:
        source: path of a JSON file, or what such a file holds.

    Raises:
        MappingError: the file cannot be read, or is no mapping; the sentence names the layer.
    """
    if isinstance(source, Mapping):
        return _validated(dict(source), "the mapping")
    label = f"mapping file `{os.fspath(source)}`"
    return _validated(_json(_bytes(Path(source), label), label), label)


def first_overlap(mapping: MappingFile, rows: int, columns: int) -> tuple[str, str] | None:
    """The names of two layers, or of one twice, that have a cell in common.

    The time is that of painting each cell of each core once.

    Args:
        mapping: its regions lie inside their crossbars.
        rows, columns: of a crossbar.
    """
    cores: dict[tuple[int, int], list[tuple[str, MappedRegion]]] = {}
    for name, layer in mapping.items():
        for row, column, region in layer.regions():
            cores.setdefault((row, column), []).append((name, region))
    for members in cores.values():
        owner = np.full((rows, columns) if len(members) > 1 else (0, 0), -1, np.int32)
        for number, (name, region) in enumerate(members):
            cells = owner[slice(*region.tile_row_region), slice(*region.tile_col_region)]
            other = int(cells.max(initial=-1))
            if other >= 0:
                return members[other][0], name
            cells[:] = number
    return None


def mapping_text(mapping: MappingFile) -> str:
    """A mapping as the text of a JSON file."""
    return json.dumps(mapping_data(mapping), indent=4) + "\n"


def mapping_data(mapping: MappingFile) -> dict[str, Any]:
    """A mapping as JSON data; keys that published files lack are left out where they are None."""
    return {name: _layer_data(layer) for name, layer in mapping.items()}


def _layer_data(layer: MappedLayer) -> dict[str, Any]:
    data = layer.model_dump(mode="json")
    return {k: v for k, v in data.items() if v is not None or k in ("weight", "bias")}


def _bytes(path: Path, label: str) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MappingError(f"{label} cannot be read: {reason.lower()}") from None
    if len(data) > MAX_BYTES:
        raise MappingError(f"{label} has more than {MAX_BYTES // 2**20} MiB")
    return data


def _json(data: bytes, label: str) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_distinct)
    except MappingError as error:
        raise MappingError(f"{label} {error.message}") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MappingError(f"{label} is not JSON: {reason}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, none of whose keys may be lost."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise MappingError(f"has the key `{key}` twice in one object")
        found[key] = value
    return found


_WORDS = {
    "dict_type": "must be an object, `{...}`",
    "model_type": "must be an object, `{...}`",
    "list_type": "must be a list, `[...]`",
    "missing": "is missing",
    "extra_forbidden": "there is no such key",
}
"""What is said of a problem instead of pydantic's words, by its type."""


def _validated(data: Any, label: str) -> MappingFile:
    try:
        return _FILE.validate_python(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        layer, *place = [str(part) for part in problem["loc"] if part != "[key]"] or [""]
        reason = _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        reason = reason.replace("Input should be", "must be")
        what = [label]
        if layer:
            what.append(f"layer `{layer}`")
        if place:
            what.append(f"`{'.'.join(place)}`")
        raise MappingError(f"{': '.join(what)}: {reason[:1].lower()}{reason[1:]}") from None
