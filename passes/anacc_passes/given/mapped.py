"""A mapping file, checked against model and target: the regions that it gives layers.

1. Each layer of the file is one of the model's: see `matching`.
2. Its rows and columns are counted as the compiler counts them.
3. Its regions lie inside the crossbars of cores that the target has.
4. They cover the matrix exactly once: rows are cut first, because all columns of a row tile are
   driven alike, and the columns of each row tile have cuts of their own.  Of a grouped layer, only
   the blocks on the diagonal exist; groups that a region joins are one block.
5. No cell of a core is in two regions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anacc.errors import MappingError
from anacc.ir import Module
from anacc.ir.cells import CELLS
from anacc.mapping_file import (
    RECURRENT_COLUMNS,
    RECURRENT_ROWS,
    ROW_ORDER,
    TRANSPOSED_COLUMNS,
    MappedLayer,
    MappedRegion,
    MappingFile,
    first_overlap,
    layer_type,
)
from anacc.targets import Target
from anacc_passes.given.gate_matrices import gate_matrices
from anacc_passes.given.matching import Layer, match
from anacc_passes.packing.regions import Region, Regions

Span = tuple[int, int]

_CUTS = "give regions that share rows the same ones, and cover the columns of each row tile once"


@dataclass(frozen=True)
class Matrix:
    """The matrix of a layer: `group` blocks of `rows` x `columns` along its diagonal.

    Attributes:
        kernel: elements of the kernel, 1 for a product.
        spatial: axes of the kernel, 0 for a product.
    """

    rows: int
    columns: int
    group: int
    kernel: int
    spatial: int

    @property
    def is_plain(self) -> bool:
        """Whether its rows are the inputs in their own order."""
        return self.group == 1 and self.kernel == 1


def regions_of(mapping: MappingFile, module: Module, target: Target) -> Regions:
    """The regions of the layers that a mapping file names.

    Args:
        mapping: the file.
        module: of the layer level.
        target: the chip; crossbars are numbered as its cores.

    Returns:
        by name of the layer, the regions in order of rows, then columns.

    Raises:
        MappingError: the file does not fit the model or the target; the sentence names the layer.
    """
    found: dict[str, tuple[Region, ...]] = {}
    for name, layer in match(mapping, module).items():
        matrix = matrix_of(module, layer)
        _check_orders(name, mapping[name], layer, matrix)
        regions = [
            _region(name, row, column, region, target)
            for row, column, region in mapping[name].regions()
        ]
        check_cover(name, regions, matrix)
        found[layer.name] = tuple(sorted(regions))
    size = target.crossbar.rows.value, target.crossbar.columns.value
    overlap = first_overlap(mapping, *size)
    if overlap is not None:
        raise MappingError(
            f"layers `{overlap[0]}` and `{overlap[1]}` of the mapping have cells in common"
            if overlap[0] != overlap[1]
            else f"two regions of layer `{overlap[0]}` of the mapping have cells in common"
        )
    return found


def matrix_of(module: Module, layer: Layer) -> Matrix:
    """The matrix of a layer on crossbars."""
    if layer.op.kind in CELLS:
        return Matrix(*gate_matrices(module, layer.op)[layer.name], group=1, kernel=1, spatial=0)
    shape = module.tensor(layer.op.operands[1]).dims
    group = layer.op.integer("group")
    return Matrix(
        math.prod(shape[1:]), shape[0] // group, group, math.prod(shape[2:]), len(shape) - 2
    )


def _check_orders(name: str, entry: MappedLayer, layer: Layer, matrix: Matrix) -> None:
    """The file must know the order of rows and columns, where that is the compiler's own."""
    is_recurrent = layer.op.kind in CELLS
    operator = layer.op.kind.upper() if is_recurrent else layer.parameters.operator
    known = layer_type(operator, matrix.spatial if not operator or "Conv" in operator else 0)
    same = "Linear" if matrix.is_plain and "Transpose" not in known else known
    rows = None if matrix.is_plain else ROW_ORDER
    columns = TRANSPOSED_COLUMNS if operator == "ConvTranspose" else None
    if is_recurrent:
        same, rows, columns = known, RECURRENT_ROWS, RECURRENT_COLUMNS
    if entry.type not in (known, same):
        raise MappingError(
            f"layer `{name}` of the mapping is of type `{entry.type}`, and node `{layer.name}` of "
            f"the model is a `{known}`"
        )
    for axis, stated, wanted in (
        ("row", entry.row_order, rows),
        ("column", entry.column_order, columns),
    ):
        if stated == wanted or axis == "row" and wanted is None and stated == ROW_ORDER:
            continue
        said = f"`{stated}`" if stated is not None else "not stated"
        must = f'"{axis}_order": "{wanted}"' if wanted is not None else f"no `{axis}_order`"
        raise MappingError(
            f"the order of the {axis}s of layer `{name}` in the mapping is {said}, and its matrix "
            f"has {'one of its own' if wanted is not None else 'the plain one'}",
            f"count `weight_{axis[:3]}_region` so, and state {must}",
        )


def _region(name: str, row: int, column: int, region: MappedRegion, target: Target) -> Region:
    try:
        core = target.core_at(row, column)
    except IndexError:
        raise MappingError(
            f"layer `{name}` of the mapping lies on the core in row {row}, column {column}, and "
            f"target `{target.chip.name.value}` has {target.grid.rows.value} x "
            f"{target.grid.columns.value} cores"
        ) from None
    size = target.crossbar.rows.value, target.crossbar.columns.value
    ends = region.tile_row_region[1], region.tile_col_region[1]
    if ends[0] > size[0] or ends[1] > size[1]:
        raise MappingError(
            f"layer `{name}` of the mapping reaches row {ends[0]}, column {ends[1]} of core {core},"
            f" whose crossbar has {size[0]} x {size[1]} cells"
        )
    return Region(
        region.weight_row_region,
        region.weight_col_region,
        core,
        region.tile_row_region[0],
        region.tile_col_region[0],
    )


def check_cover(name: str, regions: Sequence[Region], matrix: Matrix) -> None:
    """Refuse regions that do not cover a matrix as rule 4 says.

    Args:
        name: of the layer in the file.
        regions: not empty.
        matrix: of the layer.

    Raises:
        MappingError: naming rows and columns that lie nowhere or twice.
    """
    height, width = matrix.group * matrix.rows, matrix.group * matrix.columns
    touched: list[tuple[Span, Region]] = []
    for region in regions:
        if region.rows[1] > height or region.columns[1] > width:
            raise MappingError(
                f"layer `{name}` of the mapping has rows {_text(region.rows)} and columns "
                f"{_text(region.columns)}, and its matrix is {height} x {width}"
            )
        first = min(region.rows[0] // matrix.rows, region.columns[0] // matrix.columns)
        last = max((region.rows[1] - 1) // matrix.rows, (region.columns[1] - 1) // matrix.columns)
        touched.append(((first, last + 1), region))
    end = 0
    for (first, last), members in _blocks(touched):
        if first > end:
            break
        rows = first * matrix.rows, last * matrix.rows
        columns = first * matrix.columns, last * matrix.columns
        by_rows: dict[Span, list[Span]] = defaultdict(list)
        for region in members:
            by_rows[region.rows].append(region.columns)
        _check_partition(name, sorted(by_rows), rows, "rows")
        for strip, spans in by_rows.items():
            _check_partition(name, sorted(spans), columns, f"rows {_text(strip)}, columns")
        end = last
    if end < matrix.group:
        columns = end * matrix.columns, (end + 1) * matrix.columns
        raise MappingError(f"layer `{name}` of the mapping has columns {_text(columns)} nowhere")


def _blocks(touched: Sequence[tuple[Span, Region]]) -> Iterator[tuple[Span, list[Region]]]:
    """The regions by the groups, (first, last + 1), that they share rows or columns of."""
    span, members = (0, 0), list[Region]()
    for (first, last), region in sorted(touched):
        if members and first >= span[1]:
            yield span, members
            members = []
        span = (first, last) if not members else (span[0], max(span[1], last))
        members.append(region)
    if members:
        yield span, members


def _check_partition(name: str, spans: Sequence[Span], whole: Span, what: str) -> None:
    """The spans, in order, must cover the whole once."""
    end = whole[0]
    for first, last in spans:
        if first == end:
            end = last
            continue
        if first > end:
            fault = f"{_text((end, first))} nowhere"
        else:
            fault = f"{_text((first, min(end, last)))} twice"
        raise MappingError(f"layer `{name}` of the mapping has {what} {fault}", _CUTS)
    if end != whole[1]:
        raise MappingError(
            f"layer `{name}` of the mapping has {what} {_text((end, whole[1]))} nowhere", _CUTS
        )


def _text(span: Span) -> str:
    return f"{span[0]}:{span[1]}"
