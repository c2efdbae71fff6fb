"""Equalise: which values get a factor for each channel, and what the factors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from anacc.ir import Module
from anacc.ir.parse import parse_module
from anacc.ir.text import print_module
from anacc_passes.equalise import LEAST, Equalise
from anacc_passes.infrastructure import run_pipeline
from tests.passes.golden_text import GOLDEN

Array = npt.NDArray[Any]


@dataclass
class FakeSource:
    """Gives the same array for every value."""

    array: Array
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        return dict.fromkeys(names, self.array)


def channels(*largest: float) -> Array:
    """A value (2, C, 3, 3) whose channels have these largest magnitudes."""
    signs = np.resize([-1.0, 0.5, 0.25], (2, 1, 3, 3))
    return np.asarray(np.array(largest).reshape(1, -1, 1, 1) * signs)


WINDOW = "dilations = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]"


def module(
    activation: str = 'activation = "relu"',
    residual: str = "_",
    reader: str = "group = 2",
    weight: str = "float32[2, 1, 1, 1] = [3.0, 4.0]",
    more: str = "",
    source: Array | None = None,
) -> Module:
    """A pointwise layer `%y` and a depthwise one `%z`."""
    text = f"""
    module "m" level=layer batch=N {{
      constant @a : float32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
      constant @s : float32[2] = [1.0, 2.0]
      constant @o : float32[2] = [0.0, 1.0]
      constant @b : {weight}
      constant @s1 : float32[2] = [1.0, 1.0]
      constant @o1 : float32[2] = [0.0, 0.0]
      input %x : float32[N, 2, 3, 3] scale 0.0625
      %y : float32[N, 2, 3, 3] scale 0.5 = crossbar(%x, @a, @s, @o, {residual}) {{{activation}, group = 1, {WINDOW}}} from "Conv_0"
      %z : float32[N, 2, 3, 3] scale 0.25 = crossbar(%y, @b, @s1, @o1, _) {{activation = "none", {reader}, {WINDOW}}} from "Conv_1"
      {more}
      output "z" = %z
    }}
    """  # noqa: E501
    return replace(
        parse_module(text), source=FakeSource(channels(8, 2) if source is None else source)
    )


def equalised(given: Module, method: str = "minmax") -> Module:
    return run_pipeline(given, [Equalise([{}], method)])[0]


def factors(given: Module, method: str = "minmax") -> list[float] | None:
    """The factors of `%y`, None if it was left alone."""
    found = equalised(given, method)
    reader = found.producers()["%z"]
    if len(reader.operands) < 6:
        assert print_module(found) == print_module(given)
        return None
    return [float(each) for each in found.constants[reader.operands[5]]]


def test_golden(update_golden: bool) -> None:
    text, path = print_module(equalised(module())), GOLDEN / "equalise.after.txt"
    if update_golden:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_a_factor_is_the_share_of_the_largest_range() -> None:
    assert factors(module()) == [1.0, 0.25]
    assert factors(module(source=channels(1, 1e-9))) == [1.0, LEAST]


def test_a_channel_that_was_always_zero_keeps_the_range_of_the_tensor() -> None:
    assert factors(module(source=channels(0, 8))) is None


@pytest.mark.parametrize("largest", [(0, 0), (4, 4)])
def test_equal_ranges_are_left_alone(largest: tuple[float, float]) -> None:
    assert factors(module(source=channels(*largest))) is None


@pytest.mark.parametrize(
    "activation", ['activation = "none"', 'activation = "clamp", high = 6.0, low = 0.0']
)
def test_rule_1_takes(activation: str) -> None:
    assert factors(module(activation)) == [1.0, 0.25]


def test_a_clamp_from_zero_becomes_a_relu() -> None:
    layer = equalised(module('activation = "clamp", high = 6.0, low = 0.0')).producers()["%y"]
    assert layer.attributes["activation"] == "relu"
    assert "high" not in layer.attributes


@pytest.mark.parametrize(
    "given",
    [
        module('activation = "clamp", high = 6.0, low = -1.0'),
        module(residual="%x"),
        module(reader="group = 1", weight="float32[2, 2, 1, 1] = [3.0, 4.0, 5.0, 6.0]"),
        module(more='%t : float32[N, 2, 3, 3] = tanh(%y) from "Tanh"\n output "t" = %t'),
        module(more='output "y" = %y'),
    ],
    ids=["clamp from below zero", "residual", "dense reader", "other reader", "model output"],
)
def test_the_rules_exclude(given: Module) -> None:
    assert factors(given) is None


def test_a_value_that_is_no_onnx_tensor_is_left_alone() -> None:
    given = module()
    source = FakeSource(channels(8, 2), {"%y": "y"})
    assert factors(replace(given, source=source)) is None


def test_other_methods_clip_what_was_equalised() -> None:
    """One element in a hundred is eight times as large as all others: `mse` clips it."""
    array = np.random.default_rng(0).uniform(-1, 1, (10, 2, 10, 10)) * [[[1.0]], [[0.25]]]
    array[:, :, 0, 0] = 8.0, 2.0
    given = module(source=array)
    assert factors(given) == factors(given, "mse") == [1.0, 0.25]
    assert equalised(given).values["%y"].scale == 0.5  # as calibration left it
    clipped = equalised(given, "mse").values["%y"].scale
    assert clipped is not None and clipped < 8 / 127
