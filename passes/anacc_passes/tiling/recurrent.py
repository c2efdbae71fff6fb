"""LSTMs: gates on crossbars, cells on GDPUs.

The hidden units are cut into chunks of at most what a GDPU and the rows and columns of a crossbar
hold (four gates a unit).  A chunk has one column of tiles: first the input's row tiles, which run
over the whole sequence at once, then the hidden state's, which run step by step; the last one sends
the gates to the chunk's GDPU, which sends its codes of the hidden state back to all chunks.

Gates lie on the columns in the order input, candidate, forget, output, as in the chip's GDPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anacc.ir import Op
from anacc_passes.binary16 import binary16
from anacc_passes.ranges import CODES
from anacc_passes.tiling.builder import Builder, Tokens, balanced, bounds
from anacc_passes.tiling.crossbar import codes_of, row_tiles
from anacc_passes.tiling.full_scale import VECTORS, Codes, chosen_rows
from anacc_passes.tiling.layout import natural, row_major, sample_dims
from anacc_passes.tiling.matrix import Columns, FloatArray, Inputs, column_of_tiles
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.pointwise import with_codes

GATES = (0, 3, 2, 1)  # input, candidate, forget, output in ONNX's order input, output, forget, cell


@dataclass(frozen=True)
class Direction:
    """One direction of an LSTM: weights of one sweep over the sequence.

    Attributes:
        index: 0 or 1, position on the direction axis.
        reverse: the sequence is read from its end.
        weight: shape (4 hidden, features); recurrence: (4 hidden, hidden); bias: (4 hidden,).
    """

    index: int
    reverse: bool
    weight: FloatArray
    recurrence: FloatArray
    bias: FloatArray


@dataclass
class Outputs:
    """Channels of one direction, one of each for every chunk; lists stay empty where unwanted."""

    y: dict[str, list[str]]
    y_h: dict[str, list[str]]
    y_c: list[str]


def _directions(builder: Builder, op: Op) -> list[Direction]:
    arrays = [builder.module.constants[name].astype(np.float64) for name in op.operands[1:3]]
    weight, recurrence = arrays
    hidden = recurrence.shape[2]
    bias = np.zeros((len(weight), 8 * hidden))
    if op.operands[3]:
        bias = builder.module.constants[op.operands[3]].astype(np.float64)
    kind = op.attributes["direction"]
    return [
        Direction(
            index,
            kind == "reverse" or index == 1,
            weight[index],
            recurrence[index],
            bias[index, : 4 * hidden] + bias[index, 4 * hidden :],
        )
        for index in range(len(weight))
    ]


def _gate_rows(first: int, last: int, hidden: int) -> list[int]:
    """Rows of ONNX's stacked gates that belong to hidden units [first, last), in column order."""
    return [gate * hidden + unit for gate in GATES for unit in range(first, last)]


def _sequence(builder: Builder, op: Op, reverse: bool) -> Tokens:
    """The input's codes, one token a step, in the order in which this direction reads them."""
    source = codes_of(builder, op, op.operands[0])
    dims = source.layout.dims
    steps = dims[0]
    strides = row_major(dims)
    load = (0, strides)
    if reverse:
        load = ((steps - 1) * strides[0], (-strides[0], *strides[1:]))
    wanted = natural(dims)
    movement = Movement(math.prod(dims), ((0, strides),), load)
    name = f"{op.operands[0]}.{'reversed' if reverse else 'sequence'}"
    forms = frozenset({"i8"})
    return move(builder, [source], movement, wanted, source.scale, forms, name, op.origins)


def _initial(
    builder: Builder, op: Op, position: int, direction: int, sizes: tuple[int, ...]
) -> tuple[tuple[str, ...], float]:
    """An initial state, cut like the chunks, and its scale: channels of one token each, or
    constants, or "" for zeros."""
    name = op.operands[position] if len(op.operands) > position else ""
    if not name:
        return ("",) * len(sizes), 1.0
    if name.startswith("@"):
        state = builder.module.constants[name][direction].reshape(-1)
        if not state.any():
            return ("",) * len(sizes), 1.0
        pieces = (binary16(state[a:b], f"node `{op.origins[0]}`") for a, b in bounds(sizes))
        return tuple(builder.constant(f"{name[1:]}.chunk", piece) for piece in pieces), 1.0
    found = builder.tokens[name]
    form = "f16" if "f16" in found.parts else "i8"
    hidden = sum(sizes)
    strides = row_major(found.layout.dims)
    movement = Movement(math.prod(found.layout.dims), ((0, strides),), (direction * hidden, (1,)))
    one = move(
        builder,
        [found],
        movement,
        natural((hidden,)),
        found.scale,
        frozenset({form}),
        f"{name}.direction",
        op.origins,
    )
    return builder.regroup(one.parts[form], sizes, op.origins), found.scale


def _lower_direction(
    builder: Builder, op: Op, way: Direction, wanted: dict[int, frozenset[str]]
) -> Outputs:
    target = builder.target
    hidden = way.recurrence.shape[1]
    rows = target.crossbar.rows.value
    # A chunk's states drive the rows of one tile, its four gates are the columns of one.
    units = min(target.gdpu.hidden_units.value, target.crossbar.columns.value // 4, rows)
    sizes = balanced(hidden, units)
    sequence = _sequence(builder, op, way.reverse)
    steps = sequence.layout.tokens
    hidden_scale = op.number("hidden_scale", 1.0 / CODES)
    stem = next(name for name in op.results if name) + (".reverse" if way.reverse else "")
    feedback = tuple(
        builder.channel(f"{stem}.h", "i8", size, steps + 1, hidden_scale) for size in sizes
    )
    sign = builder.nonnegative[op.operands[0]]
    vectors = None
    if builder.samples:
        vectors = builder.samples.vectors(op.operands[0], sequence.layout, sequence.scale)
    inputs = [
        Inputs(parts, span, sequence.scale, sign, vectors=chosen_rows(vectors, span))
        for span, parts in row_tiles(builder, sequence.parts["i8"], rows, op.origins)
    ]
    features = inputs[-1].rows[1]
    # Feedback channels are read as they are: a chunk that does not fit starts a new row tile.
    states = _states(builder, op, way.index, hidden_scale)
    recurrent = [
        Inputs(
            parts,
            (span[0] + features, span[1] + features),
            hidden_scale,
            nonnegative=False,
            recurrent=True,
            vectors=chosen_rows(states, span),
        )
        for span, parts in _whole_parts(builder, feedback, rows)
    ]
    h0, h0_scale = _initial(builder, op, 4, way.index, sizes)
    c0, c0_scale = _initial(builder, op, 5, way.index, sizes)
    found = Outputs({form: [] for form in ("i8", "f16")}, {form: [] for form in ("i8", "f16")}, [])
    for chunk, (first, last) in enumerate(bounds(sizes)):
        chosen = _gate_rows(first, last, hidden)
        columns = (4 * first, 4 * last)
        ldpu = Columns(np.ones(len(chosen)), way.bias[chosen], frozenset({"f16"}), 1.0)
        layer = op.origins[0] + (" reverse" if way.reverse else "")
        partial = column_of_tiles(
            builder, f"{stem}.input", way.weight[chosen].T, inputs, columns, ldpu, op.origins,
            tokens=steps, layer=layer,
        )[1]  # fmt: skip
        gates = column_of_tiles(
            builder, f"{stem}.gates", way.recurrence[chosen].T, recurrent, columns, ldpu,
            op.origins, tokens=steps, layer=layer, partial=partial,
        )[1]  # fmt: skip
        _cell(builder, op, found, wanted, stem, gates, feedback[chunk], h0[chunk], c0[chunk],
              h0_scale, c0_scale, last - first, steps)  # fmt: skip
    return found


def _states(builder: Builder, op: Op, direction: int, scale: float) -> Codes | None:
    """Codes of hidden states on calibration data, shape (n, hidden), if the model returns them."""
    if builder.samples is None or not op.results[0]:
        return None
    dims = sample_dims(builder.module.tensor(op.results[0]))
    codes = builder.samples.tokens(op.results[0], natural(dims), scale)
    states = codes.reshape(-1, dims[1], dims[-1])[:, direction]
    return states[:: max(1, len(states) // VECTORS)]


def _whole_parts(
    builder: Builder, parts: tuple[str, ...], limit: int
) -> list[tuple[tuple[int, int], tuple[str, ...]]]:
    """Row tiles made of whole channels, in order."""
    tiles: list[list[str]] = [[]]
    filled = 0
    for part, size in zip(parts, builder.sizes(parts), strict=True):
        if filled + size > limit:
            tiles.append([])
            filled = 0
        tiles[-1].append(part)
        filled += size
    spans = bounds([sum(builder.sizes(tile)) for tile in tiles])
    return [(span, tuple(tile)) for span, tile in zip(spans, tiles, strict=True)]


def _cell(
    builder: Builder,
    op: Op,
    found: Outputs,
    wanted: dict[int, frozenset[str]],
    stem: str,
    gates: str,
    feedback: str,
    initial_h: str,
    initial_c: str,
    h_scale: float,
    c_scale: float,
    units: int,
    steps: int,
) -> None:
    """Add the GDPU stream of one chunk and note its result channels."""
    results = [feedback]
    hidden_scale = op.number("hidden_scale", 1.0 / CODES)
    for position, channels, tokens, name in (
        (0, found.y, steps, "y"),
        (1, found.y_h, 1, "y_h"),
    ):
        for form in ("i8", "f16"):
            channel = ""
            if form in wanted.get(position, ()):
                label = f"{stem}.{name}.{form}"
                channel = builder.channel(label, form, units, tokens, hidden_scale)
                channels[form].append(channel)
            results.append(channel)
    last_c, last_scale = "", 1.0
    if wanted.get(2):
        last_scale = builder.scale(op.results[2])
        last_c = builder.channel(f"{stem}.y_c.f16", "f16", units, 1, last_scale)
        found.y_c.append(last_c)
    builder.emit(
        "lstm_cell",
        (gates, initial_h, initial_c),
        (*results, last_c),
        op.origins,
        units=units,
        steps=steps,
        h_unit=1.0 / hidden_scale,
        h_scale=h_scale / hidden_scale if initial_h else 0.0,
        c_scale=c_scale if initial_c else 0.0,
        last_c_scale=1.0 / last_scale,
    )


def lower_lstm(builder: Builder, op: Op, demanded: dict[str, frozenset[str]]) -> dict[str, Tokens]:
    """Lower an LSTM.

    Returns:
        The tokens of each of its results that is used.
    """
    wanted = {
        position: frozenset({"f16"}) if position == 2 else demanded[name]
        for position, name in enumerate(op.results)
        if name and demanded[name]
    }
    ways = _directions(builder, op)
    outputs = [_lower_direction(builder, op, way, wanted) for way in ways]
    tokens: dict[str, Tokens] = {}
    for position in wanted:
        name = op.results[position]
        scale = builder.scale(name)
        sources = []
        for found in outputs:
            parts = ({"f16": found.y_c}, found.y, found.y_h)[(position + 1) % 3]
            kept = {form: tuple(names) for form, names in parts.items() if names}
            hidden = way_hidden(ways)
            steps = builder.type(next(iter(kept.values()))[0]).tokens
            sources.append(Tokens(natural((steps, hidden)), kept, scale))
        joined = _join(builder, op, ways, sources, name, position, wanted[position])
        if "i8" in demanded[name] and "i8" not in joined.parts:
            joined = with_codes(builder, joined, name, op.origins)
        tokens[name] = joined
    return tokens


def way_hidden(ways: list[Direction]) -> int:
    """Hidden units of an LSTM."""
    return int(ways[0].recurrence.shape[1])


def _join(
    builder: Builder,
    op: Op,
    ways: list[Direction],
    sources: list[Tokens],
    name: str,
    position: int,
    forms: frozenset[str],
) -> Tokens:
    """Both directions side by side, each in the sequence's own order; shape (T, D, H) or (D, H)."""
    layout = builder.layouts[name]
    hidden = way_hidden(ways)
    steps = sources[0].layout.dims[0]
    pitch = len(ways) * hidden
    stores = []
    for way in ways:
        base, stride = way.index * hidden, pitch
        if way.reverse and position == 0:
            base, stride = base + (steps - 1) * pitch, -pitch
        stores.append((base, (stride, 1)))
    movement = Movement(steps * pitch, tuple(stores), (0, row_major(layout.dims)))
    scale = sources[0].scale
    return move(builder, sources, movement, layout, scale, forms, name, op.origins)
