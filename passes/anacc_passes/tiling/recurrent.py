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
from anacc_passes.binary16 import LARGEST, binary16
from anacc_passes.calibrate import spread
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder, Tokens, balanced, bounds
from anacc_passes.tiling.crossbar import codes_of, row_tiles, whole_parts
from anacc_passes.tiling.layout import natural, row_major, sample_dims
from anacc_passes.tiling.matrix import Columns, FloatArray, Inputs, column_of_tiles
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.pointwise import with_codes
from anacc_passes.tiling.samples import VECTORS, Vectors, chosen_rows

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


@dataclass(frozen=True)
class Chunk:
    """The hidden units [first, last) of one direction: one GDPU stream.

    Attributes:
        feedback: channel by which their codes go back to all chunks.
        initial_h, initial_c: their initial states: a channel, a constant, or "".
    """

    first: int
    last: int
    feedback: str
    initial_h: str
    initial_c: str


Results = dict[str, dict[str, list[str]]]
"""For each result of an LSTM (`y`, `y_h`, `y_c`) and format, one channel a chunk, in order."""

RESULTS = ("y", "y_h", "y_c")


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
        # Like a state that enters the chip, it saturates.
        state = np.clip(state, -LARGEST, LARGEST)
        pieces = (binary16(state[a:b], f"node `{op.origins[0]}`") for a, b in bounds(sizes))
        return tuple(builder.constant(f"{name[1:]}.chunk", piece) for piece in pieces), 1.0
    found = builder.tokens[name]
    form = found.finest
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
    builder: Builder, op: Op, way: Direction, wanted: dict[str, frozenset[str]]
) -> Results:
    """Lower one sweep over the sequence; see the module's docstring."""
    target = builder.target
    hidden = way.recurrence.shape[1]
    rows = target.crossbar.rows.value
    # A chunk's states drive the rows of one tile, its four gates are the columns of one.
    units = min(target.gdpu.hidden_units.value, target.crossbar.columns.value // 4, rows)
    sizes = balanced(hidden, units)
    sequence = _sequence(builder, op, way.reverse)
    steps = sequence.layout.tokens
    scale = hidden_scale(op)
    stem = next(name for name in op.results if name) + (".reverse" if way.reverse else "")
    feedback = tuple(builder.channel(f"{stem}.h", "i8", size, steps + 1, scale) for size in sizes)
    inputs = _inputs(builder, op, sequence)
    inputs += _feedback_inputs(builder, op, way, feedback, features=inputs[-1].rows[1])
    weight = np.concatenate([way.weight, way.recurrence], axis=1)
    h0, h0_scale = _initial(builder, op, 4, way.index, sizes)
    c0, c0_scale = _initial(builder, op, 5, way.index, sizes)
    found: Results = {name: {form: [] for form in ("i8", "f16")} for name in RESULTS}
    layer = op.origins[0] + (" reverse" if way.reverse else "")
    for number, (first, last) in enumerate(bounds(sizes)):
        chunk = Chunk(first, last, feedback[number], h0[number], c0[number])
        chosen = _gate_rows(first, last, hidden)
        columns = (4 * first, 4 * last)
        ldpu = Columns(np.ones(len(chosen)), way.bias[chosen], frozenset({"f16"}), 1.0)
        _, gates = column_of_tiles(
            builder,
            f"{stem}.gates",
            weight[chosen].T,
            inputs,
            columns,
            ldpu,
            op.origins,
            tokens=steps,
            layer=layer,
        )
        states = _result_channels(builder, op, stem, chunk, steps, wanted)
        for name, channels in states.items():
            for form, channel in channels.items():
                found[name][form].append(channel)
        last_c_scale = builder.scale(op.results[2]) if "y_c" in wanted else 1.0
        builder.emit(
            "lstm_cell",
            (gates, chunk.initial_h, chunk.initial_c),
            (
                chunk.feedback,
                *(states[name].get(form, "") for name in ("y", "y_h") for form in ("i8", "f16")),
                states["y_c"].get("f16", ""),
            ),
            op.origins,
            units=last - first,
            steps=steps,
            h_unit=1.0 / scale,
            h_scale=h0_scale / scale if chunk.initial_h else 0.0,
            c_scale=c0_scale if chunk.initial_c else 0.0,
            last_c_scale=1.0 / last_c_scale,
        )
    return found


def hidden_scale(op: Op) -> float:
    """Real value of one code of an LSTM's hidden states."""
    return op.number("hidden_scale", 1.0 / LARGEST_CODE)


def _result_channels(
    builder: Builder,
    op: Op,
    stem: str,
    chunk: Chunk,
    steps: int,
    wanted: dict[str, frozenset[str]],
) -> dict[str, dict[str, str]]:
    """New channels of the results of one chunk, by result and format."""
    states: dict[str, dict[str, str]] = {name: {} for name in RESULTS}
    for name, forms in wanted.items():
        tokens = steps if name == "y" else 1
        scale = builder.scale(op.results[RESULTS.index(name)])
        for form in sorted(forms):
            label, size = f"{stem}.{name}.{form}", chunk.last - chunk.first
            states[name][form] = builder.channel(label, form, size, tokens, scale)
    return states


def _inputs(builder: Builder, op: Op, sequence: Tokens) -> list[Inputs]:
    """Row tiles of the input's weights."""
    vectors = None
    if builder.samples:
        vectors = builder.samples.vectors(op.operands[0], sequence.layout, sequence.scale)
    tiles = row_tiles(builder, sequence.parts["i8"], builder.target.crossbar.rows.value, op.origins)
    sign = builder.nonnegative[op.operands[0]]
    return [
        Inputs(parts, span, sequence.scale, sign, vectors=chosen_rows(vectors, span))
        for span, parts in tiles
    ]


def _feedback_inputs(
    builder: Builder, op: Op, way: Direction, feedback: tuple[str, ...], features: int
) -> list[Inputs]:
    """Row tiles of the recurrence, whose rows come behind those of the `features`.

    Feedback channels are read as they are: a chunk that does not fit starts a new row tile.
    """
    scale = hidden_scale(op)
    states = _states(builder, op, way.index, scale)
    return [
        Inputs(
            parts,
            (span[0] + features, span[1] + features),
            scale,
            nonnegative=False,
            recurrent=True,
            vectors=chosen_rows(states, span),
        )
        for span, parts in whole_parts(builder, feedback, builder.target.crossbar.rows.value)
    ]


def _states(builder: Builder, op: Op, direction: int, scale: float) -> Vectors | None:
    """Hidden states on calibration data in units of their code, shape (n, hidden), if the model
    returns them."""
    if builder.samples is None or not op.results[0]:
        return None
    dims = sample_dims(builder.module.tensor(op.results[0]))
    tokens = builder.samples.tokens(op.results[0], natural(dims), scale)
    states = tokens.reshape(-1, dims[1], dims[-1])[:, direction]
    return states[spread(len(states), VECTORS)]


def lower_lstm(builder: Builder, op: Op, demanded: dict[str, frozenset[str]]) -> dict[str, Tokens]:
    """Lower an LSTM.

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
    ways = _directions(builder, op)
    found = [_lower_direction(builder, op, way, wanted) for way in ways]
    hidden = int(ways[0].recurrence.shape[1])
    tokens: dict[str, Tokens] = {}
    for result, value in used.items():
        sources = []
        for channels in found:
            parts = {form: tuple(names) for form, names in channels[result].items() if names}
            steps = builder.type(next(iter(parts.values()))[0]).tokens
            sources.append(Tokens(natural((steps, hidden)), parts, builder.scale(value)))
        joined = _join(builder, op, ways, sources, value, result == "y", wanted[result])
        if "i8" in demanded[value] and "i8" not in joined.parts:
            joined = with_codes(builder, joined, value, op.origins)
        tokens[value] = joined
    return tokens


def _join(
    builder: Builder,
    op: Op,
    ways: list[Direction],
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
