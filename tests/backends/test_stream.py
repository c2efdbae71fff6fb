"""Writing a stream: pools hold each run of constants once, and strides fit the open loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import CompileError
from anacc.program.model import Adc, Const, Instr, Loop
from anacc_backends.emission.stream import Emission, Pool, StreamWriter
from tests.passes.chips import Chip, target

RUNS = st.lists(st.lists(st.sampled_from([0.0, -0.0, 1.0, 0.1]), min_size=1, max_size=3))


@given(RUNS, st.sampled_from([np.float16, np.float32]))
def test_a_pool_gives_back_what_was_added(
    runs: list[list[float]], dtype: type[np.float16] | type[np.float32]
) -> None:
    pool = Pool(dtype)
    places = [pool.add(run) for run in runs]
    whole = pool.array()
    assert whole.dtype == dtype
    for run, place in zip(runs, places, strict=True):
        # Bytes, so that -0.0 differs from 0.0.
        assert whole[place : place + len(run)].tobytes() == np.array(run, dtype).tobytes()
    # Equal runs share a place, and nothing else is stored.
    kinds = {np.array(run, dtype).tobytes(): len(run) for run in runs}
    assert len(whole) == sum(kinds.values())
    assert len(set(places)) == len(kinds)


def test_an_array_of_any_shape_is_a_run() -> None:
    pool = Pool(np.float16)
    assert pool.add([[1.0, 2.0], [3.0, 4.0]]) == 0
    assert pool.add(np.array([[1.0, 3.0], [2.0, 4.0]]).T) == 0
    assert pool.add([1.0, 2.0]) == 4


def emission() -> Emission:
    chip = Chip()
    chip.output(chip.pointwise(chip.input(4)))
    module = chip.module()
    return Emission(module, target(), {name: k for k, name in enumerate(module.values)})


def test_constants_have_a_stride_for_each_open_loop() -> None:
    shared = emission()
    stream = StreamWriter(shared, "core 0.3", "s")
    one = shared.scalar(1.0)
    register = stream.register("f16", 2)
    stream.op("scale", register, register, one)
    with stream.loops([2, 3]), stream.loop(4, sequential=True):
        stream.op("scale", register, register, one)
        stream.op("scale", register, register, Const(5, (1, 0, 0), 2))
    first, outer = stream.finish().body
    assert isinstance(first, Instr) and first.operands[2] == Const(0, (), 1)
    assert isinstance(outer, Loop) and isinstance(outer.body[0], Loop)
    inner = outer.body[0].body[0]
    assert isinstance(inner, Loop)
    assert [outer.count, outer.body[0].count, inner.count] == [2, 3, 4]
    assert [outer.sequential, outer.body[0].sequential, inner.sequential] == [False, False, True]
    same, own = inner.body
    assert isinstance(same, Instr) and same.operands[2] == Const(0, (0, 0, 0), 1)
    assert isinstance(own, Instr) and own.operands[2] == Const(5, (1, 0, 0), 2)


@pytest.mark.parametrize("value", [65504.0, -65504.0, 0.1])
def test_scalars_are_rounded_to_binary16(value: float) -> None:
    shared = emission()
    assert shared.scalar(value) == Const(0, (), 1)
    assert shared.constants16.array() == np.float16(value)


@pytest.mark.parametrize("value", [1e9, -1e9, float("nan")])
def test_scalars_beyond_binary16_are_refused(value: float) -> None:
    with pytest.raises(CompileError):
        emission().scalar(value)


@pytest.mark.parametrize("factor", [2.0, 2.0**15, 2.0**20, 2.0**40, 3.5 * 2.0**30])
def test_a_large_factor_is_multiplied_in_steps(factor: float) -> None:
    shared = emission()
    stream = StreamWriter(shared, "gdpu 0.0", "test")
    slot = stream.register("f16", 3)
    stream.multiply_by(slot, factor)
    pool = shared.constants16.array().astype(np.float64)
    body = stream.finish().body
    assert all(isinstance(step, Instr) and step.op == "scale" for step in body)
    factors = [step.operands[2] for step in body if isinstance(step, Instr)]
    assert np.prod([pool[each.base] for each in factors if isinstance(each, Const)]) == factor


def test_converter_settings_and_the_table_are_stored_once() -> None:
    shared = emission()
    settings = [Adc(4, 5, 9, 427), Adc(4, 5, 9, 854), Adc(4, 5, 9, 427)]
    assert [shared.adc(each) for each in settings] == [0, 1, 0]
    assert [shared.tanh(), shared.tanh()] == [0, 0] and len(shared.tables) == 1
    # Weight blocks are those of tiles, even where two hold the same codes; copies share one.
    codes = np.ones((2, 3), np.int8)
    assert [shared.weight(codes, each) for each in ("a", "b", "a")] == [0, 1, 0]
    assert [(w.rows, w.columns) for w in shared.weight_shapes()] == [(2, 3), (2, 3)]
