"""Cut layers: regions cover each matrix once, fit crossbars, and leave GDPUs their tiles."""

from __future__ import annotations

import numpy as np
import pytest

from anacc.errors import IrError
from anacc.ir import Module
from anacc.ir.parse import parse_module
from anacc.mapping_file import read_mapping
from anacc_passes.cut_layers import Cut
from anacc_passes.packing.regions import Region, of_layer
from anacc_passes.tiling.blocks import blocks_of_regions
from tests.passes.chips import target

CHIP = target(crossbar__rows=12, crossbar__columns=8)

TEXT = """
module "m" level=layer batch=N {{
  constant @w : float32[5, 30] = {w}
  constant @s : float32[5] = [1.0, 1.0, 1.0, 1.0, 1.0]
  input %x : float32[N, 30] scale 0.5
  %y : float32[N, 5] scale 0.5 = crossbar(%x, @w, @s, @s, _) {{activation = "none",
    dilations = [], group = 1, pads = [], strides = []}} from "first"
  %z : float32[N, 5] scale 0.5 = crossbar(%x, @w, @s, @s, _) {{activation = "none",
    dilations = [], group = 1, pads = [], strides = []}} from "second"
  {tail}
  output "z" = %z
}}
"""


def module(tail: str = 'output "y" = %y') -> Module:
    weights = [0.5] * 150
    return parse_module(TEXT.format(w=weights, tail=tail))


def regions(found: Module) -> list[tuple[Region, ...]]:
    return [of_layer(op) for op in found.ops if op.kind == "crossbar"]


def test_strips_of_full_height_and_of_the_rest() -> None:
    """Twice 30 x 5: four strips of 12 x 5 and two of 6 x 5, above one another: 25 columns."""
    first, second = regions(Cut(CHIP, "densest")(module()))
    for each in (first, second):
        assert {region.rows for region in each} == {(0, 12), (12, 24), (24, 30)}
        for rows in {region.rows for region in each}:
            spans = sorted(r.columns for r in each if r.rows == rows)
            assert spans[0][0] == 0 and spans[-1][1] == 5
    assert {region.crossbar for region in (*first, *second)} == set(range(4))
    halves = [region for region in (*first, *second) if region.rows == (24, 30)]
    assert {region.row for region in halves} == {0, 6}


def test_nothing_is_cut_where_that_saves_no_crossbar() -> None:
    """Ten columns of 30 rows take two crossbars of 30 x 8, cut or not; but pieces of a layer on one
    crossbar run one after another."""
    for rows, cut in ((12, True), (30, False)):
        chip = target(crossbar__rows=rows, crossbar__columns=8)
        assert [bool(each) for each in regions(Cut(chip, "densest")(module()))] == [cut, cut]


@pytest.mark.parametrize(("crossbars", "cut"), [(6, False), (5, True)])
def test_auto_cuts_only_where_rectangles_do_not_fit(crossbars: int, cut: bool) -> None:
    """Six tiles of 10 x 5 share no crossbar of 12 x 8 as rectangles."""
    assert [bool(each) for each in regions(Cut(CHIP, "auto", crossbars)(module()))] == [cut, cut]


def test_layers_before_a_gdpu_keep_their_tiles() -> None:
    tail = """%t : float32[N, 5] scale 0.5 = tanh(%y) from "t"
  output "t" = %t"""
    first, second = regions(Cut(CHIP, "densest")(module(tail)))
    assert not first and second


@pytest.mark.parametrize("packing", ["always", "never"])
def test_other_packings_cut_nothing(packing: str) -> None:
    assert regions(Cut(CHIP, packing, crossbars=1)(module())) == [(), ()]


def test_regions_of_a_mapping_are_taken_as_they_are() -> None:
    rows = [(0, 12), (12, 20), (20, 30)]
    parts = [
        {
            "tile_row_region": [0, last - first],
            "tile_col_region": [2, 7],
            "weight_row_region": [first, last],
            "weight_col_region": [0, 5],
        }
        for first, last in rows
    ]
    places = {"1": {str(column): [part] for column, part in enumerate(parts)}}
    mapping = read_mapping({"second": {"type": "Linear", "tiles_map": places}})
    given = tuple(Region(span, (0, 5), 8 + column, 0, 2) for column, span in enumerate(rows))
    assert regions(Cut(CHIP, "densest", mapping=mapping)(module())) == [(), given]


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found[1:],
        lambda found: [*found, found[0]],
        lambda found: [*found[1:], Region((0, 3), (0, 8), 0, 0, 0)],
    ],
)
def test_regions_that_do_not_cover_a_matrix_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    weight = np.ones((8, 6))
    found = [Region((row, row + 3), (column, column + 4), 0, row, column)
             for row in (0, 3) for column in (0, 4)]  # fmt: skip
    assert len(blocks_of_regions(weight, 1, found)) == 1
    with pytest.raises(IrError, match="do not cover"):
        blocks_of_regions(weight, 1, damage(found))
