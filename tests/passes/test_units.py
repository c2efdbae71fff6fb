"""Units: what no unit of a target computes, and what helps."""

from __future__ import annotations

from anacc.ir import Op
from anacc_passes.units import CORE, GDPU, missing, unit_of, way_out
from tests.passes.chips import extended, target

ERF = Op("function", ("%x",), ("%y",), {"steps": (("erf", 0),)})


def test_general_tables() -> None:
    reason = missing(target(), ERF)
    assert reason == "no digital unit of `IBM HERMES Project Chip` computes erf"
    assert "`hermes-ext`" in (way_out(target(), ERF) or "")
    assert missing(extended(), ERF) is way_out(extended(), ERF) is None
    assert unit_of(extended(), "function") == GDPU
    assert unit_of(extended(), "relu") == CORE


def test_nothing_helps_where_nothing_is_known_to() -> None:
    op = Op("tanh", ("%x",), ("%y",))
    lacking = target(gdpu__functions=["affine"])
    assert missing(lacking, op) is not None and way_out(lacking, op) is None
