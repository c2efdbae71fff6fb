"""Modules are divided over chips and rounds: everything fits, and nothing flows back in time."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.errors import CompileError
from anacc.ir import Module, Op, verify
from anacc.targets import Target, programming_time
from anacc_passes.chips.report import chip_report
from anacc_passes.place import Place
from anacc_passes.placement_report import core_of
from anacc_passes.route import Route
from anacc_passes.routing.links import links
from anacc_passes.routing.report import link_report
from anacc_passes.routing.sites import chip_of, chips_of, round_of
from tests.passes.chips import Chip, target
from tests.passes.golden_text import check as check_golden
from tests.passes.test_place import apart, tiles

SMALL = target(grid__rows=2, grid__columns=2)


def check(module: Module, chip: Target, packing: str, chips: int | None, reload: bool) -> Module:
    """Divide and place a module, and check all that a placed module promises."""
    placed = Place(chip, packing, chips, reload)(module)
    verify(placed)
    by_core: dict[tuple[str, int], list[Op]] = defaultdict(list)
    for op in placed.ops:
        if op.kind == "tile":
            by_core[str(op.unit), round_of(op)].append(op)
            assert core_of(op) < chip.cores
        assert reload or round_of(op) == 0
        assert op.kind not in ("input", "output") or op.unit == "host 0.0"
    for members in by_core.values():
        for number, op in enumerate(members):
            assert all(apart(placed, op, other) for other in members[:number])
    makers = placed.producers()
    for op in placed.ops:
        for maker in (makers[name] for name in op.operands if name in makers):
            assert round_of(maker) <= round_of(op)
            if op.kind in ("pointwise", "lstm_cell") and maker.kind == "tile":
                assert (chip_of(maker), round_of(maker)) == (chip_of(op), round_of(op))
                assert int(str(op.unit).split(".")[1]) in chip.gdpus_of(core_of(maker))
    assert chips is None or chips_of(placed) <= chips
    assert Place(chip, packing, chips, reload)(module) == placed
    return placed


def layers(count: int, width: int = 256) -> Module:
    """Layers of one full tile each, one after the other."""
    chip = Chip()
    x = chip.input(width)
    for number in range(count):
        x = chip.tile([x], width, layer=f"l{number}", form="i8")
    chip.output(x)
    return chip.module()


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.sampled_from(["auto", "always", "never"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=40)
def test_random_networks(lengths: list[int], packing: str, tied: bool, reload: bool) -> None:
    chip = Chip()
    for number, length in enumerate(lengths):
        result = chip.chain([250 - 50 * number % 200] * length, 100 + number, layer=f"l{number}")
        result = chip.pointwise(result) if tied else chip.regroup([result], [99, 1 + number])[0]
        chip.output(result)
    placed = check(chip.module(), SMALL, packing, 2 if reload else None, reload)
    report = chip_report(placed, SMALL)
    for bound in report["bounds"].values():
        assert bound["bound"] <= bound["value"]
    assert sum(entry["cores"] for entry in report["rounds"]) >= len(
        {op.unit for op in tiles(placed)}
    )


def test_least_traffic_decides_where_to_cut() -> None:
    """Six layers on two chips of four cores: behind the one that has the fewest columns."""
    chip = Chip()
    x = chip.input(256)
    for number, columns in enumerate([200, 150, 40, 150, 200, 10]):
        x = chip.tile([x], columns, layer=f"l{number}", form="i8")
    chip.output(x)
    placed = check(chip.module(), SMALL, "never", None, False)
    assert [chip_of(op) for op in tiles(placed)] == [0, 0, 0, 1, 1, 1]
    report = chip_report(placed, SMALL)
    assert [entry["to_next"] for entry in report["chips"]] == [40, 0]
    assert [entry["cores"] for entry in report["chips"]] == [3, 3]
    assert report["bounds"]["chip_traffic"]["value"] == 40


def test_balance_decides_between_cuts_of_equal_traffic() -> None:
    placed = check(layers(6), SMALL, "never", 2, False)
    assert [chip_of(op) for op in tiles(placed)] == [0, 0, 0, 1, 1, 1]


def test_a_layer_larger_than_a_chip_is_cut_by_its_columns() -> None:
    """Eight columns of two row tiles on chips of four cores: columns stay whole."""
    chip = Chip()
    inputs = [chip.input(256), chip.input(256)]
    for column in range(8):
        partial = ""
        for row, name in enumerate(inputs):
            partial = chip.tile(
                [name], 256, partial=partial, rows=(256 * row, 256 * row + 256),
                at=(256 * column, 256 * column + 256),
            )  # fmt: skip
        chip.output(partial)
    placed = check(chip.module(), SMALL, "auto", None, False)
    assert [chip_of(op) for op in tiles(placed)] == [c for c in range(4) for _ in range(4)]


def test_a_column_larger_than_a_chip_is_cut_by_its_rows() -> None:
    chip = Chip()
    chip.output(chip.chain([256] * 10, 256))
    placed = check(chip.module(), SMALL, "auto", None, False)
    assert chips_of(placed) == 3
    assert chip_report(placed, SMALL)["bounds"]["chip_traffic"]["value"] == 2 * 256


def test_columns_are_cut_where_that_saves_a_chip() -> None:
    """Four columns of three row tiles need three chips of four cores, whole ones four."""
    chip = Chip()
    for column in range(4):
        chip.output(chip.chain([256] * 3, 256, at=(256 * column, 256 * column + 256)))
    assert chips_of(check(chip.module(), SMALL, "auto", None, False)) == 3


def test_chips_hold_what_they_have_to_hold_in_the_order_of_links() -> None:
    """A value for a chip two away crosses two links between chips, and none on chips."""
    chip = Chip()
    first = x = chip.tile([chip.input(256)], 256, layer="first", form="i8")
    for number in range(10):
        x = chip.tile([x], 256, layer=f"l{number}", form="i8")
    chip.output(chip.tile([x], 256, layer="last", residual=first))
    routed = Route(SMALL)(check(chip.module(), SMALL, "never", 3, False))
    inner = SMALL.links_per_chip
    every = links(SMALL, 3)
    assert len(every) == 3 * inner + 4
    assert [(each.source, each.destination) for each in every[3 * inner :]] == [
        ("chip 0.0", "chip 1.0"),
        ("chip 1.0", "chip 0.0"),
        ("chip 1.0", "chip 2.0"),
        ("chip 2.0", "chip 1.0"),
    ]
    (route,) = [op.nested("routes") for op in routed.ops if "first" in op.attributes.values()]
    assert [link for link in route[0] if link >= 3 * inner] == [3 * inner, 3 * inner + 2]
    used = {entry["link"]: entry["values"] for entry in link_report(routed, SMALL)["links"]}
    assert used[3 * inner] == used[3 * inner + 2] == 2 * 256
    for op in tiles(routed):
        assert all(chip_of(op) == link // inner for link in op.nested("routes")[0]
                   if link < 3 * inner)  # fmt: skip


def test_rounds_are_programmed_one_after_the_other() -> None:
    placed = check(layers(10), SMALL, "never", 1, True)
    assert [round_of(op) for op in tiles(placed)] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    report = chip_report(placed, SMALL)
    core = programming_time(SMALL, 256 * 256)
    assert core == pytest.approx(2048 * 4 * 30 * 893)
    assert [entry["ns"] for entry in report["rounds"]] == [core] * 3
    assert [entry["waiting"] for entry in report["rounds"]] == [256, 256, 0]
    programming = report["programming"]
    assert programming["ns_before"] == 3 * core
    assert programming["most_per_batch"] == 3
    # A crossbar that holds the same weights in all rounds is not programmed again.
    again = [op for op in tiles(placed)
             if len({round_of(o) for o in tiles(placed) if o.unit == op.unit}) > 1]  # fmt: skip
    assert programming["cells_per_batch"] == len(again) * 256 * 256
    routed = Route(SMALL)(placed)
    makers = routed.producers()
    for op in tiles(routed):
        maker = makers[op.operands[5]]
        if maker.kind == "tile" and round_of(maker) != round_of(op):
            assert maker.nested("routes")[0] == ()


def test_one_round_is_not_programmed_again() -> None:
    report = chip_report(check(layers(3), SMALL, "never", 1, True), SMALL)
    assert report["programming"]["ns_per_batch"] == 0
    assert len(report["rounds"]) == 1 and report["bounds"] == {}


def test_a_recurrence_stays_in_one_round() -> None:
    """Six layers before an LSTM of two chunks, on one chip of eight cores."""
    chip = Chip()
    x = chip.input(256)
    for number in range(6):
        x = chip.tile([x], 256, layer=f"l{number}", form="i8")
    chip.output(x)
    for y in chip.lstm([63] * 2, [252]):
        chip.output(y)
    two = target(grid__rows=4, grid__columns=2)
    placed = check(chip.module(), two, "never", 1, True)
    recurrent = [
        op for op in placed.ops if op.kind == "lstm_cell" or op.attributes.get("recurrent")
    ]
    assert len({round_of(op) for op in recurrent}) == 1
    large = Chip()
    for y in large.lstm([20] * 10, [200]):
        large.output(y)
    with pytest.raises(CompileError, match="a part of it that must be there at once"):
        Place(two, "never", 1, True)(large.module())
    check(large.module(), two, "never", 2, True)


def test_errors_name_the_ways_out() -> None:
    with pytest.raises(CompileError) as caught:
        Place(SMALL, "never", 2)(layers(9))
    assert caught.value.message.startswith(
        "the model needs 9 cores and 2 chips of target `IBM HERMES Project Chip` have 8; the"
    )
    for way in ("--chips auto", "--reload", "--set grid=", "grid.rows", "--packing always"):
        assert caught.value.hint is not None and way in caught.value.hint
    with pytest.raises(CompileError, match="needs 9 cores and target .* has 4"):
        Place(SMALL)(layers(9))
    with pytest.raises(CompileError, match="needs 9 cores and 2 chips") as caught:
        Place(target(grid__rows=2, grid__columns=2, grid__max_chips=2), "auto", None)(layers(9))
    assert caught.value.hint is not None and "--chips" not in caught.value.hint


def test_what_fits_one_chip_stays_as_it_is() -> None:
    module = layers(4)
    assert (
        Place(SMALL, "auto", None)(module)
        == Place(SMALL)(module)
        == Place(SMALL, "auto", 9)(module)
    )


def test_golden_text(update_golden: bool) -> None:
    """Three layers on two chips of one core each, in two rounds."""
    one = target(grid__rows=1, grid__columns=1)
    check_golden("chips", Place(one, "never", 2, True), update_golden)


def test_each_chip_makes_its_own_windows() -> None:
    """Two columns of tiles on two chips read the windows of 3 x 3 of one activation."""
    chip = Chip()
    x = chip.tile([chip.input(256, tokens=10)], 20, layer="first", form="i8")
    windows = chip.value(60, "i8", 8)
    nest = ((8,), 0, (20,), ((60, 1),))
    chip.emit(
        "gather", ("", x), (windows,), size=200, fill=0, stores=(((10,), 0, (20,), ((20, 1),)),),
        rescale=(1.0,), load=nest, reduce="none", window=1, lead=0, step=0,
    )  # fmt: skip
    for column in range(6):
        chip.output(chip.tile([windows], 256, at=(256 * column, 256 * column + 256)))
    module = chip.module()
    placed = check(module, SMALL, "never", None, False)
    copies = [op for op in placed.ops if op.kind == "gather"]
    assert [op.unit for op in copies] == ["bridge 0.0", "bridge 1.0"]
    assert [op.operands for op in copies] == [("", x), ("", x)]
    assert [op.results for op in copies] == [(windows,), (f"{windows}.copy1",)]
    read = {op.operands[5]: chip_of(op) for op in tiles(placed) if op.text("layer") == "layer"}
    assert read == {windows: 0, f"{windows}.copy1": 1}
    report = chip_report(placed, SMALL)
    assert report["bounds"]["chip_traffic"]["value"] == 10 * 20
