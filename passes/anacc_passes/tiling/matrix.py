"""A weight matrix on crossbars: codes, scales, and the tiles of a column of row tiles.

Formulas are those of docs/numerics.md: real weight = code * weight scale; counts per unit of charge
= multiplier / 2^shift; the LDPU's scale undoes both and counts in units of the result's scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial as later
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.targets.adc import AdcSettings
from anacc_passes.binary16 import binary16, headroom
from anacc_passes.packing.regions import Region
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.correction import correction, stated
from anacc_passes.tiling.full_scale import Driven, choose
from anacc_passes.tiling.samples import Vectors

FloatArray = npt.NDArray[Any]
_LATER = np.zeros(0, np.int8)
"""Stands for a constant that `_fill` computes."""


@dataclass(frozen=True)
class Columns:
    """What the LDPU does for the columns of one column of tiles.

    Attributes:
        scale: factor of each column behind the product (batch norm), shape (columns,).
        offset: added to each column, in real units, shape (columns,).
        activation: `none`, `relu` or `clamp`, with `low` and `high` in real units.
        diagonal: how many groups of these columns lie along the diagonal.
        residuals: for each piece of the last row tile the channel that is added, or none.
        residual_scale: real value of one unit of an element of the residual.
        forms: formats of the result.
        result_scale: real value of one unit of an element of the result.
        result_zero: the code of the result that stands for 0.
    """

    scale: FloatArray
    offset: FloatArray
    forms: frozenset[str]
    result_scale: float
    activation: str = "none"
    low: float = 0.0
    high: float = 0.0
    diagonal: int = 1
    residuals: tuple[str, ...] = ()
    residual_scale: float = 1.0
    result_zero: int = 0


@dataclass(frozen=True)
class Piece:
    """Neighbouring columns of a row tile that are one tile.

    Attributes:
        columns: (first, last + 1) of the layer's matrix.
        place: on a crossbar, if it is settled.
    """

    columns: tuple[int, int]
    place: Region | None = None

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns[1] - self.columns[0]


@dataclass(frozen=True)
class Inputs:
    """What drives the rows of one row tile.

    Attributes:
        parts: channels of codes, side by side.
        rows: (first, last + 1) of the layer's matrix.
        scale: real value of one code.
        nonnegative: no code can be negative.
        zero: the code that stands for 0.
        recurrent: the channels go round in a loop through time.
        vectors: what calibration data drive them with, in units of `scale` and with the zero point
            added, shape (n, rows), or None.
    """

    parts: tuple[str, ...]
    rows: tuple[int, int]
    scale: float
    nonnegative: bool
    zero: int = 0
    recurrent: bool = False
    vectors: Vectors | None = None


@dataclass(frozen=True)
class RowTile:
    """One row tile, before anything is emitted.

    Attributes:
        item: what drives it.
        codes: weight codes, shape (rows, columns).
        adc: converter settings.
        snr: of the converted product on calibration data, in dB, if it was measured.
        scale: real value of one count of each column, shape (columns,).
        shift: real value of what the inputs' zero points add to each column, shape (columns,).
        copies: how often the tile holds its rows.
        driven: what the calibration vectors give, if there are any.
    """

    item: Inputs
    codes: npt.NDArray[np.int8]
    adc: AdcSettings
    snr: float | None
    scale: FloatArray
    shift: FloatArray
    copies: int = 1
    driven: Driven | None = None


def weight_codes(
    weight: FloatArray,
    largest: int,
    share: float = 1.0,
    columns: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Codes in [-largest, largest] and the scale of each column; a column of zeros has scale 0.

    Integers (int8) are codes already, and -128 saturates.  A column of them that leaves more than
    half of the range unused is multiplied by the largest integer that fits, which loses nothing.

    Args:
        weight: real weights, or integers, shape (rows, columns).
        largest: the code of the largest conductance, at most 127.
        share: of the conductance range that the largest weight of a column takes; beyond 1, weights
            saturate.
        columns: those that are wanted; None: all.
    """
    if columns is not None:
        weight = weight[:, columns]
    if weight.dtype.kind == "i" and largest == LARGEST_CODE and share == 1:
        kept = np.clip(weight.astype(np.int64), -largest, largest)
        peak = np.abs(kept).max(axis=0, initial=0)
        times = largest // np.maximum(peak, 1)
        return (kept * times).astype(np.int8), np.where(peak > 0, 1.0 / times, 0.0)
    low, high = (edge(axis=0, initial=0) for edge in (weight.min, weight.max))
    peaks = np.maximum(high.astype(np.float64), -low.astype(np.float64))
    scale = peaks / (largest * share)
    found = np.divide(weight, np.where(scale > 0, scale, 1.0), dtype=np.float64)
    np.rint(found, out=found)
    if share > 1:  # else the largest weight is the largest code
        np.clip(found, -largest, largest, out=found)
    return found.astype(np.int8), scale


def row_tile(builder: Builder, weight: FloatArray, item: Inputs, factor: FloatArray) -> RowTile:
    """Codes, converter settings and scale of one row tile.

    Args:
        builder: the module under construction.
        weight: real weights, shape (rows, columns).
        item: what drives the rows.
        factor: what each column is multiplied by behind the product, shape (columns,).
    """
    coding = later(weight_codes, weight, builder.target.crossbar.g_max.value)
    free = builder.target.crossbar.rows.value // len(weight) if builder.row_copies else 1
    choice = choose(
        builder.target,
        builder.read_mode,
        item.nonnegative,
        weight,
        coding,
        factor,
        item.vectors,
        free,
        item.zero,
    )
    adc, copies = choice.adc, choice.copies
    charge = item.scale * choice.scale * factor  # real value of one unit of charge of one copy
    shift = item.zero * choice.codes.sum(axis=0, dtype=np.int64) * charge
    scale = 2.0**adc.b / adc.a * charge / copies
    return RowTile(item, choice.codes, adc, choice.snr, scale, shift, copies, choice.driven)


def column_of_tiles(
    builder: Builder,
    stem: str,
    weight: FloatArray,
    inputs: Sequence[Inputs],
    columns: tuple[int, int],
    ldpu: Columns,
    origins: tuple[str, ...],
    *,
    tokens: int,
    layer: str,
    pieces: Sequence[Sequence[Piece]] | None = None,
) -> list[tuple[str, str]]:
    """Add the row tiles of one column of tiles: each adds its product to the partial sum of the one
    before.  The first one carries the offset; the last one adds the residual, activates, and gives
    the formats that are wanted.

    Args:
        builder: the module under construction.
        stem: name of the result, with its `%`.
        weight: real weights of these columns, shape (all rows, columns), rows as in `inputs`.
        inputs: the row tiles in ascending order; their rows index `weight` from the first
            one's first row on.
        columns: (first, last + 1) of the layer's matrix.
        ldpu: what the LDPU does.
        origins: ONNX nodes.
        tokens: tokens of the result.
        layer: name of the layer, for reports.
        pieces: of each row tile; None: each is one tile.  Where a row tile is cut between other
            columns than the one before, its partial sums are regrouped.

    Returns:
        For each piece of the last row tile channels of codes and of binary16 values, "" where not
        wanted.
    """
    if pieces is None:
        pieces = [(Piece(columns),)] * len(inputs)
    results: list[tuple[str, str]] = []
    ops: list[list[int]] = []
    sums: list[str] = []  # channels of partial sums, of which the unit is not known yet
    for item, cut in zip(inputs, pieces, strict=True):
        first, last = item is inputs[0], item is inputs[-1]
        partials = tuple(values for _, values in results)
        if partials:
            partials = builder.regroup(partials, tuple(piece.width for piece in cut), origins)
            sums += partials
        forms = ldpu.forms if last else frozenset({"f16"})
        stem_of_piece, scale = (stem, ldpu.result_scale) if last else (f"{stem}.partial", None)
        results = []
        ops.append([])
        for number, piece in enumerate(cut):
            names = ("codes", "scale", *(["offset"] if first else []))
            constants = [builder.constant(f"{stem[1:]}.{name}", _LATER) for name in names]
            i8, f16 = (
                builder.channel(f"{stem_of_piece}.{form}", form, piece.width, tokens, scale)
                if form in forms
                else ""
                for form in ("i8", "f16")
            )
            results.append((i8, f16))
            sums += [] if last else [f16]
            residual = ldpu.residuals[number] if last and ldpu.residuals else ""
            before = partials[number] if partials else ""
            ops[-1].append(len(builder.ops))
            builder.emit(
                "tile",
                (*constants, *([] if first else [""]), before, residual, *item.parts),
                (i8, f16),
                origins,
                layer=layer,
                weight_rows=item.rows,
                weight_columns=piece.columns,
                recurrent=item.recurrent,
                **_place(piece.place),
            )
    job = later(_fill, builder, ops, tuple(sums), weight, tuple(inputs), columns[0], ldpu)
    builder.crew.give(job)
    return results


def _place(region: Region | None) -> dict[str, int]:
    """The attributes of a tile whose place is settled."""
    if region is None:
        return {}
    return {"crossbar": region.crossbar, "row": region.row, "column": region.column}


def _fill(
    builder: Builder,
    ops: Sequence[Sequence[int]],
    sums: Sequence[str],
    weight: FloatArray,
    inputs: Sequence[Inputs],
    first_column: int,
    ldpu: Columns,
) -> None:
    """Compute what the ops of a column of tiles still lack: constants, settings, units."""
    first_row = inputs[0].rows[0]
    tiles = [
        row_tile(builder, weight[a - first_row : b - first_row], item, ldpu.scale)
        for item in inputs
        for a, b in [item.rows]
    ]
    tiles, corrected = _corrected(builder, tiles, ldpu)
    added = (corrected.offset - ldpu.offset) / ldpu.result_scale
    ldpu = corrected
    ldpu = _with_zero_points(ldpu, tiles)
    gain = _gain(tiles, ldpu)
    unit = ldpu.result_scale * gain
    for name in sums:
        builder.rescale(name, unit)
    for members, tile in zip(ops, tiles, strict=True):
        last = tile is tiles[-1]
        for index in members:
            op = builder.ops[index]
            (r0, r1), (c0, c1) = op.integers("weight_rows"), op.integers("weight_columns")
            where = f"{op.text('layer')} rows {r0}:{r1} columns {c0}:{c1}"
            chosen = slice(c0 - first_column, c1 - first_column)
            part = tile.codes[:, chosen]
            codes, scale, offset = op.operands[:3]
            builder.constants[codes] = builder.spool.keep(np.tile(part, (tile.copies, 1)))
            # A column of zeros has the scale 0, also where its factor is negative.
            builder.constants[scale] = binary16(tile.scale[chosen] / unit + 0.0, where)
            if offset:
                builder.constants[offset] = binary16(ldpu.offset[chosen] / unit, where)
            builder.complete(
                index,
                {
                    "cells": tile.copies * part.size // ldpu.diagonal,
                    "phases": tile.adc.phases,
                    "multiplier": tile.adc.a,
                    "shift": tile.adc.b,
                    "maximum": tile.adc.c_max,
                    "residual_scale": ldpu.residual_scale / unit if op.operands[4] else 0.0,
                    "activation": ldpu.activation if last else "none",
                    "low": ldpu.low / unit if last else 0.0,
                    "high": ldpu.high / unit if last else 0.0,
                    "gain": gain if last else 1.0,
                    **({} if tile.snr is None else {"snr": tile.snr}),
                    **({} if tile.copies == 1 else {"copies": tile.copies}),
                    **(stated(added[chosen]) if offset else {}),
                },
            )


def _corrected(
    builder: Builder, tiles: list[RowTile], ldpu: Columns
) -> tuple[list[RowTile], Columns]:
    """The tiles and the LDPU with what `Builder.correction` asks for, where calibration vectors
    drive all row tiles at once."""
    given = [tile.driven for tile in tiles]
    lengths = {len(each.counts) if each is not None else 0 for each in given}
    # What drives a recurrence does not belong to the same steps as what drives its input.
    if (
        builder.correction == "none"
        or len(lengths) > 1
        or lengths == {0}
        or any(tile.item.recurrent for tile in tiles)
    ):
        return tiles, ldpu
    found, exact = np.zeros(()), np.zeros(())
    for tile, each in zip(tiles, given, strict=True):
        if each is None:
            continue
        exact = exact + each.product * (tile.item.scale * ldpu.scale)
        found = found + each.counts * tile.scale - tile.shift
    seen = None
    if ldpu.activation == "relu" and not ldpu.residuals:
        # What the activation hides need not be right.
        seen = exact + ldpu.offset > 0
    factor, offset = correction(builder.correction, found, exact, seen)
    return (
        [replace(tile, scale=tile.scale * factor, shift=tile.shift * factor) for tile in tiles],
        replace(ldpu, offset=ldpu.offset + offset),
    )


def _with_zero_points(ldpu: Columns, tiles: Sequence[RowTile]) -> Columns:
    """Take off what the zero points of the inputs add, z * sum(w), and add that of the result."""
    zero = ldpu.result_zero * ldpu.result_scale
    shift = sum((tile.shift for tile in tiles), np.zeros(len(ldpu.offset)))
    ldpu = replace(ldpu, offset=ldpu.offset - shift + zero)
    if not zero or ldpu.activation == "none":
        return ldpu
    low, high = (ldpu.low, ldpu.high)
    if ldpu.activation == "relu":
        low, high = 0.0, 2 * LARGEST_CODE * ldpu.result_scale  # no code is so large
    return replace(ldpu, activation="clamp", low=low + zero, high=high + zero)


def _gain(tiles: Sequence[RowTile], ldpu: Columns) -> float:
    """By how much the LDPU's unit must exceed the result's, a power of two.

    No constant then leaves the range of binary16, and where row tiles or a residual operand are
    added, no sum does, whatever the order of its terms.  It is 1 unless these are hundreds of
    times larger than the results.  Bounds of a clamp do not count: beyond the range, they bound
    nothing.
    """
    if len(tiles) == 1 and not ldpu.residuals:
        return headroom(tiles[0].scale / ldpu.result_scale, ldpu.offset / ldpu.result_scale)
    largest = sum((tile.scale * tile.adc.c_max for tile in tiles), np.abs(ldpu.offset))
    if ldpu.residuals:
        largest = largest + LARGEST_CODE * ldpu.residual_scale
    return headroom(largest / ldpu.result_scale)
