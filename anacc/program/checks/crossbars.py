"""Crossbars: programmed blocks fit and are apart, and each MVM stays inside one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.program.checks.fault import place_fault
from anacc.program.isa import TABLE
from anacc.program.model import Code, Operand, Slice, Stream, Unit, UnitKind
from anacc.program.walk import Place, walk
from anacc.targets import Target


@dataclass(frozen=True)
class _Block:
    """Rows [row, row_end) and columns [column, column_end) of a crossbar."""

    row: int
    row_end: int
    column: int
    column_end: int

    @property
    def cells(self) -> tuple[slice, slice]:
        return slice(self.row, self.row_end), slice(self.column, self.column_end)

    def holds(self, other: _Block) -> bool:
        return (
            self.row <= other.row
            and other.row_end <= self.row_end
            and self.column <= other.column
            and other.column_end <= self.column_end
        )


def check_crossbars(code: Code, target: Target) -> None:
    """Program blocks lie inside their crossbar and apart from each other over all streams of a
    round; an MVM uses cells of one block that its own stream has installed before.

    Raises:
        ProgramError: a block or an MVM breaks this.
    """
    shape = target.crossbar.rows.value, target.crossbar.columns.value
    users: dict[tuple[Unit, int], list[int]] = {}
    for position, stream in enumerate(code.streams):
        if stream.unit.kind == UnitKind.CORE.value:
            users.setdefault((stream.unit, stream.round), []).append(position)
    for positions in users.values():
        crossbar = _Crossbar(shape)
        for position in positions:
            crossbar.check(code, position)


class _Crossbar:
    """One crossbar in one round while its streams are checked, one after another.

    `owner` holds for each cell the number of the block that covers it, or -1, so that the time does
    not depend on how many blocks there are.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.owner = np.full(shape, -1, np.int32)
        self.blocks: list[tuple[int, _Block]] = []  # with the position of the stream

    def check(self, code: Code, position: int) -> None:
        """Check a stream, and install its blocks."""
        stream = code.streams[position]
        for place in walk(stream.body):
            reason = None
            if place.instr.op == "program":
                block = _program_block(code, place)
                reason = self._misplaced(block, place)
                if reason is None:
                    self.owner[block.cells] = len(self.blocks)
                    self.blocks.append((position, block))
            elif place.instr.op == "mvm":
                reason = self._unprogrammed(position, stream, place)
            if reason is not None:
                raise place_fault(position, stream, place, reason)

    def _misplaced(self, block: _Block, place: Place) -> str | None:
        rows, columns = self.owner.shape
        if place.loops:
            return "stands inside a loop, but a stream programs a crossbar once"
        if block.row_end > rows or block.column_end > columns:
            return (
                f"ends at row {block.row_end}, column {block.column_end} of a crossbar of {rows} "
                f"rows and {columns} columns"
            )
        if (self.owner[block.cells] >= 0).any():
            return "overlaps another block of the same crossbar and round"
        return None

    def _unprogrammed(self, position: int, stream: Stream, place: Place) -> str | None:
        """Blocks are installed at top level: those that stand before are installed before."""
        operands = _named(place)
        source, destination = operands["src"], operands["dst"]
        if not (isinstance(source, Slice) and isinstance(destination, Slice)):
            return None  # refused when operands were checked
        row, column = _integers(operands, "row", "column")
        used = _Block(row, row + source.length, column, column + destination.length)
        if row < self.owner.shape[0] and column < self.owner.shape[1]:
            number = int(self.owner[row, column])
            if number >= 0:
                owner, block = self.blocks[number]
                if owner == position and block.holds(used):
                    return None
        return (
            f"uses rows {used.row}:{used.row_end} and columns {used.column}:{used.column_end} of "
            f"{stream.unit}, which no block that this stream has programmed before holds"
        )


def _program_block(code: Code, place: Place) -> _Block:
    number, row, column = _integers(_named(place), "weight", "row", "column")
    weight = code.weights[number]
    return _Block(row, row + weight.rows, column, column + weight.columns)


def _named(place: Place) -> dict[str, Operand]:
    declared = TABLE[place.instr.op].operands
    pairs = zip(declared, place.instr.operands, strict=True)
    return {each.name: operand for each, operand in pairs}


def _integers(operands: dict[str, Operand], *names: str) -> list[int]:
    values = [operands[name] for name in names]
    return [value for value in values if isinstance(value, int)]
