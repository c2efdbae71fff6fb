"""Every multiply-accumulate of a layer is done exactly once, as far as the program alone can tell.

Property: each cell of a layer's matrix that any tile holds is multiplied equally often per sample,
once for each position, whether by one tile or by copies that share the positions; rows use either
the same columns or none in common (groups), and no row or column is left out.  Tiles add partial
sums of the same columns and positions, each once.

Argument: the rows and columns at which tiles begin and end cut the matrix into rectangles whose
cells are alike; the products of the tiles are added up for each of them.  That the right elements
meet these rows, that partial sums of cut columns come together again, and that copies of a layer
serve each position once, follows with the model, from `flow`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.verification.faults import Findings
from anacc.verification.partial_sums import PartialSums
from anacc.verification.structure import Ends, integer, named, steps

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A stream that multiplies with one weight block.

    Attributes:
        stream: its number.
        layer, rows, columns: what the program states of its block.
        products: how often it multiplies per sample.
        adds: channels of what it adds to its product.
    """

    stream: int
    layer: str
    rows: Span
    columns: Span
    products: int
    adds: tuple[int, ...]


def tiles(image: Image, ends: Ends, findings: Findings) -> list[Tile]:
    """All tiles of a program."""
    stated: list[dict[str, Any]] = image.origin.get("weights", [])
    found: list[Tile] = []
    users: set[int] = set()
    for number, stream in enumerate(image.code.streams):
        flat = list(steps(stream.body))
        for step in flat:
            if step.instr.op == "program":
                users.add(integer(step.instr, "weight"))
        blocks = [integer(step.instr, "weight") for step in flat if step.instr.op == "program"]
        if len(blocks) != 1 or blocks[0] >= len(stated):
            if any(step.instr.op == "mvm" for step in flat):
                findings.unproven.append(
                    f"{named(image, number)}: which part of which layer it holds is not stated"
                )
            continue
        products = sum(step.executions for step in flat if step.instr.op == "mvm")
        adds = tuple(
            channel
            for way, channel in ends.moves[number]
            if way == "recv" and image.code.channels[channel].format.value == "f16"
        )
        each = stated[blocks[0]]
        found.append(
            Tile(number, each["layer"], tuple(each["rows"]), tuple(each["columns"]), products, adds)
        )
    for block in range(len(image.code.weights)):
        if block not in users:
            layer = stated[block]["layer"] if block < len(stated) else "?"
            findings.fault(
                "coverage", f"weight block {block} of layer `{layer}` is installed on no crossbar"
            )
    return found


def check_coverage(image: Image, ends: Ends, findings: Findings) -> list[Tile]:
    """Check all layers; returns their tiles."""
    found = tiles(image, ends, findings)
    sums = PartialSums(image, ends)
    layers: dict[str, list[Tile]] = {}
    for tile in found:
        layers.setdefault(tile.layer, []).append(tile)
    for name, members in layers.items():
        _check_layer(sums, members, findings)
        _check_cells(name, members, findings)
    findings.figures["coverage"] = {"layers": len(layers), "tiles": len(found)}
    return found


def _check_layer(sums: PartialSums, members: list[Tile], findings: Findings) -> None:
    image = sums.image
    by_stream = {tile.stream: tile for tile in members}
    passed: dict[int, npt.NDArray[np.int64]] = {}  # how often each partial sum is added
    for tile in members:
        for channel in tile.adds:
            parts = [part for part in sums.parts(channel) if part.stream in by_stream]
            if not parts:
                continue  # a residual
            spans: list[Span] = []
            for part in parts:
                other = by_stream[part.stream]
                begin, end = (other.columns[0] + each for each in (part.begin, part.end))
                if spans and spans[-1][1] == begin:
                    begin = spans.pop()[0]
                spans.append((begin, end))
                width = other.columns[1] - other.columns[0]
                times = passed.setdefault(part.stream, np.zeros(max(width, part.end), np.int64))
                times[part.begin : part.end] += 1
                if other.products != tile.products:
                    findings.fault(
                        "coverage",
                        f"{named(image, tile.stream)} multiplies {tile.products} times, but adds "
                        f"partial sums of {other.products} products",
                    )
            if spans != [tile.columns]:
                findings.fault(
                    "coverage",
                    f"{named(image, tile.stream)} of columns {tile.columns} adds the partial sums "
                    f"of columns {', '.join(map(str, spans))}, from "
                    f"{named(image, parts[0].stream)}",
                )
    for stream, times in passed.items():
        if (times != 1).any():
            column = by_stream[stream].columns[0] + int(np.flatnonzero(times != 1)[0])
            findings.fault(
                "coverage",
                f"the partial sums of {named(image, stream)} are added "
                f"{int(times[times != 1][0])} times in column {column}, not once",
            )


def _check_cells(name: str, members: list[Tile], findings: Findings) -> None:
    """Add up the products of each rectangle of cells."""
    tops = sorted({0, *(edge for tile in members for edge in tile.rows)})
    lefts = sorted({0, *(edge for tile in members for edge in tile.columns)})
    row, column = ({edge: n for n, edge in enumerate(edges)} for edges in (tops, lefts))
    products = np.zeros((len(tops) - 1, len(lefts) - 1), np.int64)
    for tile in members:
        rows = slice(row[tile.rows[0]], row[tile.rows[1]])
        columns = slice(column[tile.columns[0]], column[tile.columns[1]])
        products[rows, columns] += tile.products
    used = products > 0
    patterns = np.unique(used, axis=0)
    apart = patterns.any(axis=1).all() and (patterns.sum(axis=0) == 1).all()
    if not apart:
        # Rows that use some of the columns that others use: the cells missing there are at fault.
        shared = ((used.astype(np.int64) @ used.T.astype(np.int64)) > 0) @ used
        missing = (shared & ~used) if (shared & ~used).any() else ~used
        _fault_at(name, missing, tops, lefts, "held by no tile", findings)
    usual = int(np.median(products[used])) if used.any() else 0
    wrong = used & (products != usual)
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        what = f"multiplied {int(products[first])} times per sample, others {usual} times"
        _fault_at(name, wrong, tops, lefts, what, findings)


def _fault_at(
    name: str,
    wrong: npt.NDArray[np.bool_],
    tops: list[int],
    lefts: list[int],
    what: str,
    findings: Findings,
) -> None:
    """Tell of the first rectangle of cells that is wrong."""
    row, column = (int(n) for n in np.argwhere(wrong)[0])
    findings.fault(
        "coverage",
        f"layer `{name}`: the cells of rows {tops[row]}:{tops[row + 1]}, columns "
        f"{lefts[column]}:{lefts[column + 1]} are {what}",
    )
