"""The bound of the busiest link is never above what any placement and routes reach."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc_passes.place import Place
from anacc_passes.route import Route
from anacc_passes.routing.bound import least_busy, link_warnings, shared
from anacc_passes.routing.report import link_report
from tests.passes.chips import Chip, target


@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 4))
def test_values_that_are_not_split_share_links(times: list[int], links: int) -> None:
    best = sum(times)
    for ways in product(range(links), repeat=len(times)):
        loads = [0] * links
        for time, link in zip(times, ways, strict=True):
            loads[link] += time
        best = min(best, max(loads))
    assert shared(times, links) <= best
    if links == 1 or len(times) <= links:
        assert shared(times, links) == best


@given(st.integers(1, 7), st.sampled_from(["column", "any"]), st.integers(0, 3))
def test_no_routes_are_below_the_bound(readers: int, wiring: str, effort: int) -> None:
    chip = Chip()
    makers = [chip.tile([chip.input(100)], 200, layer=f"a{n}", form="i8") for n in range(readers)]
    chip.output(chip.tile(makers[:1], 200, layer="b"))
    for name in makers:
        chip.output(chip.pointwise(chip.tile([name], 90, layer="c")))
    chip.lstm([20, 20], [50])
    every = target(gdpu__wiring=wiring)
    routed = Route(every, effort)(Place(every, "never", effort=effort)(chip.module()))
    assert 0 < least_busy(routed, every) <= link_report(routed, every)["busiest_ns"]


def test_what_one_link_carries_for_a_gdpu_is_the_bound() -> None:
    chip = Chip()
    chip.lstm([60, 60], [200], steps=3)
    every = target(links__bits_per_value=8)
    routed = Route(every)(Place(every)(chip.module()))
    assert least_busy(routed, every) == link_report(routed, every)["busiest_ns"] == 240 * 3 * 2


def test_a_link_that_is_busier_than_any_core_is_worth_a_warning() -> None:
    chip = Chip()
    chip.output(chip.chain([256] * 2, 256))
    slow = target(links__values_per_ns=0.1)
    routed = Route(slow)(Place(slow, "never")(chip.module()))
    busiest = link_report(routed, slow)["busiest_ns"]
    assert busiest == pytest.approx(2560)
    (message,) = link_warnings(routed, slow, busiest)
    assert message.startswith("a link is busy 2,560 ns per sample and the slowest core 520 ns")
    assert link_warnings(routed, slow, 520.0) == []
