"""Tiles, what they are applied to, and what must come of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import _kernel, arithmetic

Array = np.ndarray[Any, Any]
EXTREMES = [0.0, -0.0, 2.0**-24, -(2.0**-24), 2.0**-14, 1.0, -0.5, 0.5, 1.5, 65504.0, -65504.0]
MOST = 2**14 - 1  # a conductance in 1/64 code


@dataclass(frozen=True)
class Noise:
    """Noise of conversions: arguments of `Tile.run`, which draws it as `_kernel.draw` does."""

    key: tuple[int, int]
    deviation: float
    samples: Array
    positions: Array
    time: int


@dataclass(frozen=True)
class Case:
    """A tile and what it is applied to.

    `weights` are codes, or a pair of conductances g+ and g- in 1/64 code.
    """

    x: Array
    weights: Array | tuple[Array, Array]
    adc: Adc
    scale: Array
    offset: Array | None = None
    addends: tuple[tuple[Array, Array | None], ...] = ()
    activation: Any = None
    nonnegative: bool = False
    noise: Noise | None = None

    @property
    def columns(self) -> int:
        return len(self.scale)

    def expected(self) -> tuple[Array, Array]:
        """Value and codes of the specification."""
        draw = None if self.noise is None else self.draw
        if isinstance(self.weights, tuple):
            counts = arithmetic.mvm_conductances(self.x, *self.weights, self.adc, draw)
        else:
            counts = arithmetic.mvm(self.x, self.weights, self.adc, draw)
        if self.offset is None:
            y = arithmetic.scale(counts, self.scale)
        else:
            y = arithmetic.affine(counts, self.scale, self.offset)
        for addend, scale in self.addends:
            if scale is not None:
                addend = arithmetic.scale(addend, scale)
            y = arithmetic.add(y, addend.astype(np.float16))
        if self.activation == "relu":
            y = arithmetic.relu(y)
        elif self.activation is not None:
            y = arithmetic.clamp(y, *self.activation)
        return y, arithmetic.quantise(y)

    def draw(self, phase: int) -> Array:
        """The noise of all conversions: tests/runtime/test_noise.py compares it with its own
        specification."""
        assert self.noise is not None
        rows = [
            np.frombuffer(
                _kernel.draw(
                    self.noise.key, self.noise.deviation, phase, int(sample), int(position),
                    self.noise.time, 0, self.columns, "portable",
                ),
                np.int32,
            )
            for sample, position in zip(self.noise.samples, self.noise.positions, strict=True)
        ]  # fmt: skip
        return np.array(rows, np.int32).reshape(-1, self.columns)

    def native_weights(self) -> list[Any]:
        """The weights in all forms that stand for them."""
        if not isinstance(self.weights, tuple):
            difference = self.weights.astype(np.int16) * 64
            forms: list[Any] = [self.weights]
            if len(self.weights) <= 512:
                forms += difference, (difference, np.abs(difference))
            return forms
        plus, minus = self.weights
        difference, total = plus - minus, plus + minus
        one_sided = bool((np.minimum(plus, minus) == 0).all())
        return [(difference, total), *([difference] if one_sided else [])]

    def tile(self, weights: Any, runs: tuple[tuple[int, int], ...], isa: str) -> _kernel.Tile:
        adc = self.adc
        return _kernel.Tile(
            weights,
            (adc.phases, adc.multiplier, adc.shift, adc.maximum),
            self.scale,
            self.offset,
            tuple(
                ("int8" if addend.dtype == np.int8 else "binary16", scale)
                for addend, scale in self.addends
            ),
            self.activation,
            runs,
            self.nonnegative,
            isa,
        )

    def check(self, cuts: tuple[int, ...] = ()) -> None:
        """Compare all instruction sets and forms of the weights.

        Args:
            cuts: rows at which the input vectors are cut into pieces that lie apart.
        """
        ends = sorted({cut for cut in cuts if 0 < cut < self.x.shape[1]} | {self.x.shape[1]})
        starts = [0, *ends[:-1]]
        runs = tuple(
            (start + 3 * k, end - start)
            for k, (start, end) in enumerate(zip(starts, ends, strict=True))
        )
        x = np.full((len(self.x), sum(runs[-1])), 99, np.int8)
        for (offset, length), start in zip(runs, starts, strict=True):
            x[:, offset : offset + length] = self.x[:, start : start + length]
        expected_value, expected_codes = self.expected()
        noise: Any = None
        if self.noise is not None:
            n = self.noise
            noise = n.key, n.deviation, n.samples, n.positions, n.time
        for isa in _kernel.isas():
            for weights in self.native_weights():
                tile = self.tile(weights, runs, isa)
                # Results into the middle of wider arrays, whose other elements must stay.
                wide_value = np.full((len(self.x), self.columns + 3), 7, np.float16)
                wide_codes = np.full((len(self.x), self.columns + 3), 7, np.int8)
                addends = tuple(addend for addend, _ in self.addends)
                tile.run(x, addends, wide_value[:, 1:-2], wide_codes[:, 1:-2], noise)
                assert wide_value[:, 1:-2].tobytes() == expected_value.tobytes()
                assert wide_codes[:, 1:-2].tobytes() == expected_codes.tobytes()
                assert (wide_value[:, [0, -2, -1]] == 7).all()
                assert (wide_codes[:, [0, -2, -1]] == 7).all()


def numbers(rng: np.random.Generator, shape: Any, kind: int) -> Array:
    """Binary16 numbers: moderate, of all magnitudes, or extreme."""
    if kind == 0:
        values: Array = rng.normal(size=shape) * 4
    elif kind == 1:
        bits = rng.integers(0, 1 << 16, shape).astype(np.uint16)
        bits[bits & 0x7C00 == 0x7C00] = 0x7BFF  # neither infinite nor NaN
        values = bits.view(np.float16)
    else:
        values = rng.choice(np.array(EXTREMES), shape)
    return values.astype(np.float16)


def codes(rng: np.random.Generator, shape: tuple[int, int], kind: int, low: int) -> Array:
    """Codes: any, mostly zero, all zero, or extreme."""
    values = rng.integers(low, 128, shape)
    if kind == 1:
        values *= rng.random(shape) < 0.1
    elif kind == 2:
        values *= 0
    elif kind == 3:
        values = np.where(values < (127 + low) / 2, low, 127)
    result: Array = values.astype(np.int8)
    return result


kinds = st.integers(0, 2)


@st.composite
def cases(draw: st.DrawFn, wide: bool = False) -> tuple[Case, tuple[int, ...]]:
    """Tiles of codes, or of conductances, with pieces of input vectors."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positions = draw(st.sampled_from((0, 1, 2, 3, 4, 11, 12, 13, 95, 96, 97)))
    sizes = st.one_of(st.integers(1, 20), st.integers(1, 256), st.just(256))
    rows, columns = draw(sizes), draw(sizes)
    adc = Adc(
        draw(st.sampled_from((1, 4))),
        draw(st.one_of(st.integers(1, 64), st.integers(1, 2**24 - 1))),
        draw(st.one_of(st.integers(0, 12), st.integers(0, 56))),
        draw(st.one_of(st.integers(1, 4095), st.just(427))),
    )
    addends: list[tuple[Array, Array | None]] = []
    for choice in draw(st.lists(st.integers(0, 2), max_size=3)):
        shape = positions, columns
        if choice == 0:
            addends.append((numbers(rng, shape, draw(kinds)), None))
        else:
            scale = numbers(rng, columns, draw(kinds))
            addend = codes(rng, shape, 0, -127) if choice == 1 else numbers(rng, shape, 0)
            addends.append((addend, scale))
    low = draw(st.sampled_from((-127, 0)))
    if wide:
        plus, minus = (rng.integers(0, MOST + 1, (rows, columns)).astype(np.int16) for _ in "+-")
        if draw(st.booleans()):
            plus, minus = np.where(plus > minus, plus, 0), np.where(plus > minus, 0, minus)
        weights: Any = plus, minus
    else:
        weights = codes(rng, (rows, columns), draw(st.integers(0, 3)), -127)
    case = Case(
        codes(rng, (positions, rows), draw(st.integers(0, 3)), low),
        weights,
        adc,
        numbers(rng, columns, draw(kinds)),
        draw(st.sampled_from((None, numbers(rng, columns, draw(kinds))))),
        tuple(addends),
        draw(st.sampled_from((None, "relu", (0.0, 6.0), (-65504.0, 65504.0), (-1.5, -0.0)))),
        low == 0 and draw(st.booleans()),
    )
    return case, tuple(draw(st.lists(st.integers(1, 256), max_size=3)))
