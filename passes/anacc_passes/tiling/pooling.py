"""Pooling on the bridge: gather the window of each output position and reduce it."""

from __future__ import annotations

import math

import numpy as np

from anacc.ir import Op
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder, Tokens, balanced
from anacc_passes.tiling.crossbar import codes_of, spatial_nests

LOWEST = -LARGEST_CODE  # no code is lower: what padding holds where a maximum is taken


def lower_pool(builder: Builder, op: Op, forms: frozenset[str]) -> Tokens:
    """Lower max_pool or average_pool."""
    result = op.results[0]
    source = codes_of(builder, op, op.operands[0])
    layout = builder.layouts[result]
    scale = builder.scale(result)
    kernel, pads = op.integers("kernel"), op.integers("pads")
    rank = len(kernel)
    dilations = op.integers("dilations") if "dilations" in op.attributes else (1,) * rank
    stores, load, size, lead, step = spatial_nests(
        builder,
        source,
        layout,
        kernel,
        op.integers("strides"),
        pads,
        dilations,
        (),
        ((layout.token_size, 1),),
    )
    average = ""
    if op.kind == "average_pool":
        spatial_in = tuple(source.layout.dims[axis] for axis in layout.permutation[-1 - rank : -1])
        spatial_out = tuple(layout.dims[axis] for axis in layout.permutation[-1 - rank : -1])
        counts = averaged(spatial_in, spatial_out, kernel, op.integers("strides"), pads, dilations)
        if op.attributes["count_include_pad"]:
            counts = np.full_like(counts, math.prod(kernel))
        if op.attributes.get("total"):
            counts = np.ones_like(counts)
        if (counts == counts.flat[0]).all():
            counts = counts.reshape(-1)[:1]
        factors = source.scale / (counts.reshape(-1).astype(np.float64) * scale)
        average = builder.constant(f"{result[1:]}.average", factors.astype(np.float32))
    sizes = balanced(layout.token_size, builder.target.crossbar.rows.value)
    parts: dict[str, tuple[str, ...]] = {
        form: tuple(
            builder.channel(f"{result}.{form}", form, width, layout.tokens, scale)
            for width in sizes
        )
        for form in ("i8", "f16")
        if form in forms
    }
    builder.gather(
        stores,
        load,
        tuple(name for names in parts.values() for name in names),
        size,
        op.origins,
        fill=LOWEST if op.kind == "max_pool" else 0,
        reduce="max" if op.kind == "max_pool" else "average",
        window=math.prod(kernel),
        average=average,
        lead=lead,
        step=step,
    )
    return Tokens(layout, parts, scale, source.zero if op.kind == "max_pool" else 0)


def averaged(
    size: tuple[int, ...],
    result: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How many elements of each window are not padding, shape `result`.

    Args:
        size: spatial shape of the operand.
        result: spatial shape of the result.
        kernel, strides, dilations: for each axis.
        pads: begins, then ends.
    """
    counts = np.ones((), np.int64)
    for axis, outputs in enumerate(result):
        first = np.arange(outputs) * strides[axis] - pads[axis]
        taps = first[:, np.newaxis] + np.arange(kernel[axis]) * dilations[axis]
        inside = np.sum((taps >= 0) & (taps < size[axis]), axis=1)
        counts = np.multiply.outer(counts, inside)
    return counts
