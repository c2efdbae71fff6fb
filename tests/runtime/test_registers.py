"""Registers while loops run, and what a stream keeps between its plans."""

import numpy as np
import pytest

from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.model import Buffer, Const
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.runtime.builder import BRIDGE, F16, I8, I32, Builder, Declaration, at, i, loop, r

EXECUTORS = pytest.mark.parametrize("executor", [Executor, NativeExecutor])


def run(executor: type[Executor], image: Image, x: list[float], y: object = None) -> object:
    """All outputs for one sample, as nested lists."""
    check(image)
    feed = {"x": np.array([x], np.float32)}
    if y is not None:
        feed["y"] = np.array([y], np.float32)
    return {name: array[0].tolist() for name, array in executor(image).run(feed).items()}


@EXECUTORS
@pytest.mark.parametrize("sequential", [False, True])
def test_a_parallel_loop_may_write_a_part_of_a_register(
    executor: type[Executor], sequential: bool
) -> None:
    """What stands in the rest is read in the loop, and after it."""
    b = Builder()
    x, y, both, first = b.channel(I8, 2), b.channel(I8, 2), b.channel(I8, 4), b.channel(I8, 2)
    b.input("x", x, (None, 2))
    b.input("y", y, (None, 6, 2))
    b.output("both", both, (None, 6, 4))
    b.output("first", first, (None, 2))
    body = i("recv", r(0, 2, 2), y), i("send", both, r(0, 4))
    inner = loop(2, loop(3, *body), sequential=sequential)
    recv, send = i("recv", r(0, 2), x), i("send", first, r(0, 2))
    b.stream(BRIDGE, [(I8, 4)], recv, inner, send)
    y_values = [[k, -k] for k in range(6)]
    assert run(executor, b.image(), [8, 9], y_values) == {
        "both": [[8, 9, *pair] for pair in y_values],
        "first": [8, 9],
    }


@EXECUTORS
def test_an_outer_write_ends_what_a_loop_wrote(executor: type[Executor]) -> None:
    """The second iteration's parallel loop sees the second value, not its own from the first."""
    b = Builder()
    x, y, both = b.channel(I8, 1), b.channel(I8, 1), b.channel(I8, 2)
    b.input("x", x, (None, 2, 1))
    b.input("y", y, (None, 4, 1))
    b.output("both", both, (None, 4, 2))
    inner = loop(2, i("recv", r(0, 1, 1), y), i("send", both, r(0, 2)))
    b.stream(BRIDGE, [(I8, 2)], loop(2, i("recv", r(0, 1), x), inner, sequential=True))
    found = run(executor, b.image(), [[7], [8]], [[1], [2], [3], [4]])  # type: ignore[list-item]
    assert found == {"both": [[7, 1], [7, 2], [8, 3], [8, 4]]}


@EXECUTORS
def test_each_plan_begins_with_fresh_state(executor: type[Executor]) -> None:
    """The load stands before the store, so the stream runs twice; the state begins at zero both
    times."""
    b = Builder()
    x, previous, loaded = b.channel(I8, 1), b.channel(I8, 1), b.channel(I8, 1)
    b.input("x", x, (None, 4, 1))
    b.output("previous", previous, (None, 4, 1))
    b.output("loaded", loaded, (None, 4, 1))
    here = at(0, (1,), (1, 1))
    body = (
        i("load", r(2, 1), here), i("send", loaded, r(2, 1)), i("recv", r(0, 1), x),
        i("send", previous, r(1, 1)), i("store", here, r(1, 1)), i("copy", r(1, 1), r(0, 1)),
    )  # fmt: skip
    registers: list[Declaration] = [(I8, 1), (I8, 1, True), (I8, 1)]
    b.stream(BRIDGE, registers, loop(4, *body, sequential=True), buffer=Buffer(I8, 4, 0))
    expected = [[0], [1], [2], [3]]
    found = run(executor, b.image(), [[1], [2], [3], [4]])  # type: ignore[list-item]
    assert found == {"previous": expected, "loaded": expected}


@EXECUTORS
@pytest.mark.parametrize("stride", [2**62 - 1, -(2**62)])
def test_the_stride_of_a_single_iteration_is_never_taken(
    executor: type[Executor], stride: int
) -> None:
    b = Builder()
    x, out = b.channel(I8, 2), b.channel(F16, 2)
    b.input("x", x, (None, 2))
    b.output("out", out, (None, 2))
    b.const32([0.5], 1)
    body = (
        i("recv", r(0, 2), x), i("store", at(0, (stride,), (1, stride), (2, 1)), r(0, 2)),
        i("load", r(0, 2), at(0, (stride,), (2, 1), (1, stride))), i("sum", r(1, 2), r(0, 2)),
        i("average", r(2, 2), r(1, 2), Const(0, (stride,), 1)), i("send", out, r(2, 2)),
    )  # fmt: skip
    registers = [(I8, 2), (I32, 2), (F16, 2)]
    b.stream(BRIDGE, registers, loop(1, *body), buffer=Buffer(I8, 2, 0))
    assert run(executor, b.image(), [2, 4]) == {"out": [1, 2]}
