"""What a user is told to do about a unit that the target lacks."""

from __future__ import annotations

import pytest

from anacc.ir import Op
from anacc.targets import Target
from anacc_passes import alternatives
from anacc_passes.units import missing
from tests.passes.chips import target

PAD = Op("pad", (), ())


def test_a_shipped_target_that_can_run_it_is_named() -> None:
    lacking = target(bridge__functions=["window", "reshape", "requantise"])
    assert missing(lacking, PAD) == "the bridge of `IBM HERMES Project Chip` has no pad"
    assert alternatives.hint(PAD).startswith("compile for `hermes`")


def test_what_no_shipped_target_has_is_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[tuple[str, Target], ...]:
        return (("poor", target(bridge__functions=["window", "reshape", "requantise"])),)

    monkeypatch.setattr(alternatives, "_shipped", none)
    assert alternatives.hint(PAD).startswith("list what is missing in a target file of your own")
