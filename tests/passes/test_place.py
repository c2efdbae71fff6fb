"""Every op gets a unit that exists, tiles do not overlap, and partial sums go to neighbours."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anacc_passes.floorplan.first as first
from anacc.errors import CompileError, UsageError
from anacc.ir import Module, Op
from anacc.targets import Target
from anacc_passes.floorplan import Grid
from anacc_passes.packing.crossbars import PACKINGS, size_of
from anacc_passes.place import Place
from anacc_passes.placement_report import core_of, placement_report
from tests.passes.chips import Chip, target
from tests.passes.golden_text import check as check_golden

HERMES = target()
KINDS = {"tile": "core", "pointwise": "gdpu", "lstm_cell": "gdpu", "regroup": "bridge",
         "gather": "bridge", "input": "host", "output": "host", "host": "host"}  # fmt: skip


def tiles(module: Module) -> list[Op]:
    return [op for op in module.ops if op.kind == "tile"]


def cores(module: Module) -> list[int]:
    return [core_of(op) for op in tiles(module)]


def check(module: Module, chip: Target, packing: str = "auto") -> Module:
    """Place a module, and check all that a placed module promises."""
    placed = Place(chip, packing)(module)
    limits = {"core": chip.cores, "gdpu": chip.gdpu.count.value,
              "bridge": chip.bridge.count.value, "host": 1}  # fmt: skip
    for before, op in zip(module.ops, placed.ops, strict=True):
        assert (op.kind, op.operands, op.results, op.origins) == (
            before.kind,
            before.operands,
            before.results,
            before.origins,
        )
        added = {"row", "column"} if op.kind == "tile" else set()
        assert op.attributes.keys() == before.attributes.keys() | added
        kind, _, place = str(op.unit).partition(" ")
        assert kind == KINDS[op.kind]
        assert place.startswith("0.") and 0 <= int(place[2:]) < limits[kind]
    for op in tiles(placed):
        size = size_of(placed, op)
        assert 0 <= op.integer("row") <= chip.crossbar.rows.value - size.rows
        assert 0 <= op.integer("column") <= chip.crossbar.columns.value - size.columns
    for a, b in combinations(tiles(placed), 2):
        assert a.unit != b.unit or apart(placed, a, b)
    makers = placed.producers()
    for op in placed.ops:
        if op.kind in ("pointwise", "lstm_cell"):
            for maker in (makers[name] for name in op.operands if name in makers):
                if maker.kind == "tile":
                    assert int(str(op.unit).split(".")[1]) in chip.gdpus_of(core_of(maker))
    assert Place(chip, packing)(module) == placed
    return placed


def apart(module: Module, a: Op, b: Op) -> bool:
    one, two = size_of(module, a), size_of(module, b)
    return (
        a.integer("row") + one.rows <= b.integer("row")
        or b.integer("row") + two.rows <= a.integer("row")
        or a.integer("column") + one.columns <= b.integer("column")
        or b.integer("column") + two.columns <= a.integer("column")
    )


def hops(module: Module, chip: Target) -> tuple[int, int]:
    found = placement_report(module, chip)["bounds"]["partial_sum_hops"]
    return found["value"], found["bound"]


@pytest.mark.parametrize("length", [2, 4, 9, 18, 64])
def test_a_chain_goes_from_neighbour_to_neighbour(length: int) -> None:
    chip = Chip()
    chip.output(chip.chain([256] * length, 256))
    placed = check(chip.module(), HERMES)
    grid = Grid(HERMES)
    assert all(grid.distance(a, b) == 1 for a, b in pairwise(cores(placed)))
    assert hops(placed, HERMES) == (length - 1, length - 1)


@given(st.lists(st.integers(1, 5), max_size=12), st.sampled_from(PACKINGS), st.booleans())
def test_random_networks(lengths: list[int], packing: str, tied: bool) -> None:
    chip = Chip()
    for number, length in enumerate(lengths):
        result = chip.chain([250 - 50 * number % 200] * length, 100 + number, layer=f"l{number}")
        result = chip.pointwise(result) if tied else chip.regroup([result], [99, 1 + number])[0]
        chip.output(result)
    placed = check(chip.module(), HERMES, packing)
    if packing == "never":
        assert len(set(cores(placed))) == len(cores(placed))
        value, bound = hops(placed, HERMES)
        assert value == bound


@given(st.integers(1, 40), st.sampled_from([(2, 3), (5, 5), (1, 9)]))
def test_chains_fill_any_grid(seed: int, grid: tuple[int, int]) -> None:
    """Chains of lengths that differ, up to the last core."""
    small = target(grid__rows=grid[0], grid__columns=grid[1])
    chip, left, number = Chip(), small.cores, seed
    while left:
        length = min(left, 1 + number % 4)
        chip.chain([256] * length, 200, layer=f"l{left}")
        left, number = left - length, number * 7 + 3
    placed = check(chip.module(), small)
    assert sorted(cores(placed)) == list(range(small.cores))


def test_the_lstm_of_the_captioning_network_fills_the_chip() -> None:
    """504 inputs and 504 hidden units in 8 chunks, a chunk on each GDPU, and 504 x 4064 outputs."""
    chip = Chip()
    hidden = chip.lstm([63] * 4, [252, 252]) + chip.lstm([63] * 4, [252, 252])
    for number in range(20):
        chip.chain([252, 252], 254, layer=f"output {number}")
    assert hidden
    placed = check(chip.module(), HERMES)
    assert sorted(cores(placed)) == list(range(64))
    assert hops(placed, HERMES) == (36, 36)
    cells = [op.unit for op in placed.ops if op.kind == "lstm_cell"]
    assert cells == [f"gdpu 0.{chunk}" for chunk in range(8)]


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_without_trials_the_placement_is_longer_but_valid(
    trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = Chip()
    chip.lstm([63] * 4, [252] * 10)
    module = chip.module()
    best = hops(Place(HERMES, effort=0)(module), HERMES)
    assert best[0] == best[1] == 40
    monkeypatch.setattr(first, "PATH_TRIALS", trials)
    assert hops(Place(HERMES, effort=0)(module), HERMES)[0] >= 40
    check(module, HERMES)


def test_chunks_beyond_the_gdpus_start_again_with_the_first() -> None:
    chip = Chip()
    chip.lstm([10] * 10, [100])
    placed = check(chip.module(), HERMES)
    cells = [op.unit for op in placed.ops if op.kind == "lstm_cell"]
    assert cells == [f"gdpu 0.{chunk % 8}" for chunk in range(10)]


def test_a_packed_lstm_keeps_input_and_hidden_tile_of_a_chunk_together() -> None:
    chip = Chip()
    chip.lstm([50] * 2, [100])
    placed = check(chip.module(), HERMES, "always")
    assert cores(placed)[0] == cores(placed)[1] != cores(placed)[2] == cores(placed)[3]


def test_tiles_of_an_elementwise_op_meet_in_a_column() -> None:
    chip = Chip()
    for number in range(12):
        sides = [chip.tile([chip.input(200)], 200, layer=f"{s}{number}") for s in "ab"]
        chip.output(chip.pointwise(chip.pointwise(sides[0], sides[1], "add")))
    placed = check(chip.module(), HERMES)
    gdpus = [op.unit for op in placed.ops if op.kind == "pointwise"]
    assert gdpus[::2] == gdpus[1::2], "what follows stays on the same GDPU"
    assert len(set(gdpus)) == 8


def test_parts_of_a_layer_go_to_columns_side_by_side_whatever_stands_between_layers() -> None:
    chip = Chip()
    for number in range(2):
        for part in range(4):
            chip.output(chip.pointwise(chip.tile([chip.input(200)], 200, layer=f"{number} {part}")))
        chip.output(chip.pointwise(chip.regroup([chip.tile([chip.input(9)], 9)], [9])[0]))
    placed = check(chip.module(), HERMES)
    gdpus = [int(str(op.unit).partition(".")[2]) for op in placed.ops if op.kind == "pointwise"]
    assert [number for index, number in enumerate(gdpus) if index % 5 < 4] == list(range(8))


def test_any_wiring_ties_no_tile() -> None:
    chip = Chip()
    for number in range(20):
        chip.output(chip.pointwise(chip.tile([chip.input(200)], 200, layer=f"l{number}")))
    every = target(gdpu__wiring="any", gdpu__count=1)
    check(chip.module(), every)
    with pytest.raises(CompileError, match="needs 20 cores wired to GDPU 0 .* has 8"):
        Place(target(gdpu__count=1), "never")(chip.module())


def test_auto_shares_between_blocks_of_a_layer_and_between_small_tiles() -> None:
    chip = Chip()
    for block in range(9):  # a depthwise convolution, 252 channels of 3x3
        chip.tile(
            [chip.input(252)], 28, layer="depthwise",
            rows=(252 * block, 252 * block + 252), at=(28 * block, 28 * block + 28),
        )  # fmt: skip
    for number in range(4):
        chip.tile([chip.input(128)], 128, layer=f"small {number}")
    for number in range(2):
        chip.tile([chip.input(129)], 20, layer=f"own {number}")
    placed = cores(check(chip.module(), HERMES))
    assert len(set(placed[:9])) == 1
    assert len(set(placed[9:13])) == 1
    assert len(set(placed)) == 4
    assert len(set(cores(check(chip.module(), HERMES, "never")))) == 15
    assert len(set(cores(check(chip.module(), HERMES, "always")))) == 3


def test_auto_packs_all_where_cores_run_out() -> None:
    chip = Chip()
    for number in range(8):
        chip.tile([chip.input(200)], 60, layer=f"l{number}")
    assert len(set(cores(check(chip.module(), HERMES)))) == 8
    small = target(grid__rows=1, grid__columns=2)
    assert len(set(cores(check(chip.module(), small)))) == 2


def test_bridge_units_are_dealt_out_in_turn() -> None:
    chip = Chip()
    for _ in range(5):
        chip.regroup([chip.input(10)], [4, 6])
    placed = check(chip.module(), target(bridge__count=3))
    units = [op.unit for op in placed.ops if op.kind == "regroup"]
    assert units == [f"bridge 0.{number % 3}" for number in range(5)]


def test_a_model_that_does_not_fit_says_what_it_needs() -> None:
    chip = Chip()
    for number in range(7):
        chip.chain([256] * (number + 1), 256, layer=f"l{number}")
    with pytest.raises(CompileError) as caught:
        Place(target(grid__rows=2, grid__columns=2))(chip.module())
    assert caught.value.message == (
        "the model needs 28 cores and target `IBM HERMES Project Chip` has 4; the layers that take "
        "the most cores are `l6` (7), `l5` (6), `l4` (5), `l3` (4), `l2` (3)"
    )
    assert caught.value.hint is not None and "grid.rows" in caught.value.hint
    with pytest.raises(CompileError, match="packing always"):
        Place(target(grid__rows=2, grid__columns=2), "never")(chip.module())


def test_units_that_the_target_lacks_are_named() -> None:
    chip = Chip()
    chip.output(chip.pointwise(chip.regroup([chip.input(10)], [10])[0]))
    with pytest.raises(CompileError, match="`regroup node` needs its data moved"):
        Place(target(bridge__count=0))(chip.module())
    chip = Chip()
    chip.output(chip.pointwise(chip.input(10), function="tanh"))
    with pytest.raises(CompileError, match="`pointwise node` needs tanh and no unit"):
        Place(target(gdpu__count=0))(chip.module())


def test_what_no_gdpu_computes_goes_to_an_ldpu() -> None:
    chip = Chip()
    made = chip.tile([chip.input(10)], 10, layer="a")
    chip.output(chip.pointwise(made, function="relu"))
    module = Place(HERMES)(chip.module())
    tile, relu = (op for op in module.ops if op.kind in ("tile", "pointwise"))
    assert relu.unit == tile.unit
    without = Place(target(gdpu__count=0))(chip.module())
    assert [op.unit for op in without.ops] == [op.unit for op in module.ops]


def test_an_unknown_packing_is_refused() -> None:
    with pytest.raises(UsageError, match="no packing `dense`"):
        Place(HERMES, "dense")


def test_report_counts_cores_cells_and_what_waits() -> None:
    chip = Chip()
    chip.tile([chip.input(100, tokens=10)], 50, layer="a")
    chip.tile([chip.input(100, tokens=4)], 50, layer="b")
    chip.chain([256, 256], 256, layer="c")
    report = placement_report(Place(HERMES)(chip.module()), HERMES)
    assert report["cores_used"] == 3 and report["cores_available"] == 64
    assert report["cells_used"] == 2 * 100 * 50 + 2 * 256 * 256
    assert report["cells_available"] == 3 * 256 * 256
    (packed,) = report["packed_cores"]
    assert packed["tiles"] == ["a", "b"]
    assert (packed["mvms"], packed["longest"]) == (14, 10)
    assert report["bounds"]["cores"]["value"] == report["bounds"]["cores"]["bound"] == 3


def test_a_module_without_tiles_is_placed() -> None:
    chip = Chip()
    chip.output(chip.input(3))
    placed = check(chip.module(), HERMES)
    assert {op.unit for op in placed.ops} == {"host 0.0"}
    assert placement_report(placed, HERMES)["cores_used"] == 0


def test_golden_text(update_golden: bool) -> None:
    """A chain of two tiles, a GDPU function, a bridge stream and an output."""
    check_golden("place", Place(HERMES, "never"), update_golden)
