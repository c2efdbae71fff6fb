"""A weight matrix on crossbars: codes, scales, and the tiles of a column of row tiles.

Formulas are those of docs/numerics.md: real weight = code * weight scale; counts per unit of charge
= multiplier / 2^shift; the LDPU's scale undoes both and counts in units of the result's scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import CompileError
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.full_scale import choose

CODES = 127
LARGEST = 65504.0  # of binary16

FloatArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """What the LDPU does for the columns of one column of tiles.

    Attributes:
        scale: factor of each column behind the product (batch norm), shape (columns,).
        offset: added to each column, in real units, shape (columns,).
        activation: `none`, `relu` or `clamp`, with `low` and `high` in real units.
        residual: channel that is added, or "".
        residual_scale: real value of one unit of an element of the residual.
        forms: formats of the result.
        result_scale: real value of one unit of an element of the result.
    """

    scale: FloatArray
    offset: FloatArray
    forms: frozenset[str]
    result_scale: float
    activation: str = "none"
    low: float = 0.0
    high: float = 0.0
    residual: str = ""
    residual_scale: float = 1.0


@dataclass(frozen=True)
class Inputs:
    """What drives the rows of one row tile.

    Attributes:
        parts: channels of codes, side by side.
        rows: (first, last + 1) of the layer's matrix.
        scale: real value of one code.
        nonnegative: no code can be negative.
        recurrent: the channels carry one token more than there are steps.
        vectors: codes that calibration data drive them with, shape (n, rows), or None.
    """

    parts: tuple[str, ...]
    rows: tuple[int, int]
    scale: float
    nonnegative: bool
    recurrent: bool = False
    vectors: npt.NDArray[np.int8] | None = None


def weight_codes(weight: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Codes in [-127, 127] and the scale of each column; a column of zeros has scale 0.

    Args:
        weight: real weights, shape (rows, columns).
    """
    scale = np.abs(weight).max(axis=0, initial=0.0).astype(np.float64) / CODES
    divisor = np.where(scale > 0, scale, 1.0)
    codes = np.clip(np.rint(weight / divisor), -CODES, CODES).astype(np.int8)
    return codes, scale


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
    partial: str = "",
) -> tuple[str, str]:
    """Add the row tiles of one column of tiles: each adds its product to the partial sum of the one
    before.  Only a chain that starts without a partial sum carries the offset; the last tile
    adds the residual, activates, and gives the formats that are wanted.

    Args:
        builder: the module under construction.
        stem: name of the result, with its `%`.
        weight: real weights of these columns, shape (all rows, columns), rows as in `inputs`.
        inputs: the row tiles in ascending order; their rows index `weight` from the first
            tile's first row on.
        columns: (first, last + 1) of the layer's matrix.
        ldpu: what the LDPU does.
        origins: ONNX nodes.
        tokens: tokens of the result.
        layer: name of the layer, for reports.
        partial: channel of a partial sum, or "".

    Returns:
        Channels of codes and of binary16 values, "" where not wanted.
    """
    width = columns[1] - columns[0]
    first_row = inputs[0].rows[0]
    results = ("", "")
    for position, item in enumerate(inputs):
        last = position == len(inputs) - 1
        block = weight[item.rows[0] - first_row : item.rows[1] - first_row]
        codes, weight_scale = weight_codes(block)
        adc = choose(builder.target, builder.read_mode, item.nonnegative, codes, item.vectors)
        per_count = 2.0**adc.b / adc.a
        scale = per_count * item.scale * weight_scale * ldpu.scale / ldpu.result_scale
        where = f"{layer} rows {item.rows[0]}:{item.rows[1]} columns {columns[0]}:{columns[1]}"
        offset = ""
        if not partial:
            shift = _binary16(ldpu.offset / ldpu.result_scale, where)
            offset = builder.constant(f"{stem[1:]}.offset", shift)
        residual = ldpu.residual if last else ""
        forms = ldpu.forms if last else frozenset({"f16"})
        name = stem if last else f"{stem}.partial"
        results = (
            builder.channel(f"{name}.i8", "i8", width, tokens, ldpu.result_scale)
            if "i8" in forms
            else "",
            builder.channel(f"{name}.f16", "f16", width, tokens, ldpu.result_scale)
            if "f16" in forms
            else "",
        )
        builder.emit(
            "tile",
            (
                builder.constant(f"{stem[1:]}.codes", codes),
                builder.constant(f"{stem[1:]}.scale", _binary16(scale, where)),
                offset,
                partial,
                residual,
                *item.parts,
            ),
            results,
            origins,
            layer=layer,
            weight_rows=item.rows,
            weight_columns=columns,
            phases=adc.phases,
            multiplier=adc.a,
            shift=adc.b,
            maximum=adc.c_max,
            residual_scale=ldpu.residual_scale / ldpu.result_scale if residual else 0.0,
            activation=ldpu.activation if last else "none",
            low=ldpu.low / ldpu.result_scale if last else 0.0,
            high=ldpu.high / ldpu.result_scale if last else 0.0,
            recurrent=item.recurrent,
        )
        partial = results[1]
    return results


def _binary16(values: FloatArray, where: str) -> npt.NDArray[np.float16]:
    """LDPU constants in binary16, saturating.

    Raises:
        CompileError: if a value is not finite.
    """
    if not np.isfinite(values).all():
        raise CompileError(
            f"{where}: a weight, scale or bias is not finite", "check the model's weights"
        )
    return np.clip(values, -LARGEST, LARGEST).astype(np.float16)
