"""Chip ops in real arithmetic, one sample at a time: what moves where, without any rounding.

Tokens of a channel are an array (tokens, token size); the real value of an element is element *
scale of the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Level, Module, Op
from anacc_passes.tiling.builder import Builder, Tokens, balanced
from anacc_passes.tiling.layout import Layout, Nest

Array = npt.NDArray[Any]


def addresses(nest: Nest) -> Array:
    """The buffer elements of a nest, shape (tokens, token size)."""
    counts, base, strides, dims = nest
    grid = np.asarray(base)
    for count, stride in (*zip(counts, strides, strict=True), *dims):
        grid = np.add.outer(grid, np.arange(count) * stride)
    return grid.reshape(math.prod(counts), -1)


def gather(op: Op, constants: dict[str, Array], parts: list[Array]) -> Array:
    """The result tokens, not yet cut; no element of the buffer is stored twice."""
    stores: Any = op.attributes["stores"]
    rescale: Any = op.attributes["rescale"]
    load: Any = op.attributes["load"]
    buffer = np.full(op.integer("size"), op.number("fill"))
    stored = np.zeros(len(buffer), bool)
    for part, nest, factor in zip(parts, stores, rescale, strict=True):
        places = addresses(nest)
        assert places.shape == part.shape and places.min() >= 0
        assert len(np.unique(places)) == places.size and not stored[places].any()
        buffer[places], stored[places] = part * factor, True
    places = addresses(load)
    assert places.min() >= 0
    window = buffer[places].reshape(len(places), op.integer("window"), -1)
    if op.attributes["reduce"] == "max":
        return np.asarray(window.max(axis=1))
    if op.attributes["reduce"] == "average":
        factors = constants[op.operands[0]]
        return np.asarray(window.sum(axis=1) * factors.reshape(-1, 1))
    return window.reshape(len(places), -1)


def tile(op: Op, constants: dict[str, Array], channels: dict[str, Array]) -> Array:
    """The result in units of its scale."""
    codes, scale, offset, partial, residual, *inputs = op.operands
    x = np.concatenate([channels[name] for name in inputs], axis=1)
    counts = x @ codes_of(constants, codes) * op.integer("multiplier") / 2.0 ** op.integer("shift")
    y = counts * constants[scale].astype(np.float64)
    if offset:
        y += constants[offset]
    if partial:
        y += channels[partial]
    if residual:
        y += channels[residual] * op.number("residual_scale")
    if op.attributes["activation"] == "relu":
        y = np.maximum(y, 0)
    if op.attributes["activation"] == "clamp":
        y = np.clip(y, op.number("low"), op.number("high"))
    return np.asarray(y * op.number("gain"))


def codes_of(constants: dict[str, Array], name: str) -> Array:
    """Weight codes; all are in [-127, 127]."""
    codes = constants[name]
    assert codes.dtype == np.int8 and np.abs(codes.astype(int)).max(initial=0) <= 127
    return codes.astype(np.float64)


def run(builder: Builder, channels: dict[str, Array]) -> dict[str, Array]:
    """The tokens of all channels, from those of the given ones."""
    found = dict(channels)
    constants = builder.constants
    for op in builder.ops:
        if op.kind == "gather":
            whole = gather(op, constants, [found[name] for name in op.operands[1:]])
            # Codes and values carry the same elements.
            for form in ("i8", "f16"):
                cut(
                    [n for n in op.results if builder.type(n).format == form], whole, builder, found
                )
        elif op.kind == "regroup":
            whole = np.concatenate([found[name] for name in op.operands], axis=1)
            cut(op.results, whole, builder, found)
        elif op.kind == "tile":
            y = tile(op, constants, found)
            found.update((name, y) for name in op.results if name)
        else:
            raise NotImplementedError(op.kind)
        for name in op.results:
            if name:
                kind = builder.type(name)
                assert found[name].shape == (kind.tokens, kind.token_size), name
    return found


def cut(names: Iterable[str], whole: Array, builder: Builder, found: dict[str, Array]) -> None:
    """Cut whole tokens into channels."""
    first = 0
    for name in names:
        size = builder.type(name).token_size
        found[name] = whole[:, first : first + size]
        first += size
    assert first in (0, whole.shape[1])


def to_tokens(layout: Layout, sample: Array) -> Array:
    """The elements of one sample in the order of a layout."""
    assert sample.size == math.prod(layout.dims)
    return sample.reshape(layout.dims).transpose(layout.permutation).reshape(-1, layout.token_size)


def feed(
    builder: Builder, name: str, layout: Layout, sample: Array, scale: float = 1.0, limit: int = 256
) -> dict[str, Array]:
    """Make the channels of a layer value, in codes; their tokens for one sample."""
    parts = tuple(
        builder.channel(f"{name}.i8", "i8", size, layout.tokens, scale)
        for size in balanced(layout.token_size, limit)
    )
    builder.tokens[name] = Tokens(layout, {"i8": parts}, scale)
    found: dict[str, Array] = {}
    cut(parts, to_tokens(layout, sample), builder, found)
    return found


def whole_tokens(tokens: Tokens, form: str, channels: dict[str, Array]) -> Array:
    """The parts of a tensor side by side; as many tokens and elements as its layout says."""
    joined = np.concatenate([channels[part] for part in tokens.parts[form]], axis=1)
    assert joined.shape == (tokens.layout.tokens, tokens.layout.token_size)
    return joined


def chip_module(builder: Builder) -> Module:
    """What a builder holds, as a module for emission."""
    return Module(
        Level.CHIP, "m", None, (), (), builder.values, builder.constants, tuple(builder.ops)
    )
