"""What is programmed on the crossbar of a stream."""

from __future__ import annotations

from dataclasses import dataclass

from anacc.errors import ProgramError
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
        """This region as indices into the array of `outer`, which contains it."""
        row, column = self.row - outer.row, self.column - outer.column
        return slice(row, row + self.rows), slice(column, column + self.columns)


class Crossbar:
    """The weight blocks that a stream has programmed; a stream sees no others."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, Region]] = []

    def program(self, image: Image, weight: int, row: int, column: int) -> None:
        """Install a block; the loader has checked that it meets no other."""
        shape = image.code.weights[weight]
        self._blocks.append((weight, Region(row, column, shape.rows, shape.columns)))

    def codes(self, image: Image, region: Region) -> Int8Array:
        """The codes of a region, (rows, columns) int8.

        Raises:
            ProgramError: no single block contains it.
        """
        for weight, block in self._blocks:
            if block.contains(region):
                return image.weights[weight][region.within(block)]
        raise ProgramError(f"no block on the crossbar contains {region}")
