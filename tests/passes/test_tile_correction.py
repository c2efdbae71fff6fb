"""Bias and range correction: what a column does wrong on average is undone, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir.parse import parse_module
from anacc_passes.tile import Tile
from anacc_passes.tiling.correction import correction, shrunk, stated
from tests.passes.chip_interpreter import Array
from tests.passes.chips import target


@given(st.integers(-50, 50).map(lambda n: n / 8), st.integers(0, 50).map(lambda n: n / 16))
def test_shrinkage_keeps_the_sign_and_drops_what_chance_explains(
    estimate: float, variance: float
) -> None:
    found = float(shrunk(np.array([estimate]), np.array([variance]))[0])
    assert abs(found) <= abs(estimate) and found * estimate >= 0
    assert (found == 0) == (estimate == 0 or variance >= estimate**2)
    if variance == 0:
        assert found == estimate


@pytest.mark.parametrize("method", ["bias", "bias+range"])
def test_a_constant_error_is_undone(method: str) -> None:
    exact = np.random.default_rng(0).standard_normal((50, 2))
    factor, offset = correction(method, exact + [0.5, 0.0], exact)
    np.testing.assert_allclose(factor, 1.0)
    np.testing.assert_allclose(offset, [-0.5, 0.0], atol=1e-12)


def test_a_constant_factor_is_undone() -> None:
    exact = np.random.default_rng(0).standard_normal((50, 2)) + 3
    factor, offset = correction("bias+range", exact * [0.5, 1.0], exact)
    np.testing.assert_allclose(factor, [2.0, 1.0])
    np.testing.assert_allclose(offset, 0.0, atol=1e-12)


def test_what_is_added_is_stated() -> None:
    assert stated(np.array([0.0, 1.2345678, -2.0])) == {"correction": (0.0, 1.2346, -2.0)}
    assert stated(np.zeros(3)) == {}


@pytest.mark.parametrize("method", ["none", "bias", "bias+range"])
def test_one_vector_teaches_nothing(method: str) -> None:
    factor, offset = correction(method, np.ones((1, 3)), np.zeros((1, 3)))
    assert factor.tolist() == [1.0] * 3 and offset.tolist() == [0.0] * 3


def test_vectors_that_do_not_count_do_not_matter() -> None:
    exact = np.random.default_rng(0).standard_normal((60, 1))
    found = exact + np.where(np.arange(60)[:, np.newaxis] < 30, 0.25, 40.0)
    counts = np.arange(60)[:, np.newaxis] < 30
    assert correction("bias", found, exact, counts)[1] == pytest.approx([-0.25])


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_what_is_chance_alone_is_mostly_left_alone(seed: int) -> None:
    """Of errors without a mean, the correction may keep what exceeds the standard error, no more:
    on new vectors it costs less than the plain mean would."""
    rng = np.random.default_rng(seed)
    exact = rng.standard_normal((20, 200))
    errors = rng.standard_normal((20, 200))
    _, offset = correction("bias", exact + errors, exact)
    plain = -errors.mean(axis=0)
    assert np.square(offset).sum() < 0.6 * np.square(plain).sum()


@dataclass
class FakeSource:
    """Gives what it is fed as every value."""

    stands_for: Mapping[str, str]
    types: Mapping[str, str]

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        return {name: np.asarray(feed["x"]) for name in names}


@given(st.integers(0, 10**6), st.sampled_from(["bias", "bias+range"]))
@settings(max_examples=25, deadline=None)
def test_the_mean_error_of_generated_layers_shrinks(seed: int, method: str) -> None:
    """Two row tiles whose converters clip half of what they see: the mean error is large."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(-0.2, 1, (3, 16)).astype(np.float32)
    text = """
    module "m" level=layer batch=N {
      constant @w : float32[3, 16] = blob sha256:%s
      constant @s : float32[3] = [1.0, 0.5, 2.0]
      constant @o : float32[3] = [0.0, 0.5, -1.0]
      input %%x : float32[N, 16] scale 0.0078125
      %%y : float32[N, 3] scale 0.05 = crossbar(%%x, @w, @s, @o, _) {activation = "none",
        dilations = [], group = 1, pads = [], strides = []} from "MatMul_0"
      output "y" = %%y
    }
    """
    from anacc.ir.blobs import digest

    module = parse_module(text % digest(weight), {"w": weight})
    module = replace(module, source=FakeSource({}, {}))
    feed = {"x": rng.uniform(0, 1, (32, 16)).astype(np.float32)}
    chip = target(crossbar__rows=8, adc__full_scale_cells=[1.5])
    exact = feed["x"] @ weight.T * [1.0, 0.5, 2.0] + [0.0, 0.5, -1.0]
    errors = []
    for each in ("none", method):
        lowered = Tile(chip, "4-phase", (feed,), each)(module)
        value = np.zeros(())
        codes = np.rint(feed["x"] / 0.0078125).clip(-127, 127)
        for op in (op for op in lowered.ops if op.kind == "tile"):
            a, b = op.integers("weight_rows")
            constants = [lowered.constants.get(name) for name in op.operands[:3]]
            assert constants[0] is not None and constants[1] is not None
            weights = constants[0].astype(int)
            ratio = op.integer("multiplier") / 2.0 ** op.integer("shift")
            counts = [
                np.minimum(np.floor(codes[:, a:b] @ part * ratio + 0.5), op.integer("maximum"))
                for part in (np.maximum(weights, 0), np.maximum(-weights, 0))
            ]
            value = value + (counts[0] - counts[1]) * constants[1].astype(float)
            if constants[2] is not None:
                value = value + constants[2].astype(float)
            value = value * op.number("gain")
        errors.append(value * 0.05 - exact)
    before, after = (error.mean(axis=0) for error in errors)
    # Shrinkage leaves what is within the standard error; constants in binary16 add 2^-11 of values
    # below 16.
    left = np.std(errors[1], axis=0) / np.sqrt(len(exact)) * 1.05 + 16 * 2.0**-11
    assert (np.abs(after) <= left).all()
    assert (np.abs(after) <= np.abs(before) + 16 * 2.0**-11).all()
