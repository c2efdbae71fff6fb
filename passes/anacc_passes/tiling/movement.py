"""Data movement on the bridge: reshape, transpose, slice, pad, concat, expand, change of layout.

Each is a buffer that the operands are written to and the result is read from, both with affine
addresses: a base and a stride for each axis of one sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anacc.errors import IrError
from anacc.ir import Op
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder, Tokens, balanced, load_nest
from anacc_passes.tiling.layout import Layout, row_major, sample_dims

LARGEST_FILL = {"i8": LARGEST_CODE, "f16": 2048}
"""The largest integer that a buffer of a format may hold where nothing is stored."""

Place = tuple[int, tuple[int, ...]]
"""Base and a stride for each axis of one sample."""


@dataclass(frozen=True)
class Movement:
    """Where operands go and the result comes from, in a buffer of `size` elements."""

    size: int
    stores: tuple[Place, ...]
    load: Place
    fill: float = 0.0


def _sample(op: Op, name: str, batch_axis: int | None) -> tuple[int, ...]:
    """A full-rank attribute without its entry for the batch axis."""
    items = op.integers(name)
    return tuple(item for axis, item in enumerate(items) if axis != batch_axis) or (0,)


def describe(builder: Builder, op: Op) -> Movement:
    """The movement that a layer op with a buffer in the shape of its result stands for."""
    module = builder.module
    axis = module.tensor(op.operands[0]).batch_axis
    target = sample_dims(module.tensor(op.results[0]))
    strides = row_major(target)
    if op.kind == "pad":
        before = _sample(op, "before", axis)
        base = sum(start * stride for start, stride in zip(before, strides, strict=True))
        value = op.number("value")
        return Movement(math.prod(target), ((base, strides),), (0, strides), value)
    if op.kind != "concat":
        raise IrError(f"op `{op.kind}` is no movement of data")
    joined = op.integer("axis")
    joined -= axis is not None and joined > axis
    stores, base = [], 0
    for operand in op.operands:
        stores.append((base, strides))
        base += sample_dims(module.tensor(operand))[joined] * strides[joined]
    return Movement(math.prod(target), tuple(stores), (0, strides))


def _order(layout: Layout, place: Place) -> tuple[int, list[tuple[int, int]]]:
    """Base and (count, stride) of the walk over all elements, neighbours that chain merged."""
    base, strides = place
    walk: list[tuple[int, int]] = []
    for axis in (*layout.outer, layout.permutation[-1]):
        count, stride = layout.dims[axis], strides[axis]
        if count == 1:
            continue
        if walk and walk[-1][1] == count * stride:
            walk[-1] = (walk[-1][0] * count, stride)
        else:
            walk.append((count, stride))
    return base, walk


def move(
    builder: Builder,
    sources: list[Tokens],
    movement: Movement,
    result: Layout,
    scale: float,
    forms: frozenset[str],
    stem: str,
    origins: tuple[str, ...],
) -> Tokens:
    """Carry out a movement; nothing is emitted where the tokens are already what is wanted.

    Args:
        builder: the module under construction.
        sources: the operands.
        movement: where they go.
        result: the layout that is wanted.
        scale: the scale that is wanted; operands with another one are requantised.
        forms: the formats that are wanted, each of which all sources must have.
        stem: name of the result, with its `%`.
        origins: ONNX nodes.
    """
    same_scale = all(source.scale == scale for source in sources)
    if len(sources) == 1 and movement.fill == 0.0 and same_scale:
        source = sources[0]
        whole = result.tokens * result.token_size == math.prod(source.layout.dims)
        same_order = _order(source.layout, movement.stores[0]) == _order(result, movement.load)
        if whole and same_order and source.layout.token_size == result.token_size:
            return Tokens(result, source.parts, scale, source.zero)
    # Only tensors that are moved alone and keep their scale have a zero point.
    zero = sources[0].zero
    parts: dict[str, tuple[str, ...]] = {}
    for form in sorted(forms):
        nests, factors = [], []
        for source, place in zip(sources, movement.stores, strict=True):
            written = builder.store_nests(source.parts[form], source.layout, *place)
            nests += written
            factors += [source.scale / scale] * len(written)
        limit = builder.target.crossbar.rows.value
        sizes = balanced(result.token_size, limit)
        channels = tuple(
            builder.channel(f"{stem}.{form}", form, size, result.tokens, scale) for size in sizes
        )
        number = np.rint(movement.fill / scale) + zero
        fill = int(np.clip(number, -LARGEST_FILL[form], LARGEST_FILL[form]))
        builder.gather(
            nests,
            load_nest(result, *movement.load),
            channels,
            movement.size,
            origins,
            fill=fill,
            rescale=tuple(factors),
        )
        parts[form] = channels
    return Tokens(result, parts, scale, zero)


def relayout(
    builder: Builder, source: Tokens, wanted: Layout, forms: frozenset[str], stem: str, op: Op
) -> Tokens:
    """The same tensor with its elements in another order, in the formats that are wanted."""
    strides = row_major(source.layout.dims)
    movement = Movement(math.prod(source.layout.dims), ((0, strides),), (0, strides))
    return move(builder, [source], movement, wanted, source.scale, forms, stem, op.origins)


def lower_move(builder: Builder, op: Op, forms: frozenset[str]) -> Tokens:
    """Lower reshape, transpose, slice, pad, concat or expand; the first three and the last one
    together with those before it, where nothing else reads what these give."""
    result = op.results[0]
    chain = builder.chains.get(result)
    origins = op.origins
    if chain is None:
        sources = [builder.tokens[operand] for operand in op.operands]
        movement = describe(builder, op)
    else:
        sources, origins = [builder.tokens[chain.source]], chain.origins
        dims = sources[0].layout.dims
        load = (chain.view.base, chain.view.strides)
        movement = Movement(math.prod(dims), ((0, row_major(dims)),), load)
    return move(
        builder,
        sources,
        movement,
        builder.layouts[result],
        builder.scale(result),
        forms,
        result,
        origins,
    )
