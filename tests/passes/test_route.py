"""Routes are connected paths over existing links from each writer to all of its readers."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import CompileError
from anacc.ir import Module, Op, verify
from anacc.targets import Target
from anacc_passes.place import Place
from anacc_passes.route import Route
from anacc_passes.routing.links import Link, links
from anacc_passes.routing.report import link_report
from anacc_passes.routing.router import Router
from tests.passes.chips import Chip, target
from tests.passes.golden_text import check as check_golden

HERMES = target()


def routes(op: Op) -> list[tuple[int, ...]]:
    found = op.attributes.get("routes", ())
    assert isinstance(found, tuple)
    return [tuple(n for n in route if isinstance(n, int)) for route in found
            if isinstance(route, tuple)]  # fmt: skip


def reached(source: str, taken: list[Link], chip: Target) -> set[str]:
    """All places to which links lead from a unit; a column is all of its cores, and each of them
    is the column."""
    found = {source}
    while True:
        more = set(found)
        for name in found:
            kind, index = name.split(" 0.")
            if kind == "core":
                more |= {f"column 0.{chip.column_of(int(index))}", "cores 0.0"}
            wired = [link.destination for link in taken if link.source == name]
            for end in wired:
                more.add(end)
                if end.startswith("column"):
                    column = int(end.split(".")[1])
                    more |= {
                        f"core 0.{c}" for c in range(chip.cores) if chip.column_of(c) == column
                    }
                if end.startswith("cores"):
                    more |= {f"core 0.{c}" for c in range(chip.cores)}
        if more == found:
            return found
        found = more


def check(module: Module, chip: Target, packing: str = "auto") -> Module:
    """Place and route a module, and check all that a routed module promises."""
    placed = Place(chip, packing)(module)
    routed = Route(chip)(placed)
    verify(routed)
    every, consumers = links(chip), routed.consumers()
    assert [link.index for link in every] == list(range(len(every)))
    for op in routed.ops:
        if op.kind in ("input", "output", "host"):
            assert "routes" not in op.attributes
            continue
        assert len(routes(op)) == len(op.results)
        for name, route in zip(op.results, routes(op), strict=True):
            assert list(route) == sorted(set(route))
            ends = {str(reader.unit) for reader in consumers[name]} if name else set()
            if str(op.unit).split()[0] not in ("core", "gdpu"):
                ends = set()
            ends = {end for end in ends if end.split()[0] in ("core", "gdpu") and end != op.unit}
            taken = [every[number] for number in route]
            assert ends <= reached(str(op.unit), taken, chip)
            if not ends:
                assert route == ()
            for link in taken:  # no link is superfluous
                fewer = [other for other in taken if other != link]
                assert not ends <= reached(str(op.unit), fewer, chip)
    assert Route(chip)(placed) == routed
    report = link_report(routed, chip)
    assert report["value_hops"]["value"] >= report["value_hops"]["bound"]
    return routed


def test_links_of_the_grid_are_neighbours_each_way() -> None:
    every = links(HERMES)
    assert len(every) == 2 * (2 * 8 * 7) + 2 * 8
    assert every[0] == Link(0, "core 0.0", "core 0.1")
    assert every[1] == Link(1, "core 0.0", "core 0.8")
    assert every[224] == Link(224, "column 0.0", "gdpu 0.0")
    assert every[239] == Link(239, "gdpu 0.7", "column 0.7")
    pairs = {(link.source, link.destination) for link in every}
    assert len(pairs) == len(every)
    assert all((destination, source) in pairs for source, destination in pairs)
    assert len(links(target(links__directions=["vertical"]))) == 2 * 8 * 7 + 16
    assert links(target(gdpu__wiring="any", gdpu__count=1))[-1].destination == "cores 0.0"


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.integers(1, 4), max_size=4),
    st.sampled_from(["column", "any"]),
    st.sampled_from(["auto", "always", "never"]),
)
def test_random_networks(chunks: list[int], chains: list[int], wiring: str, packing: str) -> None:
    chip = Chip()
    hidden = chip.lstm([10 * units for units in chunks], [90, 80])
    for number, length in enumerate(chains):
        first = chip.chain([200] * length, 70, layer=f"chain {number}", form="i8" if length == 1
                           else "f16")  # fmt: skip
        chip.output(chip.pointwise(first))
    chip.output(chip.tile(hidden, 256, layer="head"))
    chip.output(chip.pointwise(chip.pointwise(hidden[0]), hidden[-1] if len(set(chunks)) == 1
                               else "", "add"))  # fmt: skip
    check(chip.module(), target(gdpu__wiring=wiring), packing)


def test_partial_sums_cross_one_link_each() -> None:
    chip = Chip()
    chip.output(chip.chain([256] * 5, 256))
    routed = check(chip.module(), HERMES)
    found = [routes(op)[1] for op in routed.ops if op.kind == "tile"]
    assert [len(route) for route in found] == [1, 1, 1, 1, 0]


def test_what_meets_the_bridge_or_the_host_crosses_no_link() -> None:
    chip = Chip()
    part = chip.regroup([chip.tile([chip.input(9)], 9, form="i8")], [9])[0]
    chip.output(chip.tile([part], 9))
    routed = check(chip.module(), HERMES, "never")
    assert all(route == () for op in routed.ops for route in routes(op))
    assert link_report(routed, HERMES)["busiest"] is None


def test_readers_share_links_and_a_value_crosses_each_once() -> None:
    chip = Chip()
    first = chip.tile([chip.input(256)], 256, layer="first", form="i8")
    for number in range(5):
        chip.output(chip.tile([first], 256, layer=f"reader {number}"))
    routed = check(chip.module(), HERMES)
    report = link_report(routed, HERMES)["value_hops"]
    assert report["value"] == report["bound"] == 5 * 256


def test_transfers_between_the_same_cores_spread_over_both_ways() -> None:
    """Two tiles at opposite corners of a square of cores: one goes along the row first, the other
    along the column."""
    chip = Chip()
    names = [chip.tile([chip.input(200)], 200, layer=f"l{n}", form="i8") for n in range(2)]
    for name in names:
        chip.output(chip.tile([name], 200))
    module = chip.module()
    units = iter(["core 0.0", "core 0.0", "core 0.9", "core 0.9"])
    placed = Place(HERMES, "never")(module)
    moved = Module(
        **{**placed.__dict__, "ops": tuple(
            Op(**{**op.__dict__, "unit": next(units)}) if op.kind == "tile" else op
            for op in placed.ops
        )}
    )  # fmt: skip
    routed = Route(HERMES)(moved)
    first, second = (set(routes(op)[0]) for op in routed.ops if op.kind == "tile" and routes(op)[0])
    assert len(first) == len(second) == 2 and not first & second


@pytest.mark.parametrize("directions", [["horizontal"], ["vertical"]])
def test_placement_keeps_to_the_directions_that_have_links(directions: list[str]) -> None:
    chip = Chip()
    for number in range(8):
        chip.chain([256] * 4, 200, layer=f"l{number}")
    check(chip.module(), target(links__directions=directions))


def test_a_transfer_without_links_is_refused() -> None:
    chip = Chip()
    chip.output(chip.chain([256] * 9, 256))
    narrow = target(links__directions=["vertical"])
    with pytest.raises(CompileError, match="no links of the target join them"):
        Route(narrow)(Place(narrow)(chip.module()))


def test_link_report_schedules_transfers_one_after_the_other() -> None:
    chip = Chip()
    chip.lstm([60, 60], [200], steps=3)
    chip_8_bit = target(links__bits_per_value=8)
    routed = check(chip.module(), chip_8_bit)
    report = link_report(routed, chip_8_bit)
    for link in report["links"]:
        assert link["values"] == sum(values for _, values in link["schedule"])
    up = next(link for link in report["links"] if link["destination"] == "gdpu 0.1")
    assert up["values"] == 240 * 3
    assert up["ns"] == 240 * 3 * 2, "a binary16 value takes two cycles of 8 bits"
    down = next(link for link in report["links"] if link["source"] == "gdpu 0.1")
    assert down["ns"] == 60 * 4, "a code of the hidden state takes one"
    assert report["busiest_ns"] == max(link["ns"] for link in report["links"])


def test_golden_text(update_golden: bool) -> None:
    """A chain of two tiles, a GDPU function, a bridge stream and an output."""
    check_golden("route", Route(HERMES), update_golden)


@pytest.mark.parametrize(
    "chip", [target(grid__rows=3, grid__columns=4), target(grid__rows=3, gdpu__wiring="any")]
)
def test_the_least_number_of_links_is_that_of_the_shortest_way(chip: Target) -> None:
    router = Router(chip)
    nodes = [("core", core) for core in range(chip.cores)]
    nodes += [("gdpu", gdpu) for gdpu in range(chip.gdpu.count.value)]
    for source, destination in permutations(nodes, 2):
        ways = router.ways(source, destination)
        assert router.least(source, destination) == min(map(len, ways))
