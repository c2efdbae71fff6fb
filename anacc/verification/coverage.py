"""Every multiply-accumulate of a layer is done exactly once, as far as the program alone can tell.

Property: for each column of a layer's matrix, the tiles whose partial sums come together in one
result hold rows that follow one another without gap or overlap; the columns of a layer are
covered without gap or overlap, and each of them is computed for as many positions as the others,
whether by one tile or by several copies that share the positions.

Argument: tiles that pass partial sums on form a tree whose root gives the result.  The rows of a
tree are those of its tiles together, a partial sum that two tiles take being counted twice.
That the right elements meet these rows, and that copies of a layer serve each position once,
follows with the model, from `flow`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anacc.program.image import Image
from anacc.verification.faults import Findings
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
    layers: dict[str, list[Tile]] = {}
    for tile in found:
        layers.setdefault(tile.layer, []).append(tile)
    for name, members in layers.items():
        _check_layer(image, ends, name, members, findings)
    findings.figures["coverage"] = {"layers": len(layers), "tiles": len(found)}
    return found


def _check_layer(
    image: Image, ends: Ends, name: str, members: list[Tile], findings: Findings
) -> None:
    by_stream = {tile.stream: tile for tile in members}
    before = {
        tile.stream: [
            by_stream[ends.writer[channel]]
            for channel in tile.adds
            if ends.writer[channel] in by_stream
        ]
        for tile in members
    }
    passed = [tile.stream for each in before.values() for tile in each]
    results: dict[Span, dict[tuple[Span, ...], int]] = {}
    for tile in members:
        for other in before[tile.stream]:
            if other.columns != tile.columns:
                findings.fault(
                    "coverage",
                    f"{named(image, tile.stream)} of columns {tile.columns} adds the partial sums "
                    f"of columns {other.columns}, from {named(image, other.stream)}",
                )
            if other.products != tile.products:
                findings.fault(
                    "coverage",
                    f"{named(image, tile.stream)} multiplies {tile.products} times, but adds "
                    f"partial sums of {other.products} products",
                )
        if tile.stream in passed:
            if passed.count(tile.stream) > 1:
                findings.fault(
                    "coverage",
                    f"the partial sums of {named(image, tile.stream)} are added "
                    f"{passed.count(tile.stream)} times",
                )
            continue
        rows = tuple(sorted(_rows(tile, before, len(members))))
        for first, last in zip(rows, rows[1:], strict=False):
            if first[1] != last[0]:
                what = "twice" if first[1] > last[0] else "not at all"
                low, high = sorted((first[1], last[0]))
                findings.fault(
                    "coverage",
                    f"layer `{name}`: rows {low}:{high} of columns {tile.columns} are multiplied "
                    f"{what}, in what {named(image, tile.stream)} gives",
                )
        spans = results.setdefault(tile.columns, {})
        whole = ((rows[0][0], rows[-1][1]),)
        spans[whole] = spans.get(whole, 0) + tile.products
    _check_results(name, results, findings)


def _rows(tile: Tile, before: dict[int, list[Tile]], depth: int) -> list[Span]:
    """The rows of all tiles whose partial sums come together in a tile."""
    found = [tile.rows]
    if depth:
        for other in before[tile.stream]:
            found += _rows(other, before, depth - 1)
    return found


def _check_results(
    name: str, results: dict[Span, dict[tuple[Span, ...], int]], findings: Findings
) -> None:
    """Columns follow one another; each has one span of rows; spans are equal or apart."""
    spans = sorted({whole[0] for each in results.values() for whole in each})
    products = {sum(each.values()) for each in results.values()}
    if len(products) > 1:
        findings.fault(
            "coverage",
            f"layer `{name}`: its columns are computed for different numbers of positions, "
            f"{min(products)} to {max(products)}",
        )
    for columns, each in results.items():
        if len(each) > 1:
            findings.fault(
                "coverage",
                f"layer `{name}`: columns {columns} are computed from rows "
                + " and from rows ".join(f"{w[0][0]}:{w[0][1]}" for w in sorted(each)),
            )
    for what, ordered in (("rows", spans), ("columns", sorted(results))):
        expected = 0
        for first, last in ordered:
            if first != expected:
                state = "more than once" if first < expected else "by no tile"
                low, high = sorted((first, expected))
                findings.fault(
                    "coverage", f"layer `{name}`: {what} {low}:{high} are covered {state}"
                )
            expected = max(expected, last)
