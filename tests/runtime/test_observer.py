"""An observer sees what a run does, and may put other tokens in the place of those it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import arithmetic
from anacc_runtime.reference import Executor
from tests.cli import sample

Array = npt.NDArray[Any]


@given(
    st.sampled_from([1, 4]),
    st.integers(1, 400),
    st.integers(1, 6),
    st.integers(0, 99),
)
def test_levels_say_which_conversions_are_clamped(
    phases: int, maximum: int, rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    adc = Adc(phases, 1 << 20, 26, maximum)
    wide = Adc(phases, 1 << 20, 26, 2**15 - 1)
    codes = rng.integers(-127, 128, (rows, 5)).astype(np.int8)
    x = rng.integers(-127, 128, (7, rows)).astype(np.int8)
    levels = arithmetic.mvm_levels(x, codes, adc)
    plus, minus = np.maximum(codes, 0), np.minimum(codes, 0)
    if phases == 1:
        # What a converter that nothing exceeds counts.
        expected = np.abs(arithmetic.mvm(x, codes, wide).astype(int))
    else:
        # Each of the two counters by itself: signs that agree, and signs that do not.
        up = np.maximum(x, 0), np.minimum(x, 0)
        agree = _exact(up[0], plus) + _exact(up[1], minus)
        other = -(_exact(up[0], minus) + _exact(up[1], plus))
        expected = np.maximum(*(np.floor(q * 2.0**20 / 2.0**26 + 0.5) for q in (agree, other)))
    np.testing.assert_array_equal(levels, expected / maximum)
    clamped = arithmetic.mvm(x, codes, adc) != arithmetic.mvm(x, codes, wide)
    assert not (clamped & (levels <= 1)).any()


def _exact(x: Array, codes: Array) -> Array:
    return x.astype(np.int64) @ codes.astype(np.int64)


@dataclass
class Notes:
    """Notes everything; the tokens of channel 0 become zeros."""

    channels: frozenset[int] = frozenset({0, 1})
    seen: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    levels: list[tuple[int, ...]] = field(default_factory=list)

    def tokens(self, channel: int, first_sample: int, tokens: Array) -> Array:
        self.seen.append((channel, first_sample, tokens.shape))
        return np.zeros_like(tokens) if channel == 0 else tokens

    def conversions(self, stream: int, levels: npt.NDArray[np.float64]) -> None:
        self.levels.append((stream, *levels.shape))


def test_what_an_observer_returns_goes_on() -> None:
    image = sample.image()
    feed = {"x": sample.inputs(3)}
    notes = Notes()
    # One sample at a time: the memory is exceeded at once.
    found = Executor(image, memory=1, observer=notes).run(feed)
    np.testing.assert_array_equal(found["y"], np.broadcast_to(sample.BIAS, (3, 3)))
    assert notes.seen == [(0, 0, (3, 1, 4)), *((1, n, (1, 1, 3)) for n in range(3))]
    assert [shape[0] for shape in notes.levels] == [1, 1, 1]
    plain = Executor(image).run(feed)
    assert not np.array_equal(plain["y"], found["y"])
