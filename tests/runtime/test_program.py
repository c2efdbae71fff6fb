"""A loaded program in use: threads, forked processes, and programs that are too large."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.model import Buffer
from anacc_runtime import LoadedProgram
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.runtime import examples
from tests.runtime.builder import BRIDGE, F16, I8, Builder, i, loop, r

SAMPLES = 20_000  # enough that threads share a layer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_program_goes_on_in_a_forked_process() -> None:
    image = examples.layer()
    feed = examples.feed(image, SAMPLES)
    program = LoadedProgram(image, threads=2)
    expected = program.run(feed)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        found = program.run(feed)
        same = all(found[name].tobytes() == expected[name].tobytes() for name in expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_several_threads_run_one_program() -> None:
    image = examples.layer()
    feed = examples.feed(image, SAMPLES)
    expected = LoadedProgram(image, threads=1).run(feed)
    program = LoadedProgram(image, threads=2)
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(program.run, feed) for _ in range(12)]:
            found = future.result()
            assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    assert list(program._executors) == ["native"]


def test_closing_ends_the_threads_until_the_next_run() -> None:
    image = examples.layer()
    feed = examples.feed(image, SAMPLES)
    before = threading.active_count()
    program = LoadedProgram(image, threads=2)
    for _ in range(2):
        program.run(feed)
        assert threading.active_count() > before
        program.close()
        assert threading.active_count() == before


@pytest.mark.parametrize("executor", [Executor, NativeExecutor])
@pytest.mark.parametrize("large", ["buffer", "tokens", "state"])
def test_a_sample_that_needs_too_much_memory_is_refused(
    executor: type[Executor], large: str
) -> None:
    """A file of a few bytes asks for more than any machine has; nothing is allocated."""
    b = Builder()
    x, out = b.channel(I8, 1), b.channel(I8, 1)
    b.input("x", x, (None, 1))
    b.output("out", out, (None, 1))
    copy = i("recv", r(0, 1), x), i("send", out, r(0, 1))
    if large == "buffer":  # three streams in a cycle, whose buffers are there at once
        buffer = Buffer(F16, 2**31 - 1, 0)
        ring = [b.channel(I8, 1) for _ in range(3)]
        for k in range(3):
            body = i("send", ring[k], r(0, 1)), i("recv", r(0, 1), ring[k - 1])
            b.stream(BRIDGE, [(I8, 1, True)], *body, buffer=buffer)
        b.stream(BRIDGE, [(I8, 1)], *copy)
    elif large == "tokens":
        huge = b.channel(I8, 1)
        b.stream(BRIDGE, [(I8, 1)], *copy[:1], loop(2**40, i("send", huge, r(0, 1))), *copy[1:])
        b.stream(BRIDGE, [(I8, 1)], loop(2**40, i("recv", r(0, 1), huge)))
    else:
        b.stream(BRIDGE, [(I8, 1), *[(F16, 2**24, True)] * 300], *copy)
    check(b.image())
    with pytest.raises(ProgramError, match=r"one sample needs some [0-9.]+ GiB of memory") as error:
        executor(b.image()).run({"x": np.ones((1, 1), np.float32)})
    assert "\n" not in error.value.message
