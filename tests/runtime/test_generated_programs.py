"""Random programs: the native executor gives the bits of the reference, however it runs them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.model import Adc, Buffer
from anacc_runtime import _kernel
from anacc_runtime.native import NativeExecutor
from anacc_runtime.noise import ConversionNoise
from anacc_runtime.reference import Executor
from tests.runtime import examples
from tests.runtime.builder import BRIDGE, CORE, F16, I8, I16, Builder, at, i, loop, r
from tests.runtime.programs import pipeline, program

RUNS = st.tuples(st.sampled_from([1, 2, 3, 37]), st.sampled_from([1, 2]), st.booleans())


def compare(image: Image, batch: int, threads: int = 1, noisy: bool = False) -> None:
    """All outputs, with every instruction set."""
    feed = examples.feed(image, batch)
    noise = ConversionNoise(1.5, seed=batch) if noisy else None
    expected = Executor(image).run(feed, noise=noise)
    executors = [NativeExecutor(image, isa=isa) for isa in _kernel.isas()]
    for executor in (*executors, NativeExecutor(image, memory=5000)):
        found = executor.run(feed, threads, noise)
        assert {name: array.tobytes() for name, array in found.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }
        executor.close()


def compare_if_valid(image: Image, run: tuple[int, int, bool]) -> None:
    """A few programs load what may be stored later."""
    try:
        check(image)
    except ProgramError:
        assume(False)
    compare(image, *run)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), RUNS)
def test_any_streams(rng: Random, run: tuple[int, int, bool]) -> None:
    compare_if_valid(program(rng, cycle=False), run)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), RUNS)
def test_streams_that_pass_tokens_round(rng: Random, run: tuple[int, int, bool]) -> None:
    compare_if_valid(program(rng, streams=2, cycle=True), run)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), RUNS)
def test_layers_of_windows_and_row_tiles(rng: Random, run: tuple[int, int, bool]) -> None:
    compare_if_valid(pipeline(rng), run)


def positions_that_store_for_each_other() -> Image:
    """In each step of a sequential loop inside a parallel one, what a position loads is stored by
    another, which may be in another block."""
    b = Builder()
    x, y = b.channel(I8, 1), b.channel(I8, 1)
    positions = 50
    b.input("x", x, (None, 3 * positions, 1))
    step = (
        i("recv", r(0, 1), x),
        i("store", at(0, (1, positions), (1, 1)), r(0, 1)),
        i("load", r(1, 1), at(positions - 1, (-1, positions), (1, 1))),
        i("send", y, r(1, 1)),
    )
    body = loop(positions, loop(3, *step, sequential=True))
    b.stream(BRIDGE, [(I8, 1), (I8, 1)], body, buffer=Buffer(I8, 3 * positions, 0))
    b.output("y", y, (None, 3 * positions, 1))
    return b.image()


def copy_in_a_sequential_loop(before: bool) -> Image:
    """A sequential loop copies what stands outside; the copy is read after it.  `before`: the
    register of the copy has another value before the loop."""
    b = Builder()
    x, other, y = b.channel(I8, 2), b.channel(I8, 2), b.channel(I8, 2)
    b.input("x", x, (None, 2))
    b.input("other", other, (None, 2))
    b.stream(
        BRIDGE,
        [(I8, 2), (I8, 2), (I8, 2)],
        i("recv", r(1 if before else 2, 2), other),
        i("recv", r(0, 2), x),
        loop(3, i("copy", r(1, 2), r(0, 2)), sequential=True),
        i("send", y, r(1, 2)),
    )
    b.output("y", y, (None, 2))
    return b.image()


def load_outside_the_loop_of_its_send() -> Image:
    """The channel's reader finds all tokens at one place of the buffer."""
    b = Builder()
    x, window, y = b.channel(I8, 2), b.channel(I8, 2), b.channel(I8, 2)
    b.input("x", x, (None, 4, 2))
    b.stream(
        BRIDGE,
        [(I8, 2), (I8, 2)],
        loop(4, i("recv", r(0, 2), x), i("store", at(0, (2,), (2, 1)), r(0, 2))),
        i("load", r(1, 2), at(2, (), (2, 1))),
        loop(3, i("send", window, r(1, 2))),
        buffer=Buffer(I8, 8, 0),
    )
    b.stream(BRIDGE, [(I8, 2)], loop(3, i("recv", r(0, 2), window), i("send", y, r(0, 2))))
    b.output("y", y, (None, 3, 2))
    return b.image()


def windows_backwards(parts: bool) -> Image:
    """The rows of a crossbar's windows lie in the buffer from the last to the first.  `parts`: the
    crossbar takes only a part of each window."""
    b = Builder()
    x, window, y = b.channel(I8, 8), b.channel(I8, 20 if parts else 32), b.channel(F16, 5)
    b.input("x", x, (None, 6, 8))
    b.stream(
        BRIDGE,
        [(I8, 8), (I8, 32)],
        loop(6, i("recv", r(0, 8), x), i("store", at(0, (8,), (8, 1)), r(0, 8))),
        loop(
            3,
            i("load", r(1, 32), at(24, (8,), (4, -8), (8, 1))),
            i("send", window, r(1, 20 if parts else 32, 3 if parts else 0)),
        ),
        buffer=Buffer(I8, 48, 0),
    )
    rows = 20 if parts else 32
    weight = b.weight(examples.codes(np.random.default_rng(0), rows, 5))
    b.stream(
        CORE,
        [(I8, rows), (I16, 5), (F16, 5)],
        i("program", weight, 0, 0),
        loop(
            3,
            i("recv", r(0, rows), window),
            i("mvm", r(1, 5), r(0, rows), 0, 0, b.adc(Adc(4, 3, 8, 427))),
            i("scale", r(2, 5), r(1, 5), b.const16([0.1], 1)),
            i("send", y, r(2, 5)),
        ),
    )
    b.output("y", y, (None, 3, 5))
    return b.image()


def result_over_a_part_of_an_addend(shift: int, quantised: bool) -> Image:
    """What a layer writes lies `shift` elements behind what it adds, in the same register."""
    n = 70
    b = Builder()
    x, y = b.channel(I8, n), b.channel(I8 if quantised else F16, n + shift)
    residual = b.channel(F16, n)
    b.input("x", x, (None, 5, n))
    b.input("residual", residual, (None, 5, n))
    adc = b.adc(Adc(4, 3, 8, 427))
    weight = b.weight(examples.codes(np.random.default_rng(0), n, n))
    factor = b.const16([0.1], 1)
    kept = 3 if quantised else 4
    final = (
        (i("add", r(2, n), r(2, n), r(5, n)), i("quantise", r(3, n, shift), r(2, n)))
        if quantised
        else (i("add", r(4, n, shift), r(2, n), r(5, n)),)
    )
    b.stream(
        CORE,
        [(I8, n), (I16, n), (F16, n), (I8, n + shift), (F16, n + shift), (F16, n), (F16, n)],
        i("program", weight, 0, 0),
        loop(
            5,
            i("recv", r(0, n), x),
            i("recv", r(6, n), residual),
            i("scale", r(4, n), r(6, n), factor),
            i("quantise", r(3, n), r(6, n)),
            i("mvm", r(1, n), r(0, n), 0, 0, adc),
            i("scale", r(2, n), r(1, n), factor),
            i("scale", r(5, n), r(kept, n), factor),
            *final,
            i("send", y, r(kept, n + shift)),
        ),
    )
    b.output("y", y, (None, 5, n + shift))
    return b.image()


@pytest.mark.parametrize(
    "image",
    [
        positions_that_store_for_each_other(),
        copy_in_a_sequential_loop(before=False),
        copy_in_a_sequential_loop(before=True),
        load_outside_the_loop_of_its_send(),
        windows_backwards(parts=False),
        windows_backwards(parts=True),
        *(result_over_a_part_of_an_addend(k, q) for k in (1, 33) for q in (False, True)),
    ],
)
def test_what_was_once_wrong(image: Image) -> None:
    check(image)
    compare(image, 37)
