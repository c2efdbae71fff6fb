"""Elementwise functions that no crossbar layer took: a stream for each part of the token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anacc.errors import IrError
from anacc.ir import Op
from anacc.ir.module import AttributeValue
from anacc_passes.binary16 import LARGEST, binary16, headroom
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder, Tokens, bounds
from anacc_passes.tiling.function import Lookup, lookup
from anacc_passes.tiling.layout import Layout, row_major, sample_dims
from anacc_passes.tiling.matrix import FloatArray
from anacc_passes.tiling.movement import Movement, move


@dataclass(frozen=True)
class Formula:
    """y = out_scale * function(scale * left + offset [, right_scale * right]), see the chip op."""

    function: str
    scale: FloatArray
    offset: FloatArray
    right_scale: float = 0.0
    out_scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    table: Lookup | None = None


def formula(builder: Builder, op: Op, left: float, right: float, result: float) -> Formula:
    """The function of an op on elements with the given scales.

    `scale` and `offset` have shape (tokens or 1, token size or 1).
    """
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    if op.kind in ("tanh", "sigmoid"):
        # Any code that counts more than the range of binary16 is far beyond the table's.
        return Formula(op.kind, one * min(left, LARGEST), zero, out_scale=1.0 / result)
    if op.kind == "function":
        table = lookup(op, builder.target, left, result)
        return Formula("table", one * table.scale, one * table.offset, table=table)
    scale, offset, low, high = one * left, zero, 0.0, 0.0
    if op.kind == "affine":
        layout = builder.layouts[op.results[0]]
        factor, offset = (
            _by_token(builder.module.constants[name], layout, builder, op)
            for name in op.operands[1:3]
        )
        scale = factor * left
    elif op.kind == "clamp":
        low, high = op.number("low"), op.number("high")
    elif op.kind == "multiply":
        # Bring the left operand near 1, so that neither it nor the product leaves the range.
        near = 2.0 ** round(math.log2(left))
        scale, right = one * (left / near), right * near
    elif op.kind not in ("relu", "add"):
        raise IrError(f"op `{op.kind}` is no elementwise function")
    function = "none" if op.kind == "affine" else op.kind
    terms = (
        (LARGEST_CODE * right,)
        if op.kind == "multiply"
        else (LARGEST_CODE * scale, LARGEST_CODE * right)
    )
    unit = result * headroom(*(np.asarray(term) / result for term in (*terms, offset)))
    if op.kind != "multiply":
        scale = scale / unit
    return Formula(
        function, scale, offset / unit, right / unit, unit / result, low / unit, high / unit
    )


def with_codes(builder: Builder, source: Tokens, stem: str, origins: tuple[str, ...]) -> Tokens:
    """The same tensor, its binary16 values also quantised to codes by a GDPU."""
    one = builder.constant(f"{stem[1:]}.one", np.ones((1, 1), np.float16))
    zero = builder.constant(f"{stem[1:]}.zero", np.zeros((1, 1), np.float16))
    codes = []
    for part in source.parts["f16"]:
        kind = builder.type(part)
        name = builder.channel(f"{stem}.i8", "i8", kind.token_size, kind.tokens, source.scale)
        builder.emit(
            "pointwise", (one, zero, part, ""), (name, ""), origins,
            function="none", right_scale=0.0, out_scale=1.0, low=0.0, high=0.0,
        )  # fmt: skip
        codes.append(name)
    return Tokens(source.layout, {**source.parts, "i8": tuple(codes)}, source.scale)


def _by_token(array: FloatArray, layout: Layout, builder: Builder, op: Op) -> FloatArray:
    """A constant in the order of the tokens, shape (tokens or 1, token size or 1)."""
    kind = builder.module.tensor(op.results[0])
    rank = len(kind.shape or ())
    aligned = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if kind.batch_axis is not None:
        aligned = aligned.squeeze(kind.batch_axis)
    aligned = aligned.reshape(aligned.shape or (1,)).astype(np.float64)
    moved = aligned.transpose(layout.permutation)
    dims = tuple(layout.dims[axis] for axis in layout.permutation)
    if all(size == 1 for size in moved.shape[:-1]):
        return moved.reshape(1, moved.shape[-1])
    return np.broadcast_to(moved, (*dims[:-1], moved.shape[-1])).reshape(-1, moved.shape[-1])


def _matched(builder: Builder, op: Op, position: int, layout: Layout) -> tuple[Tokens, str]:
    """An operand in the layout of the result, and the format to take it in."""
    name = op.operands[position]
    found = builder.tokens[name]
    form = found.finest
    if found.layout != layout:
        strides = row_major(sample_dims(builder.module.tensor(name)))
        movement = Movement(layout.tokens * layout.token_size, ((0, strides),), (0, strides))
        found = move(
            builder,
            [found],
            movement,
            layout,
            found.scale,
            frozenset({form}),
            f"{name}.aligned",
            op.origins,
        )
    return found, form


def lower_pointwise(builder: Builder, op: Op, forms: frozenset[str]) -> Tokens:
    """Lower affine, add, multiply, relu, clamp, sigmoid, tanh or function."""
    result = op.results[0]
    layout = builder.layouts[result]
    scale = builder.scale(result)
    left, left_form = _matched(builder, op, 0, layout)
    left_parts = left.parts[left_form]
    sizes = builder.sizes(left_parts)
    right_parts: tuple[str, ...] = ("",) * len(sizes)
    right_scale = 0.0
    if op.kind in ("add", "multiply"):
        right, right_form = _matched(builder, op, 1, layout)
        right_parts = builder.regroup(right.parts[right_form], sizes, op.origins)
        right_scale = right.scale
    done = formula(builder, op, left.scale, right_scale, scale)
    table: dict[str, AttributeValue] = {}
    samples: tuple[str, ...] = ()
    if done.table is not None:
        table = {"limit": done.table.limit, "odd": done.table.odd}
        samples = (builder.constant(f"{result[1:]}.samples", done.table.samples),)
    parts: dict[str, list[str]] = {form: [] for form in ("i8", "f16") if form in forms}
    for (first, last), a, b in zip(bounds(sizes), left_parts, right_parts, strict=True):
        names = {
            form: builder.channel(f"{result}.{form}", form, last - first, layout.tokens, scale)
            for form in parts
        }
        constants = []
        for label, array in (("scale", done.scale), ("offset", done.offset)):
            chosen = array if array.shape[1] == 1 else array[:, first:last]
            rounded = binary16(chosen, f"node `{op.origins[0]}`")
            constants.append(builder.constant(f"{result[1:]}.{label}", rounded))
        builder.emit(
            "pointwise",
            (*constants, a, b, *samples),
            (names.get("i8", ""), names.get("f16", "")),
            op.origins,
            function=done.function,
            right_scale=done.right_scale,
            out_scale=done.out_scale,
            low=done.low,
            high=done.high,
            **table,
        )
        for form, name in names.items():
            parts[form].append(name)
    return Tokens(layout, {form: tuple(names) for form, names in parts.items()}, scale)
