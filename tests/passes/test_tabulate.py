"""Tabulate: each rule on the smallest module that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from anacc.ir import Module
from anacc.ir.parse import parse_module
from anacc_passes.tabulate import Tabulate
from tests.frontend import interpreter
from tests.passes.chips import extended, target
from tests.passes.golden_text import GOLDEN, check

Array = npt.NDArray[Any]

X: Array = np.linspace(-4.0, 4.0, 42, dtype=np.float32).reshape(-1, 2)
FEED: dict[str, Array] = {"x": X, "z": X / 2 + np.float32(2.5)}


@dataclass
class Interpreted:
    """Gives the values of a module as its own ops compute them."""

    module: Module

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        wanted = replace(self.module, outputs=tuple((name, name) for name in names))
        return interpreter.run(wanted, feed)


def source(name: str) -> Interpreted:
    """What stands behind a golden module."""
    return Interpreted(parse_module((GOLDEN / f"{name}.before.txt").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "name",
    [
        "tabulate_1_chain",
        "tabulate_1_behind_crossbar",
        "tabulate_2_ranges",
        "tabulate_3_inexact",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    before = source(name)
    feed: dict[str, Array] = {
        key: FEED[key] for key in ("x", "z") if f"%{key}" in before.module.inputs
    }
    each = Tabulate(extended(), [{key: array[:9] for key, array in feed.items()}, feed])
    check(name, each, update_golden, before)


@pytest.mark.parametrize("name", ["tabulate_1_chain", "tabulate_1_behind_crossbar"])
def test_a_chain_is_the_same_function(name: str) -> None:
    before = source(name)
    after = Tabulate(extended(), [{"x": X}])(replace(before.module, source=before))
    assert len(after.ops) < len(before.module.ops)
    x = np.random.default_rng(1).normal(0, 3, (50, 2))
    expected, found = (interpreter.run(each, {"x": x}) for each in (before.module, after))
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-12, atol=1e-12)


def test_without_tables_nothing_changes() -> None:
    before = source("tabulate_1_chain")
    module = replace(before.module, source=before)
    assert Tabulate(target(), [{"x": X}])(module) is module
    assert Tabulate(None, [{"x": X}])(module) is module


def test_the_reason_has_the_figure(tmp_path: Path) -> None:
    """exp over a wide range: nearly all elements lie where the table has no samples."""
    before = source("tabulate_2_ranges")
    text = 'module "m" level=graph batch=N {\n  input %x : float32[N, 1]\n'
    text += '  %y : float32[N, 1] = function(%x) {steps = [["exp", 0]]} from "E"\n'
    module = parse_module(text + '  output "y" = %y\n}')
    before = Interpreted(module)
    x = np.r_[np.linspace(-1, 1, 99), 60].astype(np.float32).reshape(-1, 1)[:99]
    feeds = [{"x": x}, {"x": np.array([[-500.0]], np.float32)}]
    after = Tabulate(extended(4), feeds)(replace(module, source=before))
    (op,) = after.ops
    assert op.kind == "host"
    (reason,) = op.nested("reasons")
    assert reason.startswith("a table of exp with 4 segments from -500 to 1 would be wrong by ")
    assert reason.endswith(" %, and at most 1 % are worth it")
