"""Convolutions and products on crossbars: windows, row tiles, column tiles, groups.

1. A product, or a convolution with a 1x1 kernel, takes its tokens as they are; any other gets a
   bridge stream that gathers the window of each output position (im2col).  Rows are in
   the order (group, kernel position, channel).
2. Rows and columns that exceed the crossbar are cut into tiles of nearly equal size; row tiles add
   up through partial sums.
3. Groups that fit share a tile along its diagonal, as many as its rows and columns hold; a group
   that does not fit is a matrix of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import numpy as np

from anacc.errors import IrError
from anacc.ir import Op
from anacc_passes.packing.regions import of_layer
from anacc_passes.tiling.blocks import Block, blocks, blocks_of_regions
from anacc_passes.tiling.builder import Builder, Tokens, balanced, bounds
from anacc_passes.tiling.layout import Layout, Nest, is_convolution, natural
from anacc_passes.tiling.matrix import Columns, FloatArray, Inputs, column_of_tiles
from anacc_passes.tiling.movement import relayout
from anacc_passes.tiling.samples import Vectors, chosen_rows

_CODES = frozenset({"i8"})


def row_tiles(
    builder: Builder,
    parts: tuple[str, ...],
    limit: int,
    origins: tuple[str, ...],
    settled: Sequence[tuple[int, int]] = (),
) -> list[tuple[tuple[int, int], tuple[str, ...]]]:
    """Share the parts of a token among as few row tiles as possible, or among those settled.

    Returns:
        For each row tile its rows (first, last + 1) and its parts.  Parts stay as they are where
        whole parts fill the fewest possible tiles; otherwise the tokens are regrouped.
    """
    if settled:
        parts = builder.regroup(parts, tuple(last - first for first, last in settled), origins)
        return [(span, (part,)) for span, part in zip(settled, parts, strict=True)]
    tiles = whole_parts(builder, parts, limit)
    sizes = builder.sizes(parts)
    if max(sizes) > limit or len(tiles) > -(-sum(sizes) // limit):
        parts = builder.regroup(parts, balanced(sum(sizes), limit), origins)
        tiles = [
            (span, (part,)) for span, part in zip(bounds(builder.sizes(parts)), parts, strict=True)
        ]
    return tiles


def whole_parts(
    builder: Builder, parts: tuple[str, ...], limit: int
) -> list[tuple[tuple[int, int], tuple[str, ...]]]:
    """Row tiles of whole parts, in order, each filled as far as `limit` rows allow."""
    tiles: list[list[str]] = []
    filled = limit
    for part, size in zip(parts, builder.sizes(parts), strict=True):
        if filled + size > limit:
            tiles.append([])
            filled = 0
        tiles[-1].append(part)
        filled += size
    spans = bounds([sum(builder.sizes(tile)) for tile in tiles])
    return [(span, tuple(tile)) for span, tile in zip(spans, tiles, strict=True)]


def window_nests(
    builder: Builder, source: Tokens, op: Op
) -> tuple[list[tuple[str, Nest]], Nest, int, int, int]:
    """The buffer of a convolution's windows.

    Returns:
        Store nests, load nest, buffer size, and the rounds of the outermost store loop that the
        first round of the outermost load loop needs (`lead`) and each further one (`step`; 0: all).
    """
    weight = builder.module.constants[op.operands[1]]
    result = builder.layouts[op.results[0]]
    group = op.integer("group")
    kernel = weight.shape[2:]
    per_group = weight.shape[1]
    strides, dilations, pads = (op.integers(name) for name in ("strides", "dilations", "pads"))
    inside: tuple[tuple[int, int], ...] = ((per_group, 1),)
    groups = ((group, per_group),) if group > 1 else ()
    return spatial_nests(builder, source, result, kernel, strides, pads, dilations, groups, inside)


def spatial_nests(
    builder: Builder,
    source: Tokens,
    result: Layout,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    before: tuple[tuple[int, int], ...],
    inside: tuple[tuple[int, int], ...],
) -> tuple[list[tuple[str, Nest]], Nest, int, int, int]:
    """The padded buffer of a sliding window; elements of a window in the order
    (before, kernel position, inside).  See `window_nests` for the result."""
    layout = source.layout
    rank = len(kernel)
    spatial = layout.permutation[-1 - rank : -1]
    padded = [layout.dims[axis] + pads[k] + pads[rank + k] for k, axis in enumerate(spatial)]
    pitch = [layout.token_size * math.prod(padded[k + 1 :]) for k in range(rank)]
    place = [0] * len(layout.dims)
    place[layout.permutation[-1]] = 1
    for axis, step in zip(spatial, pitch, strict=True):
        place[axis] = step
    base = sum(pad * step for pad, step in zip(pads, pitch, strict=False))
    parts = source.parts["i8"]
    stores = builder.store_nests(parts, layout, base, tuple(place))
    moved = {
        axis: stride * step
        for axis, stride, step in zip(
            result.permutation[-1 - rank : -1], strides, pitch, strict=True
        )
    }
    taps = tuple(
        (count, dilation * step)
        for count, dilation, step in zip(kernel, dilations, pitch, strict=True)
    )
    load = (
        result.counts,
        0,
        tuple(moved[axis] for axis in result.outer),
        (*before, *taps, *inside),
    )
    lead = step = 0
    rows_in, rows_out = layout.dims[spatial[0]], result.dims[result.permutation[-1 - rank]]
    if rows_in > 1 and rows_out > 1:
        lead = max(0, min(rows_in, (kernel[0] - 1) * dilations[0] + 1 - pads[0]))
        step = strides[0]
    return stores, load, layout.token_size * math.prod(padded), lead, step


def _is_pointwise(op: Op, kernel: tuple[int, ...]) -> bool:
    return (
        all(size == 1 for size in kernel)
        and all(stride == 1 for stride in op.integers("strides"))
        and not any(op.integers("pads"))
    )


def _factors(builder: Builder, op: Op) -> FloatArray | None:
    """The factor of each channel that the layer's operand was divided by, shape (C,), if it was."""
    return builder.module.constants[op.operands[5]] if op.operands[5:] and op.operands[5] else None


def _weight(builder: Builder, op: Op) -> FloatArray:
    """The layer's weight, (M, C/group, *K) or (out, in), times the factors of its operand."""
    weight, factors = builder.module.constants[op.operands[1]], _factors(builder, op)
    if factors is None or weight.dtype.kind == "i":
        return weight  # codes stay: see `_scale`
    outputs = len(weight) // op.integer("group")
    first = np.arange(len(weight)) // outputs * weight.shape[1]
    channels = first[:, np.newaxis] + np.arange(weight.shape[1])
    along = factors[channels].reshape(*channels.shape, *(1,) * (weight.ndim - 2))
    return np.asarray(weight * along)


def _scale(builder: Builder, op: Op) -> FloatArray:
    """The layer's scale, for each column; where weights are codes, times the factors of its
    operand, of which a column of a depthwise convolution reads one."""
    weight, scale = (builder.module.constants[name] for name in op.operands[1:3])
    factors = _factors(builder, op)
    if factors is None or weight.dtype.kind != "i":
        return scale
    return scale * factors[np.arange(len(scale)) // (len(scale) // op.integer("group"))]


def lower_crossbar(builder: Builder, op: Op, forms: frozenset[str]) -> Tokens:
    """Lower a crossbar layer."""
    module, result = builder.module, op.results[0]
    weight, factors = _weight(builder, op), _factors(builder, op)
    group = op.integer("group")
    layout = builder.layouts[result]
    source = codes_of(builder, op, op.operands[0])
    kernel = weight.shape[2:]
    limit_rows = builder.target.crossbar.rows.value
    limit_columns = builder.target.crossbar.columns.value
    regions = of_layer(op)
    if regions:
        matrix = blocks_of_regions(weight, group, regions)
    else:
        matrix = blocks(weight, group, limit_rows, limit_columns)
    tiles: list[tuple[tuple[int, int], tuple[str, ...]]]
    vectors: Vectors | None = None
    if is_convolution(module, op) and not (_is_pointwise(op, kernel) and group == 1):
        cuts = [rows for block in matrix for rows in block.row_tiles]
        stores, load, size, lead, step = window_nests(builder, source, op)
        channels = tuple(
            builder.channel(f"{result}.window", "i8", b - a, layout.tokens, source.scale)
            for a, b in cuts
        )
        fill = source.zero
        builder.gather(stores, load, channels, size, op.origins, fill=fill, lead=lead, step=step)
        if builder.samples and builder.samples.holds(op.operands[0]):
            nests = [nest for _, nest in stores]
            vectors = builder.samples.windows(
                op.operands[0], source.layout, source.scale, factors, nests, load, size, fill
            )
        tiles = [(cut, (channel,)) for cut, channel in zip(cuts, channels, strict=True)]
    else:
        if not is_convolution(module, op):
            layout = natural(layout.dims)
            rows = natural(source.layout.dims)
            source = relayout(builder, source, rows, _CODES, f"{op.operands[0]}.rows", op)
        if builder.samples and builder.samples.holds(op.operands[0]):
            vectors = builder.samples.vectors(op.operands[0], source.layout, source.scale, factors)
        settled = [rows for block in matrix for rows in block.row_tiles] if regions else []
        tiles = row_tiles(builder, source.parts["i8"], limit_rows, op.origins, settled)
    sign = builder.nonnegative[op.operands[0]] and source.zero == 0
    inputs = [
        Inputs(parts, span, source.scale, sign, source.zero, vectors=chosen_rows(vectors, span))
        for span, parts in tiles
    ]
    found = _columns(builder, op, forms, matrix, inputs, layout)
    return relayout(builder, found, builder.layouts[result], forms, f"{result}.turned", op)


def _columns(
    builder: Builder,
    op: Op,
    forms: frozenset[str],
    matrix: list[Block],
    inputs: list[Inputs],
    layout: Layout,
) -> Tokens:
    """The tiles of all blocks, column by column; their tokens come in the order of `layout`."""
    module, result = builder.module, op.results[0]
    scale, zero = builder.scale(result), builder.zero(result)
    cuts = [(block, column) for block in matrix for column in block.columns_of_tiles]
    residuals: list[tuple[str, ...]] = [()] * len(cuts)
    residual_scale = 1.0
    if op.operands[4]:
        other = codes_of(builder, op, op.operands[4])
        other = relayout(builder, other, layout, _CODES, f"{op.operands[4]}.residual", op)
        widths = tuple(piece.width for _, column in cuts for piece in column.pieces[-1])
        parts = iter(builder.regroup(other.parts["i8"], widths, op.origins))
        residuals = [tuple(islice(parts, len(column.pieces[-1]))) for _, column in cuts]
        residual_scale = other.scale
    factors, offsets = _scale(builder, op), module.constants[op.operands[3]]
    found: list[tuple[str, str]] = []
    for (block, column), extra in zip(cuts, residuals, strict=True):
        first, last = column.columns
        chosen = slice(first, last)
        ldpu = Columns(
            scale=factors[chosen].astype(np.float64),
            offset=offsets[chosen].astype(np.float64),
            forms=forms,
            result_scale=scale,
            result_zero=zero,
            activation=op.text("activation"),
            low=op.number("low"),
            high=op.number("high"),
            diagonal=block.diagonal,
            residuals=extra,
            residual_scale=residual_scale,
        )
        rows = [
            item
            for item in inputs
            if block.rows[0] <= item.rows[0] and item.rows[1] <= block.rows[1]
        ]
        found += column_of_tiles(
            builder,
            result,
            block.weight[:, first - block.columns[0] : last - block.columns[0]],
            rows,
            column.columns,
            ldpu,
            op.origins,
            tokens=layout.tokens,
            layer=op.origins[0],
            pieces=column.pieces,
        )
    parts_of = {
        form: tuple(pair[position] for pair in found)
        for position, form in enumerate(("i8", "f16"))
        if form in forms
    }
    return Tokens(layout, parts_of, scale, zero)


def codes_of(builder: Builder, op: Op, name: str) -> Tokens:
    """The tokens of an operand that must be had in codes."""
    found = builder.tokens[name]
    if "i8" not in found.parts:
        raise IrError(f"op `{op.kind}` needs {name} in codes")
    return found
