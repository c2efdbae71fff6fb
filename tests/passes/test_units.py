"""Units: what no unit of a target computes, and what it lacks for recurrent layers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from anacc.errors import IrError
from anacc.ir import Op
from anacc_passes.gates import blocks_of
from anacc_passes.units import CORE, missing, unit_of
from anacc_passes.units import GDPU as ON_GDPU
from tests.passes.chips import extended, target

GDPU = ["affine", "tanh", "sigmoid", "multiply", "add"]
LDPU = ["affine", "accumulate", "residual", "relu", "clamp", "requantise"]
RELU, TANH = ("relu", 0.0, 0.0), ("tanh", 0.0, 0.0)
CLIPPED = ("hard_sigmoid", 0.2, 0.5)


def layer(kind: str, **attributes: Any) -> Op:
    own = {"linear_before_reset": "clip" not in attributes} if kind == "gru" else {}
    return Op(kind, (), (), {"direction": "forward", "hidden": 1, **own, **attributes}, ("node",))


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_hermes_runs_them(kind: str) -> None:
    assert missing(target(), layer(kind)) is None
    assert missing(target(), layer(kind, clip=1.0)) is None


@pytest.mark.parametrize(
    ("op", "changes", "reason"),
    [
        (layer("lstm"), {"gdpu__functions": GDPU[:4]}, "no digital unit of .* computes lstm"),
        (layer("gru"), {"gdpu__functions": ["affine"]}, "no digital unit of .* computes gru"),
        (layer("rnn"), {"gdpu__functions": ["affine"]}, "no digital unit of .* computes rnn"),
        (layer("rnn"), {"gdpu__count": 0, "gdpu__wiring": "any"}, "no digital unit of"),
        (
            layer("rnn"),
            {"ldpu__functions": ["affine", "relu", "requantise"]},
            "lacks affine, accumulate or requantise",
        ),
        (layer("rnn", clip=1.0), {"ldpu__functions": LDPU[:4] + LDPU[5:]}, "has no clamp"),
        (layer("rnn", functions=((RELU,),)), {"ldpu__functions": LDPU[:3] + LDPU[4:]}, "no relu"),
        (layer("lstm"), {"crossbar__columns": 3}, "no columns for the 4 gates of a unit"),
        (layer("gru"), {"crossbar__columns": 2}, "no columns for the 3 gates of a unit"),
    ],
)
def test_reasons(op: Op, changes: dict[str, Any], reason: str) -> None:
    found = missing(target(**changes), op)
    assert found is not None and re.search(reason, found)


def test_only_what_the_functions_of_gates_need_counts() -> None:
    no_clamp = target(ldpu__functions=LDPU[:3] + ["requantise"])
    only_affine = target(gdpu__functions=["affine"])
    assert missing(no_clamp, layer("rnn")) is None
    assert missing(only_affine, layer("rnn", functions=((RELU,),))) is None
    narrow = target(crossbar__columns=2)
    functions = ((CLIPPED, TANH, TANH),)
    # Gates that are clamped alike share columns; those of a coupled forget gate are none.
    assert missing(narrow, layer("lstm", functions=functions)) is not None
    assert missing(narrow, layer("lstm", functions=functions, input_forget=True)) is None


@pytest.mark.parametrize(
    ("op", "gates"),
    [
        (layer("gru", clip=1.0, linear_before_reset=True), "candidate"),
        (layer("lstm", functions=((TANH, TANH, RELU),)), "state"),
        (replace(layer("lstm", clip=1.0), operands=("",) * 6 + ("@p",)), "forget, input, output"),
    ],
)
def test_a_clamp_that_comes_too_late_is_refused(op: Op, gates: str) -> None:
    with pytest.raises(IrError, match=f"clamps {gates} too late"):
        blocks_of(op, 0)


ERF = Op("function", ("%x",), ("%y",), {"steps": (("erf", 0),)})


def test_general_tables() -> None:
    assert missing(target(), ERF) == "no digital unit of `IBM HERMES Project Chip` computes erf"
    assert missing(extended(), ERF) is None
    assert missing(extended(gdpu__count=0), ERF) is not None
    assert unit_of(extended(), "function") == ON_GDPU
    assert unit_of(extended(), "relu") == CORE
