"""How the matrix of a layer is cut: blocks, and in each the columns of tiles.

A block has rows and columns of its own: the whole matrix, or the groups of a grouped layer that lie
along the diagonal of one.  It falls into columns of tiles, whose row tiles add up through partial
sums.  Within one column of tiles, each row tile may be cut between other columns than the one above
it; its partial sums are then regrouped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from anacc.errors import IrError
from anacc_passes.packing.regions import Region
from anacc_passes.tiling.builder import balanced, bounds
from anacc_passes.tiling.matrix import FloatArray, Piece

Span = tuple[int, int]
"""(first, last + 1)."""


@dataclass(frozen=True)
class ColumnOfTiles:
    """Columns of a matrix that no row tile shares with others.

    Attributes:
        columns: of the layer's matrix.
        pieces: of each row tile, in ascending order, the pieces that it is cut into.
    """

    columns: Span
    pieces: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True)
class Block:
    """A dense or block-diagonal part of the layer's matrix that has rows and columns of its own.

    Attributes:
        rows: of the window vector.
        columns: of the output channels.
        weight: shape (rows, columns).
        row_tiles: rows of each row tile, in ascending order.
        columns_of_tiles: in ascending order.
        diagonal: how many groups lie along its diagonal; the other cells are unused.
    """

    rows: Span
    columns: Span
    weight: FloatArray
    row_tiles: tuple[Span, ...]
    columns_of_tiles: tuple[ColumnOfTiles, ...]
    diagonal: int = 1


class Matrix:
    """The matrix of a layer, group by group.

    Args:
        weight: shape (M, C/group, *K).
        group: number of groups.

    Attributes:
        group: number of groups.
        rows, columns: of the matrix of one group.
    """

    def __init__(self, weight: FloatArray, group: int) -> None:
        outputs = weight.shape[0]
        # (M, C/group, *K) -> (M, *K, C/group) -> (M, rows of a group)
        self._flat = np.moveaxis(weight, 1, -1).reshape(outputs, -1)
        self._dtype = weight.dtype
        self.group = group
        self.rows, self.columns = self._flat.shape[1], outputs // group

    def groups(self, first: int, last: int) -> FloatArray:
        """Groups [first, last) along the diagonal of a matrix."""
        if last - first == 1:
            return self._flat[first * self.columns : last * self.columns].T
        count = last - first
        diagonal = np.zeros((count * self.rows, count * self.columns), self._dtype)
        for position, g in enumerate(range(first, last)):
            r, c = position * self.rows, position * self.columns
            part = self._flat[g * self.columns : (g + 1) * self.columns].T
            diagonal[r : r + self.rows, c : c + self.columns] = part
        return diagonal


def groups_together(group_rows: int, group_columns: int, rows: int, columns: int) -> int:
    """How many groups fit along the diagonal of a crossbar; 0 if one does not."""
    return min(rows // group_rows, columns // group_columns)


def blocks(weight: FloatArray, group: int, rows: int, columns: int) -> list[Block]:
    """Cut the matrix of a layer into as few tiles as can be, of nearly equal size.

    Groups that fit share a tile along its diagonal, as many as its rows and columns hold; a group
    that does not fit is a matrix of its own.

    Args:
        weight: shape (M, C/group, *K).
        group: number of groups.
        rows: of a crossbar.
        columns: of a crossbar.
    """
    matrix = Matrix(weight, group)
    together = groups_together(matrix.rows, matrix.columns, rows, columns) if group > 1 else 0
    found = []
    for first, last in bounds(balanced(group, max(together, 1))):
        part = matrix.groups(first, last)
        top, left = first * matrix.rows, first * matrix.columns
        spans = _shifted(bounds(balanced(part.shape[1], columns)), left)
        tiles = tuple(_shifted(bounds(balanced(part.shape[0], rows)), top))
        found.append(
            Block(
                (top, top + part.shape[0]),
                (left, left + part.shape[1]),
                part,
                tiles,
                tuple(ColumnOfTiles(span, ((Piece(span),),) * len(tiles)) for span in spans),
                last - first,
            )
        )
    return found


def _shifted(spans: Iterable[Span], by: int) -> list[Span]:
    return [(first + by, last + by) for first, last in spans]


def blocks_of_regions(weight: FloatArray, group: int, regions: Sequence[Region]) -> list[Block]:
    """The blocks of a layer whose regions are settled.

    Args:
        weight: shape (M, C/group, *K).
        group: number of groups.
        regions: cover each group's matrix exactly once.

    Raises:
        IrError: if they do not, or cut rows between different groups.
    """
    matrix = Matrix(weight, group)
    found = []
    for first, last, members in _components(matrix, regions):
        top, left = first * matrix.rows, first * matrix.columns
        span = (left, last * matrix.columns)
        rows = sorted({region.rows for region in members})
        by_rows = [sorted(r.columns for r in members if r.rows == each) for each in rows]
        if not (
            _covers(rows, (top, last * matrix.rows)) and all(_covers(c, span) for c in by_rows)
        ):
            raise IrError(f"the regions of groups {first} to {last - 1} do not cover their matrix")
        places = {(region.rows, region.columns): region for region in members}
        # Cuts that all row tiles have in common divide the block.
        common = sorted(set.intersection(*({b for _, b in columns} for columns in by_rows)))
        columns_of_tiles = [
            ColumnOfTiles(
                (begin, end),
                tuple(
                    tuple(
                        Piece(each, places[tile, each])
                        for each in columns
                        if begin <= each[0] and each[1] <= end
                    )
                    for tile, columns in zip(rows, by_rows, strict=True)
                ),
            )
            for begin, end in zip([left, *common], common, strict=False)
        ]
        found.append(
            Block(
                (top, last * matrix.rows),
                span,
                matrix.groups(first, last),
                tuple(rows),
                tuple(columns_of_tiles),
                last - first,
            )
        )
    return found


def _components(matrix: Matrix, regions: Sequence[Region]) -> list[tuple[int, int, list[Region]]]:
    """Regions by the groups (first, last + 1) whose rows or columns they share."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(matrix.group))
    for region in regions:
        used = {region.columns[0] // matrix.columns, (region.columns[1] - 1) // matrix.columns}
        used |= {region.rows[0] // matrix.rows, (region.rows[1] - 1) // matrix.rows}
        nx.add_path(graph, range(min(used), max(used) + 1))
    found = []
    for component in nx.connected_components(graph):
        first, last = min(component), max(component) + 1
        left, right = first * matrix.columns, last * matrix.columns
        members = [each for each in regions if left <= each.columns[0] < right]
        found.append((first, last, members))
    return sorted(found, key=lambda each: each[:2])


def _covers(spans: Sequence[Span], whole: Span) -> bool:
    """Whether spans, in order, follow each other from one end of `whole` to the other."""
    ends = [whole[0], *(last for _, last in spans)]
    return bool(spans) and ends[-1] == whole[1] and [a for a, _ in spans] == ends[:-1]
