"""The engine against what schedules mean, on every instruction set, bit for bit."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.program.model import Adc
from anacc_runtime import _kernel
from anacc_runtime.native.operations import (
    Gather,
    Group,
    Index,
    Loop,
    Operand,
    Region,
    RegionKind,
    Schedule,
    TileCall,
)
from tests.runtime.schedule_maker import Maker, codes, finite_halves
from tests.runtime.schedule_model import Model, PlainTile

Array = np.ndarray[Any, Any]
seeds = st.integers(0, 2**32 - 1)


def assert_same(actual: list[Array], expected: list[Array]) -> None:
    for number, (left, right) in enumerate(zip(actual, expected, strict=True)):
        assert left.tobytes() == right.tobytes(), number


def run(model: Model, externals: list[Array], capacity: int, isa: str | None = None) -> list[Array]:
    arrays = [array.copy() for array in externals]
    model.engine(isa).run(tuple(arrays), 0, len(arrays[0]), capacity)
    return arrays


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_schedules_mean_the_same_natively(seed: int, groups: int, capacity: int) -> None:
    maker = Maker(seed)
    model = maker.model(groups)
    externals = maker.feed(3)
    expected = model.expected(externals)
    for isa in _kernel.isas():
        assert_same(run(model, externals, capacity, isa), expected)


def many_positions(seed: int = 1, rows: int = 40, columns: int = 70) -> tuple[Model, list[Array]]:
    """A window, a tile and a table in one group with more positions than fit in a block."""
    rng = np.random.default_rng(seed)
    axes, zero = (13, 11), (0, 0)
    tile = PlainTile(
        rng.integers(-127, 128, (rows, columns)).astype(np.int8), Adc(4, 3, 8, 427),
        finite_halves(rng, columns), None, (), ((0, rows),),
    )  # fmt: skip
    size = -(-rows // 64) * 64
    regions = (
        Region(RegionKind.EXTERNAL, 2048, 0),
        Region(RegionKind.LOCAL, size, 0),
        Region(RegionKind.EXTERNAL, 143 * columns, 1),
        Region(RegionKind.ARENA, -(-143 * columns // 32) * 64, 64),
        Region(RegionKind.EXTERNAL, 2 * 143 * columns, 2),
    )
    reverse = np.arange(142, -1, -1) * columns
    body = (
        Gather(Operand(1, 0, (), zero), Operand(0, 7, (), (97, 5)), ((2, 33),), rows // 2),
        TileCall(
            0, Operand(1, 0, (), zero), (),
            Operand(3, 0, (), (22 * columns, 2 * columns)), Operand(2, 0, (), zero, 0),
            Index(0, (), zero), Index(0, (), zero),
        ),
    )  # fmt: skip
    copy = Gather(Operand(4, 0, (), (2 * columns,)), Operand(3, 0, (), (2 * columns,)), (), 140)
    schedule = Schedule(regions, (reverse,), (Group(axes, body), Group((143,), (copy,))))
    externals = [
        codes(rng, (5, 2048)),
        np.zeros((5, 143 * columns), np.uint8),
        np.zeros((5, 2 * 143 * columns), np.uint8),
    ]
    return Model(schedule, (tile,)), externals


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 99])
def test_blocks_and_capacities_change_nothing(capacity: int) -> None:
    model, externals = many_positions()
    expected = model.expected(externals)
    for isa in _kernel.isas():
        assert_same(run(model, externals, capacity, isa), expected)


def test_parts_of_a_batch_are_independent() -> None:
    """One engine, several threads at once, each with samples of its own, again and again."""
    model, externals = many_positions()
    expected = model.expected(externals)
    engine = model.engine()
    for _ in range(5):
        arrays = tuple(array.copy() for array in externals)
        cuts = [(0, 2), (2, 2), (2, 3), (3, 5)]
        in_threads(*(partial(engine.run, arrays, first, last, 1) for first, last in cuts))
        assert_same(list(arrays), expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("least_work", [0, 50_000, None])
@pytest.mark.parametrize("make", ["many_positions", "large_tile"])
def test_a_crew_shares_a_run(make: str, least_work: int | None, threads: int) -> None:
    model, externals = many_positions() if make == "many_positions" else large_tile()
    expected = model.expected(externals)
    engine = model.engine()
    for helpers in (0, threads - 1, threads):
        arrays = tuple(array.copy() for array in externals)
        crew = _kernel.Crew(engine, threads, *([] if least_work is None else [least_work]))
        lead = partial(engine.run, arrays, 0, len(arrays[0]), 2, crew=crew)
        in_threads(lead, *[crew.help] * helpers)
        assert_same(list(arrays), expected)
        crew.help()  # too late, and harmless


def large_tile() -> tuple[Model, list[Array]]:
    """Few positions, each of so much work that threads share them."""
    rng = np.random.default_rng(3)
    tile = PlainTile(
        rng.integers(-127, 128, (600, 500)).astype(np.int8), Adc(1, 1, 8, 427),
        finite_halves(rng, 500), None, (), ((0, 600),),
    )  # fmt: skip
    regions = Region(RegionKind.EXTERNAL, 4200, 0), Region(RegionKind.EXTERNAL, 3500, 1)
    index = Index(0, (), (0,))
    call = TileCall(0, Operand(0, 0, (), (600,)), (), None, Operand(1, 0, (), (500,)), index, index)
    model = Model(Schedule(regions, (), (Group((7,), (call,)),)), (tile,))
    x = codes(rng, (3, 4200))
    return model, [x, np.zeros((3, 3500), np.uint8)]


def in_threads(*functions: Callable[[], object]) -> None:
    """Call functions at the same time; what they raise is raised here."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(function) for function in functions]:
            future.result()


def test_a_crew_serves_one_run_of_its_engine() -> None:
    model, externals = many_positions()
    engine, other = model.engine(), model.engine()
    crew = _kernel.Crew(engine, 2)
    with pytest.raises(ValueError, match="another engine"):
        other.run(tuple(externals), 0, 5, 1, crew=crew)
    engine.run(tuple(externals), 0, 5, 1, crew=crew)
    with pytest.raises(ValueError, match="another run"):
        engine.run(tuple(externals), 0, 5, 1, crew=crew)


def test_a_crew_has_threads_and_work() -> None:
    engine = many_positions()[0].engine()
    assert engine.work >= 143 * 40 * 70
    with pytest.raises(ValueError, match="no threads"):
        _kernel.Crew(engine, 0)
    with pytest.raises(ValueError, match="negative"):
        _kernel.Crew(engine, 1, -1)


def test_a_run_that_fails_sends_its_crew_away() -> None:
    model, externals = many_positions()
    engine = model.engine()
    crew = _kernel.Crew(engine, 2)
    helper = threading.Thread(target=crew.help)
    helper.start()
    with pytest.raises(ValueError):
        engine.run(tuple(externals), 0, 6, 1, crew=crew)
    helper.join()


def test_no_samples_touch_nothing() -> None:
    model, externals = many_positions()
    before = [array.copy() for array in externals]
    model.engine().run(tuple(externals), 3, 3, 1)
    assert_same(externals, before)


def test_noise_counts_samples_positions_and_time() -> None:
    """Draws depend on the sample of the whole batch, the position and the time, not on blocks."""
    rng = np.random.default_rng(5)
    columns = 40
    tile = PlainTile(
        np.zeros((1, columns), np.int8), Adc(1, 1, 6, 32767), np.ones(columns, np.float16), None,
        (), ((0, 1),),
    )  # fmt: skip
    step = 2 * columns
    regions = Region(RegionKind.EXTERNAL, 64, 0), Region(RegionKind.EXTERNAL, 260 * step, 1)
    call = TileCall(
        0, Operand(0, 0, (0,), (0, 0)), (),
        Operand(1, 0, (130 * step,), (step, 13 * step)), None,
        Index(4, (0,), (3, 100)), Index(2, (7,), (0, 0)),
    )  # fmt: skip
    schedule = Schedule(regions, (), (Group((13, 10), (Loop(2, (call,)),)),))
    model = Model(schedule, (tile,))
    key, deviation = rng.integers(0, 1 << 32, 2).astype(np.uint32), np.float32(64 * 3.0)
    for isa in _kernel.isas():
        result = np.zeros((4, 2, 10, 13, columns), np.float16)
        x = np.zeros((4, 64), np.int8)
        noise = key[np.newaxis], np.array([deviation])
        model.engine(isa).run((x, result), 0, 3, 2, 1000, noise)
        model.engine(isa).run((x, result), 3, 4, 1, 1000, noise)
        for sample, time, j, i in [(0, 0, 0, 0), (1, 1, 9, 12), (3, 1, 4, 5), (2, 0, 9, 0)]:
            drawn = _kernel.draw(
                (int(key[0]), int(key[1])), float(deviation), 0, 1000 + sample,
                4 + 3 * i + 100 * j, 2 + 7 * time, 0, columns, isa,
            )  # fmt: skip
            # A gain of 1/64 in units of one code, so that a count is 1/4096 of a draw.
            charges = np.frombuffer(drawn, np.int32)
            counts = np.sign(charges) * ((np.abs(charges) + 2048) >> 12)
            assert (result[sample, time, j, i] == counts).all()
