"""One direction of a recurrent layer: a sweep over the sequence, chunk by chunk of hidden units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anacc.ir import Op
from anacc_passes.tiling.builder import Builder, Tokens, balanced, bounds
from anacc_passes.tiling.crossbar import codes_of, row_tiles, whole_parts
from anacc_passes.tiling.full_scale import chosen_rows
from anacc_passes.tiling.gates import Block, Direction, blocks_of, columns_of, widest
from anacc_passes.tiling.layout import natural, row_major
from anacc_passes.tiling.matrix import Columns, Inputs, column_of_tiles
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.states import (
    INITIAL_C,
    INITIAL_H,
    RESULTS,
    Initial,
    hidden_scale,
    initial_state,
    result_channels,
    sampled_states,
)

Results = dict[str, dict[str, list[str]]]
"""For each result of a layer (`y`, `y_h`, `y_c`) and format, one channel a chunk, in order."""


@dataclass(frozen=True)
class Sweep:
    """What all chunks of one direction share.

    Attributes:
        way: its weights.
        steps: of the sequence.
        sizes: hidden units of each chunk.
        feedback: for each chunk, the channel by which its codes go back to all chunks.
        inputs: row tiles of the input, then of the hidden states.
        initial_h, initial_c: initial states.
        stem: name of all that is made, with its `%`.
        layer: name of the layer, for reports.
    """

    way: Direction
    steps: int
    sizes: tuple[int, ...]
    feedback: tuple[str, ...]
    inputs: Sequence[Inputs]
    initial_h: Initial
    initial_c: Initial
    stem: str
    layer: str


def lower_direction(
    builder: Builder, op: Op, way: Direction, wanted: dict[str, frozenset[str]]
) -> Results:
    """Add the streams of one direction.

    Args:
        builder: the module under construction.
        op: the layer.
        way: its weights.
        wanted: formats of each result that is used.
    """
    blocks = blocks_of(op)
    sweep = _sweep(builder, op, way, blocks)
    found: Results = {name: {form: [] for form in ("i8", "f16")} for name in RESULTS}
    for number in range(len(sweep.sizes)):
        gates = [_gates(builder, op, sweep, block, number) for block in blocks]
        states = _cell(builder, op, sweep, number, gates, wanted)
        for name, channels in states.items():
            for form, channel in channels.items():
                found[name][form].append(channel)
    return found


def _sweep(builder: Builder, op: Op, way: Direction, blocks: Sequence[Block]) -> Sweep:
    target = builder.target
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    # A chunk's states drive the rows of one tile, its gates are the columns of one in each block.
    units = min(target.gdpu.hidden_units.value, columns // widest(blocks), rows)
    sizes = balanced(way.hidden, units)
    sequence = _sequence(builder, op, way.reverse)
    steps = sequence.layout.tokens
    stem = next(name for name in op.results if name) + (".reverse" if way.reverse else "")
    feedback = tuple(
        builder.channel(f"{stem}.h", "i8", size, steps + 1, hidden_scale(op)) for size in sizes
    )
    inputs = _inputs(builder, op, sequence)
    inputs += _feedback_inputs(builder, op, way, feedback, features=inputs[-1].rows[1])
    return Sweep(
        way=way,
        steps=steps,
        sizes=sizes,
        feedback=feedback,
        inputs=inputs,
        initial_h=initial_state(builder, op, INITIAL_H, way.index, sizes),
        initial_c=initial_state(builder, op, INITIAL_C, way.index, sizes),
        stem=stem,
        layer=op.origins[0] + (" reverse" if way.reverse else ""),
    )


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
    states = sampled_states(builder, op, way.index, scale)
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


def _gates(builder: Builder, op: Op, sweep: Sweep, block: Block, number: int) -> str:
    """The column of tiles of one block and chunk; its channel of pre-activations."""
    first, last = bounds(sweep.sizes)[number]
    width = len(block.gates)
    weight, offset = columns_of(block, sweep.way, first, last)
    ldpu = Columns(np.ones(len(offset)), offset, frozenset({"f16"}), 1.0)
    _, gates = column_of_tiles(
        builder,
        f"{sweep.stem}.gates",
        weight,
        sweep.inputs,
        (width * first, width * last),
        ldpu,
        op.origins,
        tokens=sweep.steps,
        layer=sweep.layer,
    )
    return gates


def _cell(
    builder: Builder,
    op: Op,
    sweep: Sweep,
    number: int,
    gates: Sequence[str],
    wanted: dict[str, frozenset[str]],
) -> dict[str, dict[str, str]]:
    """The cells of one chunk; the channels of its results by result and format."""
    states = result_channels(builder, op, sweep.stem, sweep.sizes[number], sweep.steps, wanted)
    scale = hidden_scale(op)
    builder.emit(
        "lstm_cell",
        (*gates, sweep.initial_h.parts[number], sweep.initial_c.parts[number]),
        (
            sweep.feedback[number],
            *(states[name].get(form, "") for name in ("y", "y_h") for form in ("i8", "f16")),
            states["y_c"].get("f16", ""),
        ),
        op.origins,
        units=sweep.sizes[number],
        steps=sweep.steps,
        h_unit=1.0 / scale,
        h_scale=sweep.initial_h.scale / scale,
        c_scale=sweep.initial_c.scale,
        last_c_scale=1.0 / (builder.scale(op.results[2]) if "y_c" in wanted else 1.0),
    )
    return states
