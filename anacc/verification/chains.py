"""Tiles within the chains of their partial sums.

A tile that adds partial sums to its product stands behind the tiles that give them.  Each chain is
followed from its last tile backwards, column by column, for row tiles may be cut between different
columns; copies of a layer have chains of their own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.verification.blocks import Region
from anacc.verification.coverage import Tile
from anacc.verification.forms import ONE, Floats, Form, Results, results
from anacc.verification.partial_sums import Part, PartialSums
from anacc.verification.structure import integer, steps


@dataclass(frozen=True)
class Chain:
    """A tile within its chain of partial sums.

    Attributes:
        tile: the tile.
        block: its weight block.
        made: what its LDPU computes.
        form: of what it gives.
        behind: what the result of the chain has of one unit of that, for each column.
        partial: channels that bring it partial sums of its layer.
        is_last: whether it gives the result.
        offset: the constant in what it gives, those of the tiles before it included.
    """

    tile: Tile
    block: int
    made: Results
    form: Form
    behind: Floats
    partial: frozenset[int]
    is_last: bool
    offset: Floats


@dataclass(frozen=True)
class _Given:
    """Partial sums: `part` of what a tile gives are elements `at` and on of what another takes."""

    part: Part
    channel: int
    at: int


def chains(
    image: Image, sums: PartialSums, tiles: list[Tile], regions: dict[int, Region]
) -> list[Chain]:
    """All tiles whose LDPU is understood, in the order of their streams."""
    found: dict[int, tuple[Tile, int, Results]] = {}
    for tile in tiles:
        body = image.code.streams[tile.stream].body
        blocks = [integer(s.instr, "weight") for s in steps(body) if s.instr.op == "program"]
        made = results(image, tile.stream, blocks[0])
        fits = made is not None and all(
            len(factor) in (1, _width(tile))
            for form in made.forms.values()
            for factor in form.values()
        )
        if made is not None and made.forms and fits and blocks[0] in regions:
            found[tile.stream] = tile, blocks[0], made
    given: dict[int, list[_Given]] = {stream: [] for stream in found}
    missing: Counter[int] = Counter()  # how much of what a tile gives was not followed yet
    for stream, (tile, _, _) in found.items():
        for channel in tile.adds:
            at = 0
            for part in sums.parts(channel):
                if part.stream in found and found[part.stream][0].layer == tile.layer:
                    given[stream].append(_Given(part, channel, at))
                    missing[part.stream] += 1
                at += part.end - part.begin
    behind = {
        stream: np.ones(1) if not missing[stream] else np.zeros(_width(tile))
        for stream, (tile, _, _) in found.items()
    }
    leaves = {stream: next(iter(made.forms)) for stream, (_, _, made) in found.items()}
    order = [stream for stream in found if not missing[stream]]
    last = frozenset(order)
    for stream in order:  # grows on the way
        form = found[stream][2].forms[leaves[stream]]
        for each in given[stream]:
            part, own = each.part, form.get(("channel", each.channel))
            if own is None or part.channel not in found[part.stream][2].forms:
                continue
            factor = _whole(own, _width(found[stream][0])) * behind[stream]
            width = part.end - part.begin
            behind[part.stream][part.begin : part.end] = factor[each.at : each.at + width]
            leaves[part.stream] = part.channel
            missing[part.stream] -= 1
            if not missing[part.stream]:
                order.append(part.stream)
    offsets: dict[int, Floats] = {}
    for stream in reversed(order):
        tile, _, made = found[stream]
        form = made.forms[leaves[stream]]
        offset = _whole(form.get(ONE, np.zeros(1)), _width(tile)).copy()
        for each in given[stream]:
            own, part = form.get(("channel", each.channel)), each.part
            if own is not None and part.stream in offsets:
                before = offsets[part.stream][part.begin : part.end]
                place = slice(each.at, each.at + len(before))
                offset[place] += _whole(own, len(offset))[place] * before
        offsets[stream] = offset
    return [
        Chain(
            *found[stream],
            found[stream][2].forms[leaves[stream]],
            behind[stream],
            frozenset(each.channel for each in given[stream]),
            stream in last,
            offsets[stream],
        )
        for stream in sorted(order)
    ]


def _width(tile: Tile) -> int:
    return tile.columns[1] - tile.columns[0]


def _whole(values: Floats, width: int) -> Floats:
    """A value for each column."""
    return np.broadcast_to(values, (width,))
