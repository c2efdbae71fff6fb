"""A schedule as text, for golden files.

An operand is written as the kind and number of its region, then its address: `A3+8+64*i0+2*a1`, i
counting loops and a the axes; `+t2` adds the entry of table 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from anacc_runtime.native.lower import Lowered
from anacc_runtime.native.operations import (
    Body,
    Fill,
    Gather,
    Loop,
    Operand,
    Operation,
    Region,
    Scatter,
    TileCall,
    Vector,
)


def schedule_text(lowered: Lowered) -> str:
    """Regions, tables and groups, a line each."""
    schedule = lowered.schedule
    lines = [
        f"region {number} {region.kind.name.lower()} {region.size} at {region.offset}"
        for number, region in enumerate(schedule.regions)
    ]
    for number, table in enumerate(schedule.tables):
        lines.append(f"table {number} {' '.join(map(str, table.tolist()))}")
    for number, tile in enumerate(lowered.tiles):
        rows, columns = tile.codes.shape
        runs = " ".join(f"{offset}:{offset + length}" for offset, length in tile.runs)
        sign = ", none below 0" if tile.nonnegative else ""
        lines.append(f"tile {number} {rows}x{columns}, input {runs}{sign}")
    for group in schedule.groups:
        lines.append(f"group {list(group.axes)}")
        lines.extend(_body(group.body, "  ", schedule.regions))
    return "\n".join(lines) + "\n"


def _body(body: Body, indent: str, regions: tuple[Region, ...]) -> Iterator[str]:
    for node in body:
        if isinstance(node, Loop):
            yield f"{indent}loop {node.count}"
            yield from _body(node.body, indent + "  ", regions)
        else:
            yield indent + _operation(node, regions)


def _operation(node: Operation, regions: tuple[Region, ...]) -> str:
    def at(operand: Operand | None) -> str:
        return "-" if operand is None else _operand(operand, regions)

    match node:
        case Gather(target, source, dims, element):
            return f"gather {at(target)} = {at(source)} {_dims(dims, element)}"
        case Scatter(target, source, dims, element):
            return f"scatter {at(target)} {_dims(dims, element)} = {at(source)}"
        case Fill(target, size, pattern):
            return f"fill {at(target)} = {size} bytes of {pattern.hex()}"
        case TileCall():
            addends = "".join(f" + {at(addend)}" for addend in node.addends)
            return (
                f"tile {node.tile} value {at(node.value)} codes {at(node.codes)} "
                f"= {at(node.x)}{addends}"
            )
        case Vector():
            sources = ", ".join(map(at, node.sources))
            return f"{node.op} {at(node.target)}{{{node.length}}} = {sources}"


def _operand(operand: Operand, regions: tuple[Region, ...]) -> str:
    kind = {"CONSTANTS16": "C", "CONSTANTS32": "D"}.get(
        name := regions[operand.region].kind.name, name[0]
    )
    text = f"{kind}{operand.region}+{operand.base}"
    text += "".join(f"+{stride}*i{k}" for k, stride in enumerate(operand.loops) if stride)
    text += "".join(f"+{stride}*a{k}" for k, stride in enumerate(operand.axes) if stride)
    return text if operand.table is None else f"{text}+t{operand.table}"


def _dims(dims: tuple[tuple[int, int], ...], element: int) -> str:
    return "{" + ", ".join([*(f"{count}:{stride}" for count, stride in dims), str(element)]) + "}"
