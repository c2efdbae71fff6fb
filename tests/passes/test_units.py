"""Units: what no unit of a target computes."""

from __future__ import annotations

from anacc.ir import Op
from anacc_passes.units import CORE, GDPU, missing, unit_of
from tests.passes.chips import extended, target

ERF = Op("function", ("%x",), ("%y",), {"steps": (("erf", 0),)})


def test_general_tables() -> None:
    assert missing(target(), ERF) == "no digital unit of `IBM HERMES Project Chip` computes erf"
    assert missing(extended(), ERF) is None
    assert missing(extended(gdpu__count=0), ERF) is not None
    assert unit_of(extended(), "function") == GDPU
    assert unit_of(extended(), "relu") == CORE
