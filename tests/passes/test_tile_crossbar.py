"""Convolutions and products on crossbars: every weight once, in as few tiles as can be."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import Op
from anacc.ir.module import AttributeValue
from anacc.ir.parse import parse_module
from anacc_passes.cut_layers import Cut
from anacc_passes.packing.regions import Region, as_attribute
from anacc_passes.tile import Tile
from anacc_passes.tiling.blocks import blocks
from anacc_passes.tiling.builder import Builder, balanced, bounds
from anacc_passes.tiling.crossbar import lower_crossbar, row_tiles
from anacc_passes.tiling.matrix import weight_codes
from tests.passes.chip_interpreter import Array, codes_of, feed, run, to_tokens, whole_tokens
from tests.passes.chips import target
from tests.passes.layers import Matrix, Window, distinct_weights, layer_module, windows

ROWS, COLUMNS = 12, 8
SMALL = target(crossbar__rows=ROWS, crossbar__columns=COLUMNS)
PRODUCT: dict[str, AttributeValue] = {"strides": (), "pads": (), "dilations": (), "group": 1}

# Cutting.


@given(st.integers(1, 2000), st.integers(1, 300))
def test_balanced_is_fewest_pieces_as_equal_as_can_be(total: int, limit: int) -> None:
    sizes = balanced(total, limit)
    assert sum(sizes) == total and max(sizes) <= limit
    assert len(sizes) == math.ceil(total / limit)
    assert max(sizes) - min(sizes) <= 1 and list(sizes) == sorted(sizes, reverse=True)
    spans = bounds(sizes)
    assert [last - first for first, last in spans] == list(sizes)
    assert [first for first, _ in spans] == [0, *(last for _, last in spans[:-1])]


@given(
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([(), (1,), (3,), (2, 2)]),
    st.integers(1, 20),
    st.integers(1, 12),
)
def test_blocks_hold_every_weight_once(
    group: int, outputs: int, channels: int, kernel: tuple[int, ...], rows: int, columns: int
) -> None:
    group = group if kernel else 1
    weight = distinct_weights((group * outputs, channels, *kernel))
    dense = Matrix(weight, group).dense()
    group_rows = channels * math.prod(kernel)
    found = blocks(weight, group, rows, columns)
    whole = np.zeros_like(dense)
    for block in found:
        part = whole[slice(*block.rows), slice(*block.columns)]
        assert part.shape == block.weight.shape and not part.any()
        part += block.weight
    np.testing.assert_array_equal(whole, dense)
    # Blocks share neither rows nor columns, so no crossbar sums what belongs to two of them.
    for spans in ([block.rows for block in found], [block.columns for block in found]):
        assert spans[0][0] == 0 and all(
            a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False)
        )
    if group_rows <= rows and outputs <= columns and group > 1:
        together = min(rows // group_rows, columns // outputs)
        assert len(found) == math.ceil(group / together)
        assert all(b.weight.shape[0] <= rows and b.weight.shape[1] <= columns for b in found)
    else:
        assert len(found) == group


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(1, 24))
def test_row_tiles_share_parts_among_the_fewest_tiles(sizes: list[int], limit: int) -> None:
    module = layer_module("tanh", {"%x": (1,), "%y": (1,)}, ("%x",), {}, {})
    builder = Builder(module, SMALL, "4-phase")
    parts = tuple(builder.channel("%p", "i8", size, 3) for size in sizes)
    total = sum(sizes)
    x = np.arange(3 * total).reshape(3, total)
    given_ = {part: x[:, a:b] for part, (a, b) in zip(parts, bounds(sizes), strict=True)}
    tiles = row_tiles(builder, parts, limit, ())
    channels = run(builder, given_)
    assert len(tiles) == math.ceil(total / limit)
    last = 0
    for (first, end), inputs in tiles:
        assert first == last and 0 < end - first <= limit
        joined = np.concatenate([channels[name] for name in inputs], axis=1)
        np.testing.assert_array_equal(joined, x[:, first:end])
        last = end
    assert last == total


def test_row_tiles_leave_parts_as_they_are_where_they_fill_the_fewest() -> None:
    module = layer_module("tanh", {"%x": (1,), "%y": (1,)}, ("%x",), {}, {})
    builder = Builder(module, SMALL, "4-phase")
    parts = tuple(builder.channel("%p", "i8", size, 1) for size in (4, 8, 5, 7))
    assert row_tiles(builder, parts, 12, ()) == [((0, 12), parts[:2]), ((12, 24), parts[2:])]
    assert not builder.ops


# Codes.


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.sampled_from([1e-30, 1, 1e30]))
def test_codes_are_within_half_an_lsb(rows: int, columns: int, seed: int, size: float) -> None:
    weight = np.random.default_rng(seed).standard_normal((rows, columns)) * size
    weight[:, 0] = 0.0
    codes, scale = weight_codes(weight.astype(np.float32), 127)
    assert codes.dtype == np.int8 and scale.shape == (columns,)
    assert (np.abs(codes.astype(int)).max(axis=0)[1:] == 127).all()
    assert scale[0] == 0.0 and not codes[:, 0].any()
    error = np.abs(codes * scale - weight.astype(np.float32))
    assert (error <= 0.5 * scale * (1 + 1e-9)).all()


# Whole layers, in real arithmetic: all that remains is the rounding of codes and LDPU constants.


def check_tiles(builder: Builder, dense: Array, vectors: Array, channels: dict[str, Array]) -> int:
    """The tiles cover the matrix: each weight in one tile, each tile fed with its rows.

    Returns:
        the number of tiles.
    """
    seen = np.zeros(dense.shape, int)
    tiles = [op for op in builder.ops if op.kind == "tile"]
    for op in tiles:
        (top, bottom), (left, right) = (op.integers(f"weight_{n}") for n in ("rows", "columns"))
        assert bottom - top <= ROWS and right - left <= COLUMNS
        inputs = np.concatenate([channels[name] for name in op.operands[5:]], axis=1)
        np.testing.assert_array_equal(inputs, vectors[:, top:bottom])
        expected, _ = weight_codes(dense[top:bottom, left:right], 127)
        np.testing.assert_array_equal(codes_of(builder.constants, op.operands[0]), expected)
        seen[top:bottom, left:right] += 1
    assert (seen[dense != 0] == 1).all() and seen.max() == 1
    return len(tiles)


def ldpu_constants(columns: int) -> dict[str, Array]:
    k = np.arange(columns)
    return {"@s": (0.5 + k % 3).astype(np.float32), "@o": (3.0 * k - 4).astype(np.float32)}


def activated(op: Op, y: Array) -> Array:
    kind = op.attributes["activation"]
    if kind == "none":
        return y
    return np.clip(y, *((0, np.inf) if kind == "relu" else (op.number("low"), op.number("high"))))


ACTIVATIONS: list[dict[str, AttributeValue]] = [
    {"activation": "none"},
    {"activation": "relu"},
    {"activation": "clamp", "low": -5.0, "high": 30.0},
]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Window, int, int]:
    """A window, outputs of a group, and groups."""
    group = draw(st.integers(1, 5))
    window = draw(windows(group * draw(st.integers(1, 4))))
    return window, draw(st.integers(1, 10)), group


def cut_anywhere(data: st.DataObject, rows: int, columns: int) -> AttributeValue:
    """Regions of a dense matrix: row tiles of any size, each cut between any columns."""
    found: list[Region] = []
    for top, bottom in cuts(data, rows, ROWS):
        for left, right in cuts(data, columns, COLUMNS):
            found.append(Region((top, bottom), (left, right), len(found), 0, 0))
    return as_attribute(found)


def cuts(data: st.DataObject, total: int, limit: int) -> list[tuple[int, int]]:
    ends = [0]
    while ends[-1] < total:
        ends.append(ends[-1] + data.draw(st.integers(1, min(limit, total - ends[-1]))))
    return list(pairwise(ends))


@given(convolutions(), st.sampled_from(ACTIVATIONS), st.booleans(), st.integers(1, 5), st.data())
@settings(max_examples=150)
def test_a_convolution(
    layer: tuple[Window, int, int],
    activation: dict[str, AttributeValue],
    residual: bool,
    part: int,
    data: st.DataObject,
) -> None:
    window, outputs, group = layer
    outputs *= group
    weight = distinct_weights((outputs, window.channels // group, *window.kernel))
    shapes = {"%x": (window.channels, *window.sizes), "%y": (outputs, *window.positions)}
    if residual:
        shapes["%r"] = shapes["%y"]
    attributes = {**window.attributes(), "group": group, **activation}
    operands = ("%x", "@w", "@s", "@o", "%r" if residual else "")
    constants = {"@w": weight, **ldpu_constants(outputs)}
    dense = Matrix(weight, group)
    cut = data.draw(st.sampled_from(["as usual", "densest", "anywhere"]))
    if cut == "anywhere" and group == 1:
        attributes["regions"] = cut_anywhere(data, *dense.dense().shape)
    module = layer_module("crossbar", shapes, operands, constants, attributes)
    if cut == "densest":
        module = Cut(SMALL, "densest")(module)
    builder = Builder(module, SMALL, "4-phase")
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, shapes["%x"])
    channels = feed(builder, "%x", builder.layouts["%x"], x, 0.5, part)
    vectors = dense.vectors(window.im2col(x))
    y = (0.5 * vectors) @ dense.dense() * constants["@s"] + constants["@o"]
    if residual:
        r = rng.integers(-127, 128, shapes["%r"])
        channels |= feed(builder, "%r", builder.layouts["%r"], r, 0.5, part)
        y += 0.5 * r.reshape(outputs, -1).T
    tokens = lower_crossbar(builder, module.ops[0], frozenset({"i8", "f16"}))
    found = run(builder, channels)
    count = check_tiles(builder, dense.dense(), vectors, found)
    rows, columns = len(dense.dense()) // group, outputs // group
    if regions := module.ops[0].nested("regions"):
        assert count == len(regions)
    elif rows <= ROWS and columns <= COLUMNS:
        assert count == math.ceil(group / min(ROWS // rows, COLUMNS // columns))
    else:
        assert count == group * math.ceil(rows / ROWS) * math.ceil(columns / COLUMNS)
    expected = activated(module.ops[0], y)
    assert tokens.scale == 2.0
    for form in ("i8", "f16"):
        close(2.0 * whole_tokens(tokens, form, found), expected, y, vectors, dense.dense())


def close(found: Array, expected: Array, y: Array, vectors: Array, dense: Array) -> None:
    """Equal but for the rounding of weight codes (half of 1/127 of a column's largest weight) and
    of binary16 constants (2^-11)."""
    weights = np.abs(vectors).sum(axis=1, keepdims=True) * np.abs(dense).max(axis=0)
    tolerance = 0.5 * 3 * weights * (0.5 / 127 + 2.0**-10) + np.abs(y) * 2.0**-10 + 0.1
    assert (np.abs(found - expected) <= tolerance).all()


@given(
    st.lists(st.integers(1, 4), max_size=2),
    st.integers(1, 30),
    st.integers(1, 20),
    st.sampled_from(ACTIVATIONS),
    st.booleans(),
    st.integers(1, 12),
    st.permutations(range(3)),
    st.permutations(range(3)),
    st.data(),
)
@settings(max_examples=100)
def test_a_product(
    rows: list[int],
    features: int,
    outputs: int,
    activation: dict[str, AttributeValue],
    residual: bool,
    part: int,
    left: list[int],
    right: list[int],
    data: st.DataObject,
) -> None:
    weight = distinct_weights((outputs, features))
    shapes = {"%x": (*rows, features), "%y": (*rows, outputs)}
    if residual:
        shapes["%r"] = shapes["%y"]
    constants = {"@w": weight, **ldpu_constants(outputs)}
    operands = ("%x", "@w", "@s", "@o", "%r" if residual else "")
    attributes = {**PRODUCT, **activation}
    if data.draw(st.booleans()):
        attributes["regions"] = cut_anywhere(data, features, outputs)
    module = layer_module("crossbar", shapes, operands, constants, attributes)
    builder = Builder(module, SMALL, "4-phase")
    for name, order in (("%x", left), ("%y", right), ("%r", left)):
        if name in shapes:
            axes = [axis for axis in order if axis <= len(rows)]
            builder.layouts[name] = type(builder.layouts[name])(shapes[name], tuple(axes))
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, shapes["%x"])
    channels = feed(builder, "%x", builder.layouts["%x"], x, 0.5, part)
    vectors = x.reshape(-1, features)
    y = (0.5 * vectors) @ weight.T * constants["@s"] + constants["@o"]
    if residual:
        r = rng.integers(-127, 128, shapes["%r"])
        channels |= feed(builder, "%r", builder.layouts["%r"], r, 0.5, part)
        y += 0.5 * r.reshape(-1, outputs)
    tokens = lower_crossbar(builder, module.ops[0], frozenset({"i8"}))
    found = run(builder, channels)
    usual = math.ceil(features / ROWS) * math.ceil(outputs / COLUMNS)
    assert check_tiles(builder, weight.T, vectors, found) == (
        len(module.ops[0].nested("regions")) or usual
    )
    # Back from the layout of the result to one row for each vector.
    dims = builder.layouts["%y"].dims
    elements = to_tokens(builder.layouts["%y"], np.arange(math.prod(dims)).reshape(dims))
    natural = np.zeros(math.prod(dims))
    natural[elements.reshape(-1)] = 2.0 * whole_tokens(tokens, "i8", found).reshape(-1)
    expected = activated(module.ops[0], y)
    close(natural.reshape(y.shape), expected, y, vectors, weight.T)


def test_only_the_first_row_tile_has_the_offset_and_only_the_last_the_rest() -> None:
    shapes = {"%x": (30,), "%y": (4,), "%r": (4,)}
    constants = {"@w": distinct_weights((4, 30)), **ldpu_constants(4)}
    attributes: dict[str, AttributeValue] = {**PRODUCT, "activation": "relu"}
    module = layer_module("crossbar", shapes, ("%x", "@w", "@s", "@o", "%r"), constants, attributes)
    builder = Builder(module, SMALL, "4-phase")
    for name in ("%x", "%r"):
        feed(builder, name, builder.layouts[name], np.zeros(shapes[name]), 0.5)
    lower_crossbar(builder, module.ops[0], frozenset({"i8"}))
    tiles = [op for op in builder.ops if op.kind == "tile"]
    assert [bool(op.operands[2]) for op in tiles] == [True, False, False]
    assert [bool(op.operands[3]) for op in tiles] == [False, True, True]
    assert [bool(op.operands[4]) for op in tiles] == [False, False, True]
    assert [op.attributes["activation"] for op in tiles] == ["none", "none", "relu"]
    # Partial sums are binary16 values, and only what is wanted leaves the last tile.
    assert [tuple(map(bool, op.results)) for op in tiles] == [(0, 1), (0, 1), (1, 0)]
    assert [op.operands[3] for op in tiles[1:]] == [op.results[1] for op in tiles[:2]]


@pytest.mark.parametrize(("kind", "served"), [("relu", 1), ("tanh", 2)])
def test_a_counter_serves_one_phase_where_inputs_cannot_be_negative(kind: str, served: int) -> None:
    text = f"""
    module "m" level=layer batch=N {{
      constant @w : float32[1, 1] = [1.0]
      constant @s : float32[1] = [1.0]
      input %x : float32[N, 1] scale 0.5
      %a : float32[N, 1] scale 0.5 = {kind}(%x) from "a"
      %y : float32[N, 1] scale 0.5 = crossbar(%a, @w, @s, @s, _) {{activation = "none",
        dilations = [], group = 1, pads = [], strides = []}} from "b"
      output "y" = %y
    }}
    """
    lowered = Tile(SMALL, "4-phase")(parse_module(text))
    (op,) = (op for op in lowered.ops if op.kind == "tile")
    assert op.attributes["maximum"] == served * SMALL.adc.levels_per_phase.value
