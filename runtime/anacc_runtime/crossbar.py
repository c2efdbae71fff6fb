"""What is programmed on the crossbar of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Int8Array


@dataclass(frozen=True)
class Region:
    """Rows [row, row + rows) and columns [column, column + columns) of a crossbar."""

    row: int
    column: int
    rows: int
    columns: int

    def contains(self, other: Region) -> bool:
        """Whether all cells of `other` lie inside."""
        return (
            self.row <= other.row
            and self.column <= other.column
            and other.row + other.rows <= self.row + self.rows
            and other.column + other.columns <= self.column + self.columns
        )

    def within(self, outer: Region) -> tuple[slice, slice]:
        """The part of `outer` that lies inside this region, as indices into the array of `outer`;
        empty slices where they have no cell in common."""
        return (
            _span(self.row - outer.row, self.rows, outer.rows),
            _span(self.column - outer.column, self.columns, outer.columns),
        )


@dataclass(frozen=True)
class Crossbar:
    """The weight blocks on a crossbar, as (weight, region), in the order of programming.

    A stream sees what it programmed itself.  The crossbar is a value, so that what is computed from
    its contents can be kept under it.
    """

    blocks: tuple[tuple[int, Region], ...] = ()

    def program(self, image: Image, weight: int, row: int, column: int) -> Crossbar:
        """The crossbar after a block was installed; blocks that it covers are gone."""
        shape = image.code.weights[weight]
        region = Region(row, column, shape.rows, shape.columns)
        kept = tuple(block for block in self.blocks if not region.contains(block[1]))
        return Crossbar((*kept, (weight, region)))

    def codes(self, image: Image, region: Region) -> Int8Array:
        """The codes of a region, (rows, columns) int8; cells that no block covers are zero."""
        if self.blocks and self.blocks[-1][1].contains(region):
            weight, block = self.blocks[-1]
            return image.weights[weight][region.within(block)]
        codes = np.zeros((region.rows, region.columns), np.int8)
        for weight, block in self.blocks:
            codes[block.within(region)] = image.weights[weight][region.within(block)]
        return codes


def _span(start: int, length: int, size: int) -> slice:
    """[start, start + length) cut to [0, size)."""
    first = min(max(start, 0), size)
    return slice(first, max(first, min(start + length, size)))
