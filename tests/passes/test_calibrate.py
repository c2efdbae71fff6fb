"""Calibrate: the scale of each value, against definitions written the long way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import CompileError
from anacc.ir import Module
from anacc.ir.parse import parse_module
from anacc_passes.calibrate import AT_ONCE, PIECES, Calibrate, piecewise
from anacc_passes.infrastructure import run_pipeline
from anacc_passes.ranges import BINS, CANDIDATES

Array = npt.NDArray[Any]


@dataclass
class FakeSource:
    """Gives %x as it is fed and %y as its tanh, and notes what it was fed."""

    fed: list[Mapping[str, Array]] = field(default_factory=list)

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        assert names == ("%x", "%y")
        self.fed.append(dict(feed))
        return {"%x": feed["x"], "%y": np.tanh(feed["x"])}


def module(batch: str = "N", shape: str = "N, 4") -> Module:
    text = f"""
    module "m" level=graph batch={batch} {{
      input %x : float32[{shape}]
      input %i : int64[2]
      %y : float32[{shape}] = tanh(%x) from "Tanh_0"
      %h : float32[?], %n : int64[N] = host(%y, %i) {{nodes = ["a"], reasons = ["b"]}} from "a"
      output "y" = %y
    }}
    """
    return replace(parse_module(text), source=FakeSource())


def feed(x: Array) -> dict[str, Array]:
    return {"x": x.astype(np.float32), "i": np.zeros(2, np.int64)}


def scales(method: str, *samples: Array) -> tuple[float, float]:
    """The scales of %x and %y."""
    result, _ = run_pipeline(module(), [Calibrate([feed(x) for x in samples], method)])
    for name in ("%i", "%h", "%n"):
        assert result.values[name].scale is None
    found = result.values["%x"].scale, result.values["%y"].scale
    assert found[0] is not None and found[1] is not None
    return found[0], found[1]


def sample(seed: int, count: int = 50) -> Array:
    return np.random.default_rng(seed).standard_normal((count, 4)).astype(np.float32)


# The three methods.


def test_minmax_takes_the_largest_magnitude_of_all_feeds() -> None:
    small, large = np.full((2, 4), 0.5, np.float32), np.full((2, 4), -3.0, np.float32)
    assert scales("minmax", small, large, small) == (
        float(np.float32(3 / 127)),
        float(np.float32(np.tanh(np.float32(3)) / 127)),
    )


@given(st.integers(0, 9), st.sampled_from([50, 3000]), st.integers(0, 3))
def test_percentile_leaves_one_element_in_ten_thousand_out(
    seed: int, count: int, outliers: int
) -> None:
    x = sample(seed, count)
    x.flat[:outliers] = 100.0
    magnitudes = np.sort(np.abs(x.astype(np.float64)), axis=None)
    most = magnitudes[int(np.ceil(0.9999 * x.size)) - 1]
    limit = scales("percentile", x)[0] * 127
    # The histogram rounds the range up, by a bin at most.
    assert most * 0.999999 <= limit <= most + magnitudes[-1] * (1 / BINS + 1e-6)


@given(st.integers(0, 9), st.sampled_from([1.0, 8.0]))
def test_mse_is_no_worse_than_any_other_candidate(seed: int, outlier: float) -> None:
    x = sample(seed, 500)
    x[0, 0] = outlier

    def error(lsb: float) -> float:
        codes = np.clip(np.rint(x / lsb), -127, 127)
        return float(np.mean((x - codes * lsb) ** 2))

    largest = float(np.abs(x).max())
    candidates = [largest * step / CANDIDATES / 127 for step in range(1, CANDIDATES + 1)]
    chosen = scales("mse", x)[0]
    assert min(abs(chosen / lsb - 1) for lsb in candidates) < 1e-6
    # Up to what the histogram blurs: a bin is 1/32 of a code.
    assert error(chosen) <= 1.1 * min(error(lsb) for lsb in candidates)


def test_mse_clips_what_is_rare() -> None:
    x = np.linspace(-1, 1, 600_000).reshape(-1, 4)
    x[0, 0] = 3.0  # clipping it to 1 costs 4 in all, keeping it 600,000 * 8 / 12 / 127**2 = 25
    assert scales("mse", x)[0] < 0.4 * scales("minmax", x)[0]


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_a_tensor_of_zeros_has_a_scale_all_the_same(method: str) -> None:
    assert scales(method, np.zeros((3, 4))) == (1 / 127, 1 / 127)


# What the model runs on.


@pytest.mark.parametrize("method", ["minmax", "mse"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 5])
def test_a_symbolic_batch_is_cut_and_covered_once(axis: int, count: int, method: str) -> None:
    graph = module(shape="N, 4" if axis == 0 else "4, N")
    x = np.arange(4 * count, dtype=np.float32).reshape((count, 4) if axis == 0 else (4, count))
    run_pipeline(graph, [Calibrate([feed(x)], method)])
    parts = [fed["x"] for fed in graph.source.fed]
    rounds = 1 if method == "minmax" else 2
    assert len(parts) == rounds * -(-count // (AT_ONCE // PIECES))
    assert max(part.shape[axis] for part in parts) <= AT_ONCE // PIECES
    # Threads may begin them in any order.
    seen = np.sort(np.concatenate(parts, axis), axis=None)
    np.testing.assert_array_equal(seen, np.sort(np.concatenate([x] * rounds), axis=None))
    assert all(fed["i"].shape == (2,) for fed in graph.source.fed)


def test_pieces_are_computed_at_once_and_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    second_is_done = Event()

    class Slow(FakeSource):
        def activations(
            self, feed: Mapping[str, Array], names: tuple[str, ...]
        ) -> dict[str, Array]:
            if feed["x"][0, 0] == 0:
                assert second_is_done.wait(60)
            else:
                second_is_done.set()
            return super().activations(feed, names)

    monkeypatch.setattr("anacc_passes.calibrate.cpus", lambda: 2)
    x = np.arange(4 * AT_ONCE, dtype=np.float32).reshape(AT_ONCE, 4)
    graph = replace(module(), source=Slow())
    found = [values["%x"] for values in piecewise(graph, feed(x), ("%x", "%y"))]
    assert len(found) == PIECES
    np.testing.assert_array_equal(np.concatenate(found), x)


def test_a_fixed_batch_is_not_cut() -> None:
    graph = module(batch="100", shape="N, 4")
    run_pipeline(graph, [Calibrate([feed(sample(0, 100))])])
    assert [fed["x"].shape for fed in graph.source.fed] == [(100, 4)]


def test_the_cut_does_not_change_a_scale() -> None:
    x = sample(1, 3 * AT_ONCE)
    for method in ("minmax", "percentile", "mse"):
        assert scales(method, x) == scales(method, x[:10], x[10:])


# Errors.


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5])
def test_a_value_that_is_not_finite_is_named(wrong: float, place: int) -> None:
    x = sample(2)
    x.flat[place] = wrong
    with pytest.raises(CompileError, match="`x` is not finite") as caught:
        scales("minmax", sample(3), x, sample(4))
    assert caught.value.hint is not None


@pytest.mark.parametrize("feeds", [[], [feed(np.zeros((0, 4)))]])
def test_data_without_samples_is_refused(feeds: list[dict[str, Array]]) -> None:
    with pytest.raises(CompileError, match="has no samples"):
        run_pipeline(module(), [Calibrate(feeds)])


def test_what_no_tensor_holds_gets_the_range_that_its_operands_allow() -> None:
    text = """
    module "m" level=graph batch=N {
      constant @s : float32[2] = [-3.0, 2.0]
      constant @o : float32[1] = [-1.0]
      input %x : float32[N, 2]
      %y : float32[N, 2] = tanh(%x) from "Tanh_0"
      %a : float32[N, 2] = affine(%x, @s, @o) from "Node_1"
      %b : float32[N, 2] = clamp(%a) {high = 7.0, low = -2.5} from "Node_1"
      %c : float32[N, 2] = multiply(%b, %x) from "Node_1"
      %d : float32[N, 2] = add(%c, %a) from "Node_1"
      %e : float32[N, 2] = relu(%d) from "Node_1"
      %f : float32[N, 2] = sigmoid(%e) from "Node_1"
      %g : float32[N, 2] = function(%x) {steps = [["exp", 0]]} from "Node_1"
      %h : float32[N, 2] = clamp(%x) {high = 9.0, low = 8.0} from "Node_1"
      output "y" = %y
      output "f" = %f
      output "g" = %g
      output "h" = %h
    }
    """
    x = np.full((2, 2), -4.0, np.float32)
    calibrated = Calibrate([{"x": x}])(replace(parse_module(text), source=KnowsTensors()))
    largest = {name: 127 * (value.scale or 0.0) for name, value in calibrated.values.items()}
    expected = {"%x": 4.0, "%y": np.tanh(4.0), "%a": 13.0, "%b": 7.0, "%c": 28.0, "%d": 41.0}
    expected |= {"%e": 41.0, "%f": 1.0, "%g": np.exp(4.0), "%h": 8.0}
    assert largest == pytest.approx(expected, rel=1e-6)


class KnowsTensors:
    """Gives only %x and %y: the others are steps on the way to a tensor."""

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        return {"%x": feed["x"], "%y": np.tanh(feed["x"])}


def relu_like(shares: float, seed: int) -> Array:
    """Activations of which a share is zero, and a few are large."""
    rng = np.random.default_rng(seed)
    x = np.abs(rng.standard_normal((500, 4))) * (rng.uniform(size=(500, 4)) > shares)
    x[:3] *= 3
    return x


@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_percentile_is_that_of_onnxruntime(zeros: float) -> None:
    from onnxruntime.quantization.calibrate import HistogramCollector

    x = relu_like(zeros, 1).astype(np.float32)
    collector = HistogramCollector("percentile", True, BINS, 128, 99.99, "same")
    collector.collect({"x": [x]})
    theirs = collector.compute_collection_result()["x"][1]
    # Histograms over [-max, max] and over [0, max]: two of their bins apart at most.
    ours = 127 * scales("percentile", x)[0]
    assert ours == pytest.approx(float(theirs), abs=2 * 2 * float(x.max()) / BINS)


@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_entropy_keeps_what_is_not_an_outlier(zeros: float) -> None:
    """However many zeros a relu leaves: code 0 holds them in any range."""
    x = relu_like(zeros, 2)
    share = 127 * scales("entropy", x)[0] / x.max()
    bulk = np.quantile(x[x > 0], 0.98) / x.max()
    assert share > bulk
