"""Where the parts of a layer's matrix lie on crossbars, as a pass or a user settles it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anacc.ir import Op


@dataclass(frozen=True, order=True)
class Region:
    """A part of the matrix of a layer, and its place.

    Attributes:
        rows: (first, last + 1) of the layer's matrix; of a convolution in the order (group, kernel
            position, channel).
        columns: (first, last + 1); output channels, in order.
        crossbar: its number; the core, where a mapping is given by a user.
        row, column: of its first cell on the crossbar.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    crossbar: int
    row: int
    column: int


Regions = Mapping[str, tuple[Region, ...]]
"""The regions of layers, by the name of the layer, which is its first ONNX node."""

ATTRIBUTE = "regions"


def of_layer(op: Op) -> tuple[Region, ...]:
    """The regions that an op of the layer level was given; none: it is cut as usual."""
    return of_attribute(op.nested(ATTRIBUTE))


def of_attribute(regions: Iterable[tuple[int, ...]]) -> tuple[Region, ...]:
    """The inverse of `as_attribute`."""
    return tuple(
        Region((r0, r1), (c0, c1), crossbar, row, column)
        for r0, r1, c0, c1, crossbar, row, column in regions
    )


def of_matrix(op: Op, name: str) -> tuple[Region, ...]:
    """The regions that a matrix of a recurrent op was given, whose attribute holds several."""
    return tuple(
        region
        for each, regions in op.nested(ATTRIBUTE)
        if each == name
        for region in of_attribute(regions)
    )


def as_attribute(regions: Iterable[Region]) -> tuple[tuple[int, ...], ...]:
    """The regions as the attribute of an op, in order of rows, then columns."""
    return tuple(
        (*each.rows, *each.columns, each.crossbar, each.row, each.column)
        for each in sorted(regions)
    )
