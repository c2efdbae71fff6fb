"""Schedules and arguments that the engine refuses: nothing crashes it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.program.model import Format
from anacc_runtime import _kernel
from anacc_runtime.native.encode import encode
from anacc_runtime.native.operations import (
    Fill,
    Gather,
    Group,
    Index,
    Loop,
    Operand,
    Operation,
    Region,
    RegionKind,
    Scatter,
    Schedule,
    TileCall,
    Vector,
)
from tests.runtime.schedule_maker import Maker
from tests.runtime.schedule_model import Model
from tests.runtime.test_engine import many_positions, seeds

# Schedules ---------------------------------------------------------------------------------------

ZERO = Operand(0, 0, (), ())


def refused(*body: Operation | Loop, axes: tuple[int, ...] = (), match: str) -> None:
    """A schedule of one group that reads region 0 (64 bytes) and writes region 1 (local, 64)."""
    regions = (
        Region(RegionKind.EXTERNAL, 64, 0),
        Region(RegionKind.LOCAL, 64, 0),
        Region(RegionKind.CONSTANTS16, 16, 0),
    )
    tables = (np.array([0, 40]), np.array([0, -8]))
    model = Model(Schedule(regions, tables, (Group(axes, body),)), (), np.zeros(8, np.float16))
    with pytest.raises(ValueError, match=match):
        model.engine()


def at(region: int, base: int, loops: tuple[int, ...] = (), axes: tuple[int, ...] = ()) -> Operand:
    return Operand(region, base, loops, axes)


def test_no_operand_leaves_its_region() -> None:
    outside = "leaves its region"
    refused(Fill(at(1, 60), 8, b"\0"), match=outside)
    refused(Fill(at(1, -1), 8, b"\0"), match=outside)
    refused(Fill(at(1, 2**62), 8, b"\0"), match=outside)
    refused(Loop(3, (Fill(at(1, 0, (29,)), 8, b"\0"),)), match=outside)
    refused(Loop(3, (Fill(at(1, 50, (-26,)), 8, b"\0"),)), match=outside)
    refused(Loop(2**31 - 1, (Fill(at(1, 0, (2**40,)), 8, b"\0"),)), match="64 bits|leaves")
    copy = Gather(at(1, 0, (), (0,)), at(0, 0, (), (30,)), (), 5)
    refused(copy, axes=(3,), match=outside)
    refused(Gather(at(1, 0), at(0, 0), ((4, 21),), 2), match=outside)
    refused(Gather(at(1, 0), at(0, 0), ((4, -21),), 2), match=outside)
    refused(Gather(at(1, 0), at(0, 0), ((40, 1), (2, 0)), 1), match=outside)
    refused(Scatter(at(1, 0), at(0, 0), ((4, 21),), 2), match=outside)
    for table in (0, 1):
        source = Operand(0, 0, (), (0,), table)
        refused(Gather(at(1, 0, (), (0,)), source, (), 30), axes=(2,), match=outside)


def vector(op: str, length: int, *sources: Operand, **more: Any) -> Vector:
    kind = more.pop("format", Format.BINARY16)
    single = more.pop("broadcast", (False,) * len(sources))
    return Vector(op, at(1, 0), sources, single, kind, length, **more)


def test_vectors_fit_their_operands() -> None:
    outside = "leaves its region"
    refused(vector("relu", 33, ZERO), match=outside)
    refused(vector("add", 9, ZERO, at(2, 0)), match=outside)
    refused(vector("sum", 17, ZERO, format=Format.INT8), match=outside)
    refused(vector("maximum", 33, ZERO, format=Format.INT8, vectors=2), match=outside)
    refused(vector("add", 8, ZERO), match="sources")
    refused(vector("add", 8, ZERO, ZERO, format=Format.INT8), match="format")
    refused(vector("scale", 8, ZERO, ZERO, format=Format.INT32), match="format")
    refused(vector("add", 8, ZERO, ZERO, vectors=2), match="vectors")
    refused(vector("lookup", 8, ZERO), match="table")
    refused(vector("clamp", 8, ZERO, low=1.0), match="bounds")
    refused(vector("clamp", 8, ZERO, high=float("nan")), match="bounds")
    refused(vector("relu", 0, ZERO), match="length")
    for op in ("sum", "maximum"):
        one = vector(op, 16, Operand(0, 15, (), ()), format=Format.INT8, broadcast=(True,))
        refused(one, match="broadcast")


def test_wrong_plans_are_refused() -> None:
    refused(Fill(at(0, 0), 3, b"\0\0"), match="patterns")
    refused(Fill(at(0, 0), 3, b"\0\0\0"), match="patterns")
    refused(Fill(at(2, 0), 2, b"\0"), match="constants")
    refused(Fill(at(3, 0), 2, b"\0"), match="region")
    refused(Fill(at(1, 0, (), (1,)), 2, b"\0"), axes=(2,), match="axis")
    refused(Gather(at(1, 0, (), (0,)), Operand(0, 0, (), (0,), 0), (), 1), axes=(3,), match="table")
    refused(Gather(at(1, 0, (), (0,)), Operand(0, 0, (), (0,), 2), (), 1), axes=(2,), match="table")
    refused(Loop(0, ()), match="loop")
    refused(axes=(0,), match="axis")
    refused(axes=(2**16, 2**16), match="positions")
    deep: Loop = Loop(1, ())
    for _ in range(16):
        deep = Loop(1, (deep,))
    refused(deep, match="deep")
    index = Index(0, (), ())
    refused(TileCall(0, ZERO, (), None, None, index, index), match="tile")


def test_an_operand_has_a_stride_for_each_loop_and_axis() -> None:
    refused(Loop(2, (Fill(at(1, 0), 2, b"\0"),)), match="stride")


@given(seeds, st.data())
@settings(max_examples=200)
def test_no_corrupted_plan_crashes(seed: int, data: st.DataObject) -> None:
    """Words with some changed: refused, or run without leaving the arrays."""
    maker = Maker(seed)
    model = maker.model(2)
    externals = maker.feed(2)
    words = encode(model.schedule)
    numbers = st.one_of(
        st.integers(-3, 70), st.sampled_from(words.tolist()), st.integers(-(2**63), 2**63 - 1)
    )
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(numbers)
    cut = data.draw(st.one_of(st.just(len(words)), st.integers(0, len(words))))
    # More work than a test should take is possible, so what is accepted is not always run.
    try:
        engine = model.engine(words=words[:cut])
    except ValueError:
        return
    loops = [int(word) for word in words if word > 100_000]
    if loops:
        return
    guarded = [np.full((4, array.shape[1]), 0xA5, np.uint8) for array in externals]
    for guard, array in zip(guarded, externals, strict=True):
        guard[1:3] = array
    try:
        engine.run(tuple(guard[1:3] for guard in guarded), 0, 2, 2)
    except ValueError:
        return
    assert all((guard[[0, 3]] == 0xA5).all() for guard in guarded)


# Arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"externals": ()},
        {"externals": (np.zeros(5 * 2048, np.uint8),) * 2},
        {"externals": (None,) * 3},
        {"externals": (np.zeros((5, 4096), np.uint8)[:, ::2],) * 3},
        {"first": -1},
        {"first": 4, "last": 3},
        {"last": 6},
        {"last": 2**40},
        {"capacity": 0},
        {"first_sample": -1},
        {"first_sample": 2**32 - 2},
        {"first_sample": 2**63 - 1},
        {"noise": 5},
        {"noise": (np.zeros((2, 2), np.uint32), np.zeros(1, np.float32))},
        {"noise": (np.zeros((1, 2), np.uint32), np.zeros(2, np.float32))},
        {"noise": (np.zeros((1, 2), np.int32), np.zeros(1, np.float32))},
        {"noise": (np.zeros((1, 2), np.uint32), np.full(1, -1, np.float32))},
        {"noise": (np.zeros((1, 2), np.uint32), np.full(1, np.nan, np.float32))},
        {"crew": 5},
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any]) -> None:
    model, externals = many_positions()
    good: dict[str, Any] = {
        "externals": tuple(externals), "first": 0, "last": 5, "capacity": 2,
        "noise": (np.zeros((1, 2), np.uint32), np.zeros(1, np.float32)),
    }  # fmt: skip
    engine = model.engine()
    engine.run(**good)
    with pytest.raises(ValueError):
        engine.run(**{**good, **change})


def test_arrays_that_are_written_must_be_writable() -> None:
    model, externals = many_positions()
    engine = model.engine()
    externals[0].flags.writeable = False
    engine.run(tuple(externals), 0, 5, 1)
    externals[1].flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        engine.run(tuple(externals), 0, 5, 1)


def test_an_engine_wants_tiles_and_curves_that_fit() -> None:
    model, _ = many_positions()
    words, tiles = encode(model.schedule), tuple(tile.native(None) for tile in model.tiles)
    no16, no32 = np.zeros(0, np.float16), np.zeros(0, np.float32)
    good: dict[str, Any] = {
        "words": words, "tiles": tiles, "constants16": no16, "constants32": no32, "curves": (),
    }  # fmt: skip
    _kernel.Engine(**good)
    curve = np.zeros(2, np.float16), 1.0, False, False
    wrong: list[tuple[str, Any]] = [
        ("words", words.astype(np.int32)),
        ("words", words[:-1]),
        ("words", np.append(words, 0)),
        ("tiles", ()),
        ("tiles", (5,)),
        ("constants16", no32),
        ("constants32", no16),
        ("curves", (curve[:3],)),
        ("curves", ((curve[0][:1], *curve[1:]),)),
        ("curves", ((curve[0], 0.0, False, False),)),
        ("curves", ((curve[0], float("nan"), False, False),)),
        ("isa", "sse9"),
    ]
    if len(_kernel.isas()) > 1:
        wrong.append(("isa", "portable"))
    for name, value in wrong:
        with pytest.raises(ValueError):
            _kernel.Engine(**{**good, name: value})
