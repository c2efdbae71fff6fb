"""Crossbars: programmed blocks fit and are apart, and each MVM stays inside one of them."""

from __future__ import annotations

from dataclasses import dataclass

from anacc.program.checks.fault import place_fault
from anacc.program.isa import TABLE
from anacc.program.model import Code, Operand, Slice, Stream, Unit
from anacc.program.walk import Path, Place, walk
from anacc.targets import Target


@dataclass(frozen=True)
class _Block:
    """Rows [row, row_end) and columns [column, column_end) of a crossbar."""

    row: int
    row_end: int
    column: int
    column_end: int

    def meets(self, other: _Block) -> bool:
        return (
            self.row < other.row_end
            and other.row < self.row_end
            and self.column < other.column_end
            and other.column < self.column_end
        )

    def holds(self, other: _Block) -> bool:
        return (
            self.row <= other.row
            and other.row_end <= self.row_end
            and self.column <= other.column
            and other.column_end <= self.column_end
        )


def check_crossbars(code: Code, target: Target) -> None:
    """Program blocks lie inside their crossbar and apart from each other over all streams; an MVM
    uses cells of one block that its own stream has installed before.

    Raises:
        ProgramError: a block or an MVM breaks this.
    """
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    installed: dict[Unit, list[_Block]] = {}
    for position, stream in enumerate(code.streams):
        own: list[tuple[Path, _Block]] = []
        for place in walk(stream.body):
            if place.instr.op == "program":
                block = _program_block(code, place)
                reason = _misplaced(block, place, installed.get(stream.unit, []), rows, columns)
                installed.setdefault(stream.unit, []).append(block)
                own.append((place.path, block))
            elif place.instr.op == "mvm":
                reason = _unprogrammed(stream, place, own)
            else:
                continue
            if reason is not None:
                raise place_fault(position, stream, place, reason)


def _misplaced(
    block: _Block, place: Place, others: list[_Block], rows: int, columns: int
) -> str | None:
    if place.loops:
        return "stands inside a loop, but a crossbar is programmed once"
    if block.row_end > rows or block.column_end > columns:
        return (
            f"ends at row {block.row_end}, column {block.column_end} of a crossbar of {rows} rows "
            f"and {columns} columns"
        )
    if any(block.meets(other) for other in others):
        return "overlaps another block of the same crossbar"
    return None


def _unprogrammed(stream: Stream, place: Place, own: list[tuple[Path, _Block]]) -> str | None:
    operands = _named(place)
    source, destination = operands["src"], operands["dst"]
    if not (isinstance(source, Slice) and isinstance(destination, Slice)):
        return None  # refused when operands were checked
    row, column = _integers(operands, "row", "column")
    used = _Block(row, row + source.length, column, column + destination.length)
    if any(block.holds(used) for path, block in own if path < place.path):
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
