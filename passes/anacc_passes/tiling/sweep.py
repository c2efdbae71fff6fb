"""One direction of a recurrent layer: a sweep over the sequence, chunk by chunk of hidden units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anacc.errors import MappingError
from anacc.ir import Op
from anacc.ir.cells import INITIAL_C, INITIAL_H
from anacc.ir.module import AttributeValue
from anacc_passes.binary16 import binary16
from anacc_passes.gates import (
    HIDDEN,
    INPUT,
    RESET,
    Block,
    blocks_of,
    functions_of_gates,
    on_gdpu,
)
from anacc_passes.given.gate_matrices import direction_name, matrix_name
from anacc_passes.packing.regions import of_matrix
from anacc_passes.tiling.builder import Builder, Tokens, balanced, bounds
from anacc_passes.tiling.crossbar import codes_of, row_tiles, whole_parts
from anacc_passes.tiling.direction import Direction, columns_of
from anacc_passes.tiling.layout import natural, row_major
from anacc_passes.tiling.matrix import Columns, Inputs, Piece, column_of_tiles
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.samples import chosen_rows
from anacc_passes.tiling.states import (
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
        rings: by what they drive (`HIDDEN`, `RESET`), for each chunk the channel by which its
            codes go back to all chunks.
        inputs: row tiles of the input.
        initial_h, initial_c: initial states.
        stem: name of all that is made, with its `%`.
        layer: name of the layer, for reports.
    """

    way: Direction
    steps: int
    sizes: tuple[int, ...]
    rings: dict[str, tuple[str, ...]]
    inputs: list[Inputs]
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
    blocks = blocks_of(op, way.index)
    sweep = _sweep(builder, op, way, blocks)
    found: Results = {name: {form: [] for form in ("i8", "f16")} for name in RESULTS}
    for number in range(len(sweep.sizes)):
        gates = [_gates(builder, op, sweep, block, number) for block in blocks]
        states = _cell(builder, op, sweep, number, blocks, gates, wanted)
        for name, channels in states.items():
            for form, channel in channels.items():
                found[name][form].append(channel)
    return found


def _sweep(builder: Builder, op: Op, way: Direction, blocks: Sequence[Block]) -> Sweep:
    target = builder.target
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    widest = max(len(block.gates) for block in blocks)
    # A chunk's states drive the rows of one tile, its gates are the columns of one in each block.
    units = min(target.gdpu.hidden_units.value, columns // widest, rows)
    sizes = balanced(way.hidden, units)
    sequence = _sequence(builder, op, way.reverse)
    steps = sequence.layout.tokens
    stem = next(name for name in op.results if name) + (".reverse" if way.reverse else "")
    # The initial hidden states go round as well; what is reset is used up within its step.
    rings = {HIDDEN: _ring(builder, op, f"{stem}.h", sizes, steps + 1)}
    if any(RESET in block.rows for block in blocks):
        rings[RESET] = _ring(builder, op, f"{stem}.reset", sizes, steps)
    return Sweep(
        way=way,
        steps=steps,
        sizes=sizes,
        rings=rings,
        inputs=_inputs(builder, op, sequence),
        initial_h=initial_state(builder, op, INITIAL_H, way.index, sizes),
        initial_c=initial_state(builder, op, INITIAL_C, way.index, sizes),
        stem=stem,
        layer=direction_name(op, way.reverse),
    )


def _ring(
    builder: Builder, op: Op, name: str, sizes: tuple[int, ...], tokens: int
) -> tuple[str, ...]:
    """A channel of codes for each chunk."""
    return tuple(builder.channel(name, "i8", size, tokens, hidden_scale(op)) for size in sizes)


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
    if builder.samples and builder.samples.holds(op.operands[0]):
        vectors = builder.samples.vectors(op.operands[0], sequence.layout, sequence.scale)
    tiles = row_tiles(builder, sequence.parts["i8"], builder.target.crossbar.rows.value, op.origins)
    sign = builder.nonnegative[op.operands[0]]
    return [
        Inputs(parts, span, sequence.scale, sign, vectors=chosen_rows(vectors, span))
        for span, parts in tiles
    ]


def _rows(builder: Builder, op: Op, sweep: Sweep, block: Block) -> list[Inputs]:
    """Row tiles of a block."""
    found: list[Inputs] = []
    for rows in block.rows:
        above = found[-1].rows[1] if found else 0
        if rows == INPUT:
            found += sweep.inputs
        else:
            found += _feedback_inputs(builder, op, sweep, rows, above)
    return found


def _feedback_inputs(builder: Builder, op: Op, sweep: Sweep, ring: str, above: int) -> list[Inputs]:
    """Row tiles of what goes round in a ring, which stand below the rows `above`.

    Feedback channels are read as they are: a chunk that does not fit starts a new row tile.
    """
    scale = hidden_scale(op)
    # What is reset is no larger than the hidden states, and most like them.
    states = sampled_states(builder, op, sweep.way.index, scale)
    limit = builder.target.crossbar.rows.value
    sign = builder.nonnegative.get(op.results[0], False)
    return [
        Inputs(
            parts,
            (span[0] + above, span[1] + above),
            scale,
            sign,
            recurrent=True,
            vectors=chosen_rows(states, span),
        )
        for span, parts in whole_parts(builder, sweep.rings[ring], limit)
    ]


def _gates(builder: Builder, op: Op, sweep: Sweep, block: Block, number: int) -> str:
    """The column of tiles of one block and chunk; its channel of pre-activations."""
    first, last = bounds(sweep.sizes)[number]
    width, line = len(block.gates), block.lines[0]
    name, columns = matrix_name(sweep.layer, block.label), (width * first, width * last)
    rows = _rows(builder, op, sweep, block)
    weight, slope, offset = columns_of(block, sweep.way, first, last)
    ldpu = Columns(slope, offset, frozenset({"f16"}), 1.0)
    if line.bounds == (0.0, math.inf):
        ldpu = replace(ldpu, activation="relu")
    elif line.is_clamped:
        ldpu = replace(ldpu, activation="clamp", low=line.low, high=line.high)
    [(_, gates)] = column_of_tiles(
        builder,
        f"{sweep.stem}.gates",
        weight,
        rows,
        columns,
        ldpu,
        op.origins,
        tokens=sweep.steps,
        layer=name,
        pieces=_settled(op, name, rows, columns),
    )
    return gates


def _settled(
    op: Op, name: str, rows: Sequence[Inputs], columns: tuple[int, int]
) -> list[tuple[Piece]] | None:
    """The pieces of a column of tiles whose places a user has settled, None where they are free.

    Raises:
        MappingError: the user has cut the matrix otherwise.
    """
    places = {(region.rows, region.columns): region for region in of_matrix(op, name)}
    if not places:
        return None
    for item in rows:
        if (item.rows, columns) not in places:
            (r0, r1), (c0, c1) = item.rows, columns
            raise MappingError(
                f"layer `{name}` of the mapping has no region of rows {r0}:{r1} and columns "
                f"{c0}:{c1}, which its hidden units and the GDPUs need",
                "move the regions of a recurrent layer, but cut it as `anacc inspect --ibm-json` "
                "does",
            )
    return [(Piece(columns, places[item.rows, columns]),) for item in rows]


def _cell(
    builder: Builder,
    op: Op,
    sweep: Sweep,
    number: int,
    blocks: Sequence[Block],
    gates: Sequence[str],
    wanted: dict[str, frozenset[str]],
) -> dict[str, dict[str, str]]:
    """The cells of one chunk; the channels of its results by result and format."""
    states = result_channels(builder, op, sweep.stem, sweep.sizes[number], sweep.steps, wanted)
    scale, functions = hidden_scale(op), on_gdpu(functions_of_gates(op, sweep.way.index))
    operands = [gates[0], sweep.initial_h.parts[number]]
    results = [sweep.rings[HIDDEN][number]]
    results += [states[name].get(form, "") for name in ("y", "y_h") for form in ("i8", "f16")]
    own: dict[str, AttributeValue] = {}
    if op.kind == "lstm":
        operands += [sweep.initial_c.parts[number], _peepholes(builder, op, sweep, number)]
        results.append(states["y_c"].get("f16", ""))
        last_scale = builder.scale(op.results[2]) if "y_c" in wanted else 1.0
        own = {"c_scale": sweep.initial_c.scale, "last_c_scale": 1.0 / last_scale}
    elif RESET in sweep.rings:
        results.append(sweep.rings[RESET][number])
    builder.emit(
        f"{op.kind}_cell",
        (*operands, *gates[1:]),
        results,
        op.origins,
        units=sweep.sizes[number],
        steps=sweep.steps,
        gates=tuple(block.gates for block in blocks),
        functions=tuple((gate, f.name, f.alpha, f.beta) for gate, f in functions.items()),
        h_unit=1.0 / scale,
        h_scale=sweep.initial_h.scale / scale,
        **own,
    )
    return states


def _peepholes(builder: Builder, op: Op, sweep: Sweep, number: int) -> str:
    """The peepholes of the units of a chunk, shape (3, units), or "" for none."""
    if sweep.way.peepholes is None:
        return ""
    first, last = bounds(sweep.sizes)[number]
    chosen = binary16(sweep.way.peepholes[:, first:last], f"node `{op.origins[0]}`")
    return builder.constant(f"{sweep.stem[1:]}.peepholes", chosen)
