"""Estimates: worked out by hand from the figures of HERMES."""

from __future__ import annotations

from typing import Any

import pytest

from anacc.ir import Module
from anacc.targets import Target
from anacc_backends.latency import Pace, latency, rounds
from anacc_backends.performance import performance
from anacc_passes.place import Place
from anacc_passes.replicate import Replicate
from anacc_passes.route import Route
from anacc_passes.routing.report import link_report
from tests.passes.chips import Chip, target

MVM, BRIDGE = 520.0, 487.0  # ns, of a product in 4 phases and of a token on the bridge
HERMES = target()


def estimated(module: Module, chip: Target = HERMES, objective: str | None = None) -> Any:
    copied = Replicate(chip, objective)(module)
    module = Route(chip)(Place(chip, "auto", objective=objective)(copied))
    return performance(module, chip, link_report(module, chip))


def test_products_of_a_layer() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=9)], 3))
    found = estimated(chip.module())
    assert found["slowest_ns"] == 9 * MVM
    assert found["slowest"] == {"unit": "core 0.0", "layers": ["layer"]}
    assert found["fractional_ns"] == 9 * MVM / 64
    assert found["bound_ns"] == MVM  # with nine copies
    assert found["mvms"] == 9
    assert found["mvm_energy_nj"] == pytest.approx(9 * 52.8125 * 12 / 65536)
    assert found["busy"]["ldpu"]["ns"] == 9 * 3
    assert {each["key"]: each["source"] for each in found["figures"]}[
        "latency.bridge_per_step"
    ] == ("assumed")


def test_whole_cores_may_be_charged() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=9)], 3))
    found = estimated(chip.module(), target(energy__mvm_scaling="core"))
    assert found["mvm_energy_nj"] == 9 * 52.8125


def test_copies_reach_their_bound() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=9)], 3))
    found = estimated(chip.module(), objective="throughput")
    assert found["slowest_ns"] == found["bound_ns"] == MVM
    # Every token leaves a copy at once, and then the merge, one after another.
    assert found["busy"]["bridge"]["ns"] == 9 * BRIDGE


def test_tiles_of_one_core_add_up() -> None:
    chip = Chip()
    for tokens in (5, 3):
        chip.output(chip.tile([chip.input(4, tokens=tokens)], 3, layer=f"of {tokens}"))
    found = estimated(chip.module())
    assert found["slowest_ns"] == 8 * MVM
    assert found["slowest"]["layers"] == ["of 5", "of 3"]


def test_rounds_have_a_bound_of_their_own() -> None:
    """Four crossbars on two cores: in one round there is no room, in two each core runs two."""
    two = target(grid__rows=1, grid__columns=2)
    chip = Chip()
    value = chip.input(256, tokens=4)
    for layer in ("first", "second", "third", "fourth"):
        value = chip.tile([value], 256, layer=layer)
    chip.output(value)
    module = Route(two)(Place(two, "auto", reload=True)(chip.module()))
    found = performance(module, two, link_report(module, two))
    assert found["slowest_ns"] == found["bound_ns"] == 8 * MVM
    sources = {each["key"]: each["source"] for each in found["figures"]}
    assert sources["programming.iteration_time"] and "links.chip_values_per_ns" not in sources


def test_a_sample_takes_no_less_than_a_unit_works_on_it() -> None:
    """Tiles of one layer on one core wait for each other, whatever the way through the streams."""
    one = target(grid__rows=1, grid__columns=1)
    chip = Chip()
    value = chip.input(4, tokens=9)
    for layer in ("left", "right"):
        chip.output(chip.tile([value], 3, layer=layer))
    found = estimated(chip.module(), one)
    assert found["slowest_ns"] == 18 * MVM
    assert found["mvm_latency_ns"] == 18 * MVM
    assert found["latency_ns"] >= 18 * MVM


def test_a_program_without_crossbars() -> None:
    chip = Chip()
    chip.output(chip.pointwise(chip.input(2, tokens=3)))
    found = estimated(chip.module())
    assert (found["mvms"], found["slowest_ns"], found["bound_ns"]) == (0, 0.0, 0.0)
    assert found["busy"]["gdpu"]["ns"] == pytest.approx(3 * 2 * 6.4)


def tiles_only(module: Module) -> float:
    """Latency where a token of a tile takes 10 ns, of a gather 1 ns, and all else nothing."""
    times = {"tile": 10.0, "gather": 1.0}
    return latency(
        module, rounds(module), lambda op: Pace(times.get(op.kind, 0.0), times.get(op.kind, 0.0))
    )


def test_layers_overlap_token_by_token() -> None:
    chip = Chip()
    x = chip.tile([chip.input(4, tokens=6)], 3, form="i8")
    chip.output(chip.tile([x], 2))
    # The second layer starts with the first token, and ends 10 ns after the first layer.
    assert tiles_only(chip.module()) == 6 * 10 + 10


@pytest.mark.parametrize(
    ("lead", "step", "expected"),
    [
        # All rows first: 60 ns; then six tokens.
        (0, 0, 60 + 6 * 1),
        # Two of three rows (of two tokens each) at 40 ns: four tokens wait for the last row.
        (2, 1, 60 + 4 * 1),
    ],
)
def test_windows_wait_for_their_rows(lead: int, step: int, expected: float) -> None:
    chip = Chip()
    x = chip.tile([chip.input(4, tokens=6)], 3, form="i8")
    y = chip.value(3, "i8", 6)
    nest = ((3, 2), 0, (6, 3), ((3, 1),))
    chip.emit(
        "gather", ("", x), (y,), size=18, fill=0, stores=(nest,), rescale=(1.0,), load=nest,
        reduce="none", window=1, lead=lead, step=step,
    )  # fmt: skip
    chip.output(y)
    assert tiles_only(chip.module()) == expected


def test_a_recurrence_goes_round_once_a_step() -> None:
    chip = Chip()
    for y in chip.lstm([2], [3], steps=5):
        chip.output(y)
    # The tile of the input runs ahead: 10 ns; then in each of five steps that of the states.
    assert tiles_only(chip.module()) == 10 + 5 * 10
