"""How long units work on a sample, by hand."""

from __future__ import annotations

import pytest

from anacc.targets import load_target
from anacc.verification.stages import slowest_stages
from tests.runtime.builder import BRIDGE, I8, Builder, i, loop, r

STEP = load_target("hermes").latency.bridge_per_step.value


@pytest.mark.parametrize("apart", [False, True])
def test_a_token_that_goes_to_several_channels_is_one(apart: bool) -> None:
    """A window in parts, one for each row tile, or a token to two readers, is one step."""
    b = Builder()
    first, second = b.channel(I8, 2), b.channel(I8, 2)
    sends = i("send", first, r(0, 2)), i("send", second, r(0, 2))
    body = (loop(9, sends[0]), loop(9, sends[1])) if apart else (loop(9, *sends),)
    b.stream(BRIDGE, [(I8, 2)], *body)
    (stage,) = slowest_stages(b.image(), load_target("hermes")).values()
    assert (stage.unit, stage.ns) == ("bridge 0.0", 9 * STEP)
