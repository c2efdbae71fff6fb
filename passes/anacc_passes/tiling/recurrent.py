"""Recurrent layers: gates on crossbars, cells on GDPUs.

The hidden units are cut into chunks of at most what a GDPU and the rows and columns of a crossbar
hold.  A chunk has a column of tiles for each of its blocks of gates: first the input's row tiles,
which run over the whole sequence at once, then the hidden state's, which run step by step; the last
one sends the gates to the chunk's GDPU, which sends its codes of the hidden state back to all
chunks.  `anacc_passes.gates` tells which gates make a block, `sweep` lays out one direction.

Where a GRU's reset gate multiplies the hidden state itself, there is a second ring within each
step: the GDPU sends codes of the product to the tiles of the candidate, and ends the step when
their sums are back.
"""

from __future__ import annotations

from collections.abc import Sequence

from anacc.ir import Op
from anacc_passes.tiling.builder import Builder, Tokens
from anacc_passes.tiling.direction import Direction, directions
from anacc_passes.tiling.layout import natural, row_major
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.pointwise import with_codes
from anacc_passes.tiling.states import RESULTS
from anacc_passes.tiling.sweep import lower_direction


def lower_recurrent(
    builder: Builder, op: Op, demanded: dict[str, frozenset[str]]
) -> dict[str, Tokens]:
    """Lower a recurrent layer.

    Returns:
        The tokens of each of its results that is used.
    """
    used = {
        result: value
        for result, value in zip(RESULTS, op.results, strict=False)
        if value and demanded[value]
    }
    # A cell state leaves the GDPU in binary16 only; where codes are needed, they are made of it.
    wanted = {
        result: frozenset({"f16"}) if result == "y_c" else demanded[value]
        for result, value in used.items()
    }
    ways = directions(builder, op)
    found = [lower_direction(builder, op, way, wanted) for way in ways]
    tokens: dict[str, Tokens] = {}
    for result, value in used.items():
        sources = []
        for channels in found:
            parts = {form: tuple(names) for form, names in channels[result].items() if names}
            steps = builder.type(next(iter(parts.values()))[0]).tokens
            sources.append(Tokens(natural((steps, ways[0].hidden)), parts, builder.scale(value)))
        joined = _join(builder, op, ways, sources, value, result == "y", wanted[result])
        if "i8" in demanded[value] and "i8" not in joined.parts:
            joined = with_codes(builder, joined, value, op.origins)
        tokens[value] = joined
    return tokens


def _join(
    builder: Builder,
    op: Op,
    ways: Sequence[Direction],
    sources: list[Tokens],
    name: str,
    sequence: bool,
    forms: frozenset[str],
) -> Tokens:
    """Both directions side by side, (T, D, H) each in the sequence's own order, or (D, H)."""
    layout = builder.layouts[name]
    steps, hidden = sources[0].layout.dims
    pitch = len(ways) * hidden
    stores = []
    for way in ways:
        base, stride = way.index * hidden, pitch
        if way.reverse and sequence:
            base, stride = base + (steps - 1) * pitch, -pitch
        stores.append((base, (stride, 1)))
    movement = Movement(steps * pitch, tuple(stores), (0, row_major(layout.dims)))
    scale = sources[0].scale
    return move(builder, sources, movement, layout, scale, forms, name, op.origins)
