"""Noise of the conversions: the numbers themselves, and that only their keys decide about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anacc.errors import UsageError
from anacc.program.image import Image
from anacc.program.model import Adc, Unit
from anacc_runtime import ConversionNoise, _kernel, arithmetic
from anacc_runtime.native import NativeExecutor
from anacc_runtime.noise import (
    GROUP,
    MAX_DEVIATION,
    Purpose,
    charge_deviation,
    conversion_noise,
    gaussians,
    philox4x32,
    tile_key,
    tile_keys,
)
from anacc_runtime.program import LoadedProgram
from anacc_runtime.reference import MEMORY, Executor
from anacc_runtime.registers import Nest
from tests.runtime import examples
from tests.runtime.builder import CORE, F16, I8, I16, Builder, i, loop, r
from tests.runtime.test_executors import assert_same

Array = np.ndarray[Any, Any]

KEY = np.array([0x12345678, 0x9ABCDEF0], np.uint32)


def words(*values: int) -> Array:
    return np.array(values, np.uint32)


# Random words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000" * 4, "00000000" * 2, "6627e8d5e169c58dbc57ac4c9b00dbd8"),
        ("ffffffff" * 4, "ffffffff" * 2, "408f276d41c83b0ea20bc7c66d5451fd"),
        (
            "243f6a8885a308d313198a2e03707344",
            "a4093822299f31d0",
            "d16cfe0994fdcceb5001e42024126ea1",
        ),
    ],
)
def test_philox_gives_the_published_known_answers(counter: str, key: str, expected: str) -> None:
    """From kat_vectors of Random123."""
    numbers = [
        np.frombuffer(bytes.fromhex(text), ">u4").astype(np.uint32) for text in (counter, key)
    ]
    found = philox4x32(*numbers)
    assert found.dtype == np.uint32
    assert found.astype(">u4").tobytes().hex() == expected


def test_each_field_of_a_key_changes_it() -> None:
    noise = ConversionNoise(1.0, seed=3, trial=5)
    unit = Unit(1, "core", 2)
    keys = [
        tile_key(noise, unit, 7, 11, 0, Purpose.CONVERSION),
        tile_key(ConversionNoise(1.0, 3 + (1 << 32), 5), unit, 7, 11, 0, Purpose.CONVERSION),
        tile_key(ConversionNoise(1.0, 4, 5), unit, 7, 11, 0, Purpose.CONVERSION),
        tile_key(ConversionNoise(1.0, 3, 6), unit, 7, 11, 0, Purpose.CONVERSION),
        tile_key(noise, Unit(2, "core", 2), 7, 11, 0, Purpose.CONVERSION),
        tile_key(noise, Unit(1, "core", 3), 7, 11, 0, Purpose.CONVERSION),
        tile_key(noise, unit, 8, 11, 0, Purpose.CONVERSION),
        tile_key(noise, unit, 7, 12, 0, Purpose.CONVERSION),
        tile_key(noise, unit, 7, 11, 1, Purpose.CONVERSION),
    ]
    assert len({key.tobytes() for key in keys}) == len(keys)


# Gaussians ---------------------------------------------------------------------------------------


def some(count: int, phase: int = 0, deviation: float = 2.0**16) -> Array:
    """Noise of `count` conversions of 256 columns, (count, 256), in deviations."""
    position = np.arange(count)
    drawn = conversion_noise(KEY, np.float32(deviation), phase, np.array(3), position, 9, 0, 256)
    return drawn / deviation


def test_the_functions_are_as_exact_as_they_say() -> None:
    """For all radii, and for all angles."""
    word = np.arange(0, 1 << 32, 1 << 13, dtype=np.int64).astype(np.uint32)
    cosine, sine = gaussians(word, np.float32(1))
    v = word.view(np.int32) + 2.0**31 + 2.0**15
    radius = np.sqrt(-2 * np.log(v / (2.0**32 + 2.0**16)))
    square = cosine.astype(float) ** 2 + sine.astype(float) ** 2
    assert np.abs(square - radius**2).max() < 4.5e-4 + 1.5e-4 * radius.max() ** 2
    assert radius.max() < 4.86

    angles = np.arange(1 << 16).astype(np.uint32) | np.uint32(0x23450000)
    cosine, sine = gaussians(angles, np.float32(1))
    turn = (np.arange(1 << 16) - (1 << 14)) * (np.pi / (1 << 15))
    radius = np.hypot(cosine, sine).mean()
    assert np.abs(cosine / radius - np.cos(turn)).max() < 2e-4
    assert np.abs(sine / radius - np.sin(turn)).max() < 2e-4


def test_every_radius_is_a_number() -> None:
    """The square root is never taken of a negative number: the least squares belong to the largest
    words as signed integers, the largest one to the smallest."""
    ends = np.arange(-(1 << 20), 1 << 20).astype(np.int64) + (1 << 31)
    for deviation in (2.0**-8, 0.3, 1.0, 1000.1, MAX_DEVIATION):
        cosine, sine = gaussians(ends.astype(np.uint32), np.float32(deviation))
        assert np.isfinite(cosine).all() and np.isfinite(sine).all()
        assert max(np.abs(cosine).max(), np.abs(sine).max()) <= np.float32(4.86 * deviation)


def test_moments() -> None:
    x = np.stack([some(4000), some(4000, phase=1)])  # 2 million
    count = x.size
    assert abs(x.mean()) < 4 / math.sqrt(count)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / count)
    assert abs((x**3).mean()) < 4 * math.sqrt(15 / count)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / count)


def test_the_distribution_is_normal() -> None:
    """Chi-square over 200 bins of equal probability, and the number of values in the tails."""
    x = some(8000).ravel()

    def cumulative(value: float) -> float:
        return 0.5 * math.erfc(-value / math.sqrt(2))

    edges = np.linspace(-3.5, 3.5, 199)
    expected = np.diff([0.0, *map(cumulative, edges), 1.0]) * x.size
    found = np.bincount(np.searchsorted(edges, x), minlength=200)
    chi_square = float(((found - expected) ** 2 / expected).sum())
    assert abs(chi_square - 199) < 4 * math.sqrt(2 * 199)
    for bound in (3.0, 4.0, 4.5):
        tail = 2 * cumulative(-bound) * x.size
        assert abs(np.count_nonzero(np.abs(x) > bound) - tail) < 4 * math.sqrt(tail) + 1


def test_neighbours_are_independent() -> None:
    """No correlation of columns, phases or positions, of the numbers or of their squares."""
    x, y = some(4000), some(4000, phase=1)
    for power in (1, 2):
        a, b = (v**power - (v**power).mean() for v in (x, y))
        a, b = a / a.std(), b / b.std()
        pairs = [(a, b), (a[1:], a[:-1])]
        pairs += [(a[:, step:], a[:, :-step]) for step in (1, 2, 3, 8, 15, 16, 17, 32, 64, 128)]
        for left, right in pairs:
            assert abs((left * right).mean()) < 4.5 / math.sqrt(left.size)
    columns = np.cov(x.T)
    np.fill_diagonal(columns, 0)
    assert np.abs(columns).max() < 5.5 / math.sqrt(len(x))


def test_only_the_column_decides_which_number_it_gets() -> None:
    sample, position = np.arange(3)[:, np.newaxis], np.arange(5)

    def draw(first: int, count: int) -> Array:
        return conversion_noise(KEY, np.float32(100), 1, sample, position, 2, first, count)

    whole = draw(0, 300)
    assert whole.shape == (3, 5, 300) and whole.dtype == np.int32
    for first, count in ((0, 1), (5, 70), (63, 2), (64, 64), (250, 50)):
        assert np.array_equal(draw(first, count), whole[..., first : first + count])
    one = conversion_noise(KEY, np.float32(100), 1, np.array(2), np.array(4), 2, 0, 300)
    assert np.array_equal(one, whole[2, 4])


def test_which_word_belongs_to_a_column() -> None:
    """As docs/numerics.md says."""
    found = conversion_noise(KEY, np.float32(1e4), 1, np.array(6), np.array(7), 8, 0, 2 * GROUP)
    for column in range(2 * GROUP):
        group, inner = divmod(column, GROUP)
        counter = words(6, 8 * group + inner % 16 // 2 | 1 << 31, 8, 7)
        word = philox4x32(counter, KEY)[2 * (inner // 32) + inner % 2]
        pair = gaussians(np.array([word]), np.float32(1e4))
        assert found[column] == np.rint(pair[inner % 32 // 16][0])


@pytest.mark.parametrize("isa", _kernel.isas())
def test_the_kernel_gives_the_same_bits(isa: str) -> None:
    rng = np.random.default_rng(0)
    deviations = [2.0**-8, 0.1, 1.0, 3333.3, 2.0**20, MAX_DEVIATION]
    for case in range(300):
        key, (sample, position, time) = rng.integers(1 << 32, size=2), rng.integers(1 << 32, size=3)
        first, count = int(rng.integers(300)), int(rng.integers(1, 300))
        deviation, phase = np.float32(deviations[case % len(deviations)]), case % 2
        arguments = (phase, int(sample), int(position), int(time), first, count)
        expected = conversion_noise(
            key.astype(np.uint32), deviation, phase, sample, position, int(time), first, count
        )
        found = _kernel.draw((int(key[0]), int(key[1])), float(deviation), *arguments, isa)
        assert found == expected.tobytes()


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [(-1.0,), (math.nan,), (math.inf,), (1.0, -1), (1.0, 1 << 64), (1.0, 0, -1), (1.0, 0, 1 << 32)],
)
def test_settings_out_of_range_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError):
        ConversionNoise(*arguments)


def test_a_deviation_is_a_number_of_counts() -> None:
    adc = Adc(4, 5, 9, 427)
    assert charge_deviation(ConversionNoise(0.25), adc) == np.float32(0.25 * 512 / 5 * 64)
    assert charge_deviation(ConversionNoise(0.0), adc) == 0
    assert charge_deviation(ConversionNoise(1e-9), adc) == 0
    assert charge_deviation(ConversionNoise(1e300), adc) == MAX_DEVIATION
    assert charge_deviation(ConversionNoise(1.0), Adc(4, 0, 9, 427)) == 0


# Converters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phases", [1, 4])
def test_conductances_of_codes_give_the_bits_of_codes(phases: int) -> None:
    rng = np.random.default_rng(phases)
    adc = Adc(phases, 77_777, 27, 427)
    x, codes = examples.codes(rng, 50, 90), examples.codes(rng, 90, 33)
    plus, minus = (64 * np.maximum(sign * codes.astype(np.int16), 0) for sign in (1, -1))
    quiet = arithmetic.mvm(x, codes, adc)
    assert np.array_equal(arithmetic.mvm_conductances(x, plus, minus, adc), quiet)

    def noise(phase: int) -> Array:
        return np.random.default_rng(phase).normal(0, 64 * 3000, quiet.shape).astype(np.int32)

    noisy = arithmetic.mvm(x, codes, adc, noise)
    assert np.array_equal(arithmetic.mvm_conductances(x, plus, minus, adc, noise), noisy)
    assert not np.array_equal(noisy, quiet)
    assert np.array_equal(arithmetic.mvm(x, codes, adc, lambda phase: 0 * noise(phase)), quiet)


def test_a_conversion_with_noise() -> None:
    """One cell of 64/64 code, a converter of one count for each code."""
    x, codes = np.array([[10]], np.int8), np.array([[1]], np.int8)

    def count(phases: int, *noise: int) -> int:
        adc = Adc(phases, 1, 0, 100)
        found = arithmetic.mvm(x, codes, adc, lambda phase: np.array([[noise[phase]]], np.int32))
        return int(found[0, 0])

    assert count(1, 31) == 10 and count(1, 32) == 11
    assert count(1, -640 - 32) == -1 and count(1, -640 - 31) == 0
    assert count(1, 1 << 29) == 100 and count(1, -(1 << 29)) == -100
    assert count(4, 32, 0) == 11 and count(4, 0, 32) == 9
    assert count(4, -10_000, -10_000) == 0, "a converter does not count below 0"
    assert count(4, 1 << 29, 1 << 29) == 0


# Programs ----------------------------------------------------------------------------------------

NOISE = ConversionNoise(1.5, seed=11, trial=2)


def takes_noise(name: str) -> bool:
    return bool(tile_keys(examples.ALL[name], NOISE))


NOISY = [name for name in examples.ALL if takes_noise(name)]


def changed(left: dict[str, Array], right: dict[str, Array]) -> bool:
    return any(left[name].tobytes() != right[name].tobytes() for name in left)


@pytest.mark.parametrize("name", NOISY)
def test_no_split_of_the_batch_changes_the_noise(name: str) -> None:
    image = examples.ALL[name]
    feed = examples.feed(image, 7)
    whole = Executor(image).run(feed, noise=NOISE)
    assert changed(whole, Executor(image).run(feed))
    assert_same(Executor(image, memory=1).run(feed, noise=NOISE), whole)
    for start, stop in ((0, 3), (3, 7)):
        part = {key: value[start:stop] for key, value in feed.items()}
        expected = {key: value[start:stop] for key, value in whole.items()}
        assert_same(Executor(image).run(part, noise=NOISE, first_sample=start), expected)


@pytest.mark.parametrize("isa", _kernel.isas())
@pytest.mark.parametrize("name", NOISY)
def test_the_native_executor_has_the_noise_of_the_reference(name: str, isa: str) -> None:
    """However many samples are in work, whoever computes them, and in which parts they come."""
    image = examples.ALL[name]
    feed = examples.feed(image, 13)
    whole = Executor(image).run(feed, noise=NOISE, first_sample=5)
    for memory in (1, 20_000, MEMORY):
        native = NativeExecutor(image, memory, isa, least_work=0)
        for threads in (1, 2):
            assert_same(native.run(feed, threads, NOISE, first_sample=5), whole)
            for start, stop in ((0, 3), (3, 4), (4, 13)):
                part = {key: value[start:stop] for key, value in feed.items()}
                expected = {key: value[start:stop] for key, value in whole.items()}
                assert_same(native.run(part, threads, NOISE, first_sample=5 + start), expected)
        native.close()


@pytest.mark.parametrize("name", NOISY)
def test_seed_and_trial_decide(name: str) -> None:
    image = examples.ALL[name]
    feed = examples.feed(image, 5)
    program = LoadedProgram(image)

    def run(noise: ConversionNoise | None) -> dict[str, Array]:
        return program.run(feed, "reference", noise=noise)

    assert_same(run(NOISE), run(ConversionNoise(1.5, seed=11, trial=2)))
    assert changed(run(NOISE), run(ConversionNoise(1.5, seed=12, trial=2)))
    assert changed(run(NOISE), run(ConversionNoise(1.5, seed=11, trial=3)))
    assert_same(run(ConversionNoise(0.0, seed=11)), run(None))


def test_samples_that_do_not_fit_are_refused() -> None:
    image = examples.ALL["layer"]
    feed = examples.feed(image, 2)
    for first in (-1, (1 << 32) - 1):
        with pytest.raises(UsageError, match="first sample"):
            LoadedProgram(image).run(feed, "reference", noise=NOISE, first_sample=first)


def counts(*body: Any, repeat: int = 1, sequential: bool = False) -> Image:
    """A core that sends the counts of an empty crossbar, its noise: three columns, `repeat`
    iterations."""
    b = Builder()
    x, out = b.channel(I8, 2), b.channel(F16, 3)
    adc = b.adc(Adc(1, 1, 0, 2047))
    weight = b.weight(np.zeros((2, 3)))
    one = b.const16([1.0], 1)
    b.input("x", x, (None, repeat, 2))
    tokens = repeat * len(body)
    instructions = [i("recv", r(0, 2), x)]
    for _ in body:
        instructions += [
            i("mvm", r(1, 3), r(0, 2), 0, 0, adc),
            i("scale", r(2, 3), r(1, 3), one),
            i("send", out, r(2, 3)),
        ]
    registers = [(I8, 2), (I16, 3), (F16, 3)]
    program = i("program", weight, 0, 0)
    b.stream(CORE, registers, program, loop(repeat, *instructions, sequential=sequential))
    b.output("y", out, (None, tokens, 3))
    return b.image()


def noise_of(image: Image, batch: int = 2) -> Array:
    feed = examples.feed(image, batch)
    return Executor(image).run(feed, noise=ConversionNoise(50.0))["y"]


def test_two_uses_of_one_region_draw_differently() -> None:
    y = noise_of(counts("first", "second"))
    assert len(np.unique(y)) > y.size / 2
    assert not np.array_equal(y[:, 0], y[:, 1])
    assert np.array_equal(y[:, :1], noise_of(counts("first"))[:, :1])


@pytest.mark.parametrize("sequential", [False, True])
def test_position_and_time_number_the_iterations(sequential: bool) -> None:
    image = counts("once", repeat=4, sequential=sequential)
    y = noise_of(image)
    (key,) = tile_keys(image, ConversionNoise(50.0)).values()
    for sample in range(2):
        for step in range(4):
            position, time = (0, step) if sequential else (step, 0)
            drawn = conversion_noise(
                key, np.float32(50 * 64), 0, np.array(sample), np.array(position), time, 0, 3
            )
            charge = arithmetic.round_half_up(np.abs(drawn.astype(np.int64)), 1, 6)
            assert np.array_equal(y[sample, step], np.sign(drawn) * charge)


def test_positions_do_not_depend_on_how_loops_are_executed() -> None:
    """Loops of 2 and 3 iterations are parallel, that of 4 between them is sequential."""
    for step in range(4):
        axes = Nest().enter_axis(2, (0,)).enter_iteration(4, step, sequential=True)
        position, time = axes.enter_axis(3, (0, 0, 0)).positions()
        assert time == step and np.array_equal(position, [[0, 1, 2], [3, 4, 5]])
        for outer in range(2):
            one = Nest().enter_iteration(2, outer, sequential=False)
            one = one.enter_iteration(4, step, sequential=True).enter_axis(3, (0, 0, 0))
            position, time = one.positions()
            assert time == step and np.array_equal(position, [3 * outer + k for k in range(3)])
