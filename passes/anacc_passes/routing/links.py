"""The links of a target: which units they join, and their numbers in a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from anacc.targets import Target

BITS = {"i8": 8, "f16": 16}
"""Bits of a value by the format of its channel."""

Node = tuple[str, int]
"""A unit on the grid: (`core` or `gdpu`, its index), or the cores of a (`column`, its index)."""


@dataclass(frozen=True)
class Link:
    """A link, one way.

    Attributes:
        index: its number in the program.
        source: `core 0.1`, `gdpu 0.1`, `column 0.1` (any core of a grid column), `cores 0.0` (any),
            `chip 0.0` (its port).
        destination: likewise.
    """

    index: int
    source: str
    destination: str


@lru_cache(maxsize=8)
def links(target: Target, chips: int = 1) -> tuple[Link, ...]:
    """All links of a chain of chips, in the order of their numbers.

    For each chip: for each core in order those to its right, left, lower and upper neighbour, as
    far as they exist; then for each GDPU the one to it; then for each the one from it.  Behind
    those of all chips, for each chip but the last the link to the next one and the link back.
    """
    inner = numbers(target)
    found = [
        Link(chip * len(inner) + index, text_of(source, chip), text_of(destination, chip))
        for chip in range(chips)
        for (source, destination), index in inner.items()
    ]
    for chip in range(chips - 1):
        for source, destination in ((chip, chip + 1), (chip + 1, chip)):
            found.append(Link(len(found), f"chip {source}.0", f"chip {destination}.0"))
    return tuple(found)


def text_of(node: Node, chip: int) -> str:
    return f"{node[0]} {chip}.{node[1]}"


@lru_cache(maxsize=8)
def numbers(target: Target) -> Mapping[tuple[Node, Node], int]:
    """The number of the link between two nodes."""
    rows, columns = target.grid.rows.value, target.grid.columns.value
    directions = target.links.directions.value
    steps = [(0, 1), (0, -1)] * ("horizontal" in directions)
    steps += [(1, 0), (-1, 0)] * ("vertical" in directions)
    ends: list[tuple[Node, Node]] = []
    for core in range(target.cores):
        row, column = target.core_position(core)
        for down, right in steps:
            if 0 <= row + down < rows and 0 <= column + right < columns:
                other = target.core_at(row + down, column + right)
                ends.append((("core", core), ("core", other)))
    gdpus = range(target.gdpu.count.value)
    ends += [(cores_of(target, gdpu), ("gdpu", gdpu)) for gdpu in gdpus]
    ends += [(("gdpu", gdpu), cores_of(target, gdpu)) for gdpu in gdpus]
    return {pair: index for index, pair in enumerate(ends)}


def cores_of(target: Target, gdpu: int) -> Node:
    """The cores that a GDPU is wired to."""
    return ("column", gdpu) if target.gdpu.wiring.value == "column" else ("cores", 0)
