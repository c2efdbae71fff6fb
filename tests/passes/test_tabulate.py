"""Tabulate: each rule on the smallest module that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from anacc.frontend import import_model
from anacc.ir import Module, verify
from anacc.ir.parse import parse_module
from anacc_passes.partition import Partition
from anacc_passes.tabulate import Tabulate
from tests.frontend import interpreter
from tests.frontend.check import feed_of, floats, model, reference
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


@pytest.mark.parametrize("products", ["", "a = MatMul (y, w)"])
def test_a_chain_moves_as_a_whole(products: str) -> None:
    """The tensors within it are gone, but it can go to the host all the same."""
    text = f"g (float[N,4] x) => (float[N,4] {'a' if products else 'y'}) "
    proto = model(text + f"{{ e = Erf (x) y = Mul (e, x) {products} }}", w=floats(4, 4))
    feed = feed_of(proto)
    chip = extended()
    module = Tabulate(chip, [feed])(import_model(proto))
    partitioned = Partition(chip)(module)
    verify(partitioned)
    assert [op.kind for op in partitioned.ops] == (["function", "linear"] if products else ["host"])
    assert partitioned.ops[0].origins == ("Erf:e", "Mul:y")
    for name, array in reference(proto, feed).items():
        np.testing.assert_allclose(interpreter.run(partitioned, feed)[name], array, atol=1e-5)


def test_the_reason_has_the_figure() -> None:
    """Four segments are few for a function that bends near one end of the range."""
    text = 'module "m" level=graph batch=N {\n  input %x : float32[N, 1]\n'
    text += '  %y : float32[N, 1] = function(%x) {steps = [["exp", 0]]} from "E"\n'
    module = parse_module(text + '  output "y" = %y\n}')
    before = Interpreted(module)
    x = np.linspace(-1, 1, 99, dtype=np.float32).reshape(-1, 1)
    feeds = [{"x": x}, {"x": np.array([[-500.0]], np.float32)}]
    after = Tabulate(extended(4), feeds)(replace(module, source=before))
    (op,) = after.ops
    assert op.kind == "host"
    (reason,) = op.nested("reasons")
    assert reason.startswith("a table of exp with 4 segments from -500 to 1 would be wrong by ")
    assert reason.endswith(" %, and at most 1 % are worth it")
    (hint,) = op.nested("hints")
    assert "`gdpu.function_table.segments`" in hint
