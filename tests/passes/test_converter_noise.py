"""The noise of converters in units of the codes that drive them, against its formula and a draw."""

from __future__ import annotations

import numpy as np
import pytest

from anacc.frontend import import_model
from anacc.ir.cells import CELLS
from anacc_passes.converter_noise import converter_noise
from tests.frontend.check import floats, model
from tests.passes.chips import target

CHIP = target(crossbar__rows=8, adc__full_scale_cells=[12.0])


def step(phases: str) -> float:
    """Charge of one count."""
    settings = CHIP.adc_settings(phases, 12.0, False)
    return float(2.0**settings.b / settings.a)


@pytest.mark.parametrize(("mode", "conversions"), [("4-phase", 2), ("1-phase", 1)])
def test_inputs_with_this_error_do_what_converters_do(mode: str, conversions: int) -> None:
    weight = floats(20, 30)
    proto = model("g (float[N,20] x) => (float[N,30] y) { y = MatMul (x, w) }", 17, w=weight)
    found = converter_noise(import_model(proto), CHIP, mode)
    assert found["%y"] == 0.0  # nothing reads it
    errors = np.random.default_rng(0).normal(0, np.sqrt(found["%x"]), (400, 20)) @ weight
    scale = np.abs(weight).max(axis=0) / 127
    # Three row tiles of 20 rows; a conversion errs evenly over a step.
    ours = 400 * 3 * conversions * step(mode) ** 2 / 12 * np.square(scale).sum()
    assert np.square(errors).sum() == pytest.approx(ours, rel=0.1)


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_recurrent_layers_count(kind: str) -> None:
    gates = len(CELLS[kind].gates)
    weight = floats(1, gates * 3, 5)
    text = f"g (float[4,N,5] x) => (float[4,1,N,3] y) {{ y = {kind.upper()} <hidden_size=3>"
    proto = model(f"{text} (x, w, r) }}", 17, w=weight, r=floats(1, gates * 3, 3))
    found = converter_noise(import_model(proto), CHIP, "1-phase")["%x"]
    largest = np.square(np.abs(weight[0]).max(axis=1) / 127).sum()
    assert found == pytest.approx(step("1-phase") ** 2 / 12 * largest / np.square(weight).sum())


def test_the_least_of_several_readers() -> None:
    proto = model(
        """g (float[N,2,4] x) => (float[N,2,3] y, float[N,2,4] z) {
            t = Transpose <perm=[0,2,1]> (x) u = Transpose <perm=[0,2,1]> (t)
            y = MatMul (u, w) z = Relu (x)
        }""",
        17,
        w=floats(4, 3),
    )
    found = converter_noise(import_model(proto), CHIP, "4-phase")
    assert found["%t"] == found["%u"] > 0 and found["%x"] == 0.0
