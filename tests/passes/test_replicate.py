"""Replicate: the text of small modules, and which layers have copies."""

from __future__ import annotations

import pytest

from anacc.errors import UsageError
from anacc.ir import Module
from anacc.ir.chip_rules import replica
from anacc.ir.parse import parse_module
from anacc_passes.replicate import Replicate, layers_of
from tests.passes.chips import Chip, target
from tests.passes.golden_text import GOLDEN, check

HERMES = target()


def copies(module: Module) -> dict[str, int]:
    """Copies of each layer."""
    found: dict[str, int] = {}
    for op in module.ops:
        if op.kind == "tile":
            found[op.text("layer")] = max(found.get(op.text("layer"), 0), replica(op) + 1)
    return found


def test_golden_windows(update_golden: bool) -> None:
    """Nine positions on four cores: copies of rows with six and three of them."""
    small = target(grid__rows=2, grid__columns=2, crossbar__rows=4, crossbar__columns=2)
    check("replicate", Replicate(small, "throughput"), update_golden)


def test_golden_tokens(update_golden: bool) -> None:
    """Without windows, copies select their tokens, and those of the residual operand."""
    small = target(grid__rows=1, grid__columns=2)
    check("replicate_tokens", Replicate(small, "latency"), update_golden)


@pytest.mark.parametrize("objective", [None, "area"])
def test_without_an_objective_nothing_changes(objective: str | None) -> None:
    module = parse_module((GOLDEN / "replicate.before.txt").read_text(encoding="utf-8"))
    assert Replicate(HERMES, objective)(module) is module


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(UsageError, match="no objective `speed`"):
        Replicate(HERMES, "speed")


def test_recurrences_and_what_feeds_a_gdpu_have_no_copies() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=9)], 3, layer="free"))
    chip.output(chip.pointwise(chip.tile([chip.input(4, tokens=9)], 3, layer="tied")))
    chip.output(chip.lstm([2], [3], steps=9)[0])
    found = copies(Replicate(HERMES, "latency")(chip.module()))
    assert found.pop("free") == 9
    assert set(found.values()) == {1}


def test_no_more_copies_than_bridge_units() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=90)], 3))
    few = target(bridge__count=7)
    assert copies(Replicate(few, "throughput")(chip.module())) == {"layer": 7}


def test_a_layer_of_several_tiles_is_copied_as_one() -> None:
    chip = Chip()
    left, right = chip.input(4, tokens=6), chip.input(3, tokens=6)
    first = chip.tile([left], 2, rows=(0, 4))
    chip.output(chip.tile([right], 2, partial=first, rows=(4, 7)))
    module = chip.module()
    copied = Replicate(target(grid__rows=1, grid__columns=4), "latency")(module)
    tiles = [op for op in copied.ops if op.kind == "tile"]
    assert [replica(op) for op in tiles] == [0, 0, 1, 1]
    assert first not in copied.values
    # The layer of copies is the layer that it was.
    assert layers_of(copied, HERMES) == layers_of(module, HERMES)


def test_too_few_cores_leave_layers_as_they_are() -> None:
    chip = Chip()
    for _ in range(3):
        chip.output(chip.tile([chip.input(200, tokens=6)], 200))
    module = chip.module()
    assert Replicate(target(grid__rows=1, grid__columns=2), "throughput")(module) is module


def test_copies_share_their_weights() -> None:
    chip = Chip()
    chip.output(chip.tile([chip.input(4, tokens=6)], 3))
    module = chip.module()
    copied = Replicate(HERMES, "throughput")(module)
    assert copied.constants.keys() == module.constants.keys()
    assert len({op.operands[0] for op in copied.ops if op.kind == "tile"}) == 1
    assert copies(copied) == {"layer": 6}
