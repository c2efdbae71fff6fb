"""Whole programs: what they compute, and that no way of running them changes a bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anacc.errors import ProgramError, UsageError
from anacc.program import container
from anacc.program.check import check
from anacc.program.image import Image
from anacc_runtime import LoadedProgram, _kernel, arithmetic
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.runtime import examples
from tests.runtime.builder import BRIDGE, GDPU, I8, Builder, i, loop, r

Array = np.ndarray[Any, Any]


def assert_same(left: dict[str, Array], right: dict[str, Array]) -> None:
    assert list(left) == list(right)
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].shape == right[name].shape
        assert left[name].tobytes() == right[name].tobytes(), name


@pytest.mark.parametrize("name", examples.ALL)
def test_examples_are_valid_programs(name: str) -> None:
    check(examples.ALL[name])


@pytest.mark.parametrize("isa", _kernel.isas())
@pytest.mark.parametrize("name", examples.ALL)
def test_the_native_executor_gives_the_bits_of_the_reference(name: str, isa: str) -> None:
    image = examples.ALL[name]
    native = NativeExecutor(image, isa=isa, least_work=0)
    for batch in (3, 37):  # Two threads share the layers of 3 samples, but of 37 the samples.
        feed = examples.feed(image, batch)
        expected = Executor(image).run(feed)
        for threads in (1, 2):
            assert_same(native.run(feed, threads), expected)


@pytest.mark.parametrize("executor", [Executor, NativeExecutor])
@pytest.mark.parametrize("name", examples.ALL)
def test_no_split_of_the_batch_changes_a_bit(name: str, executor: type[Executor]) -> None:
    image = examples.ALL[name]
    feed = examples.feed(image, 7)
    whole = executor(image).run(feed)
    for memory in (1, 20_000):
        assert_same(executor(image, memory).run(feed), whole)
    for sample in range(7):
        one = {key: value[sample : sample + 1] for key, value in feed.items()}
        expected = {key: value[sample : sample + 1] for key, value in whole.items()}
        assert_same(executor(image).run(one), expected)


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("name", examples.ALL)
def test_an_empty_batch_gives_empty_outputs(name: str, executor: Any) -> None:
    image = examples.ALL[name]
    result = LoadedProgram(image).run(examples.feed(image, 0), executor)
    assert all(array.shape[0] == 0 and array.ndim > 1 for array in result.values())


def test_threads_share_many_samples() -> None:
    """So many that several threads have work."""
    image = examples.layer()
    feed = examples.feed(image, 20_000)
    program = LoadedProgram(image, threads=1)
    expected = program.run(feed)
    for threads in (2, 3, 5):
        assert_same(program.run(feed, threads=threads), expected)


@pytest.mark.parametrize("name", ["layer", "recurrence"])
def test_a_program_file_runs_like_its_image(name: str, tmp_path: Path) -> None:
    image = examples.ALL[name]
    container.write(image, tmp_path / "prog.bin")
    loaded = container.read(tmp_path / "prog.bin")
    feed = examples.feed(image, 3)
    assert_same(LoadedProgram(loaded).run(feed), LoadedProgram(image).run(feed))


def run(image: Image, feed: dict[str, Array]) -> dict[str, Array]:
    return LoadedProgram(image).run(feed, "reference")


@pytest.mark.parametrize("early", [False, True])
def test_windows_see_all_that_is_stored(early: bool) -> None:
    image = examples.windows(early=early)
    feed = examples.feed(image, 3)
    pixels = np.clip(np.rint(feed["image"]), -127, 127).transpose(0, 2, 3, 1)
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.stack(
        [padded[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)], axis=3
    ).reshape(3, 4, 4, 27)
    assert (run(image, feed)["windows"] == expected).all()


def test_pooling() -> None:
    image = examples.pooling()
    feed = examples.feed(image, 3)
    pixels = np.clip(np.rint(feed["image"]), -127, 127)
    result = run(image, feed)
    blocks = pixels.reshape(3, 2, 2, 2, 2, 3)
    assert (result["maximum"] == blocks.max(axis=(2, 4))).all()
    assert (result["mean"] == np.rint(pixels.mean(axis=(1, 2)))).all()


def test_concatenation_interleaves_replicas() -> None:
    image = examples.concatenation()
    feed = {name: np.rint(array) for name, array in examples.feed(image, 2).items()}
    both = np.stack([feed["even"], feed["odd"]], axis=2).reshape(2, 6, 3)
    expected = np.concatenate([feed["first"], np.rint(both / 2)], axis=2)
    assert (run(image, feed)["joined"] == expected).all()


def test_layer() -> None:
    image = examples.layer()
    feed = examples.feed(image, 2)
    x, y, side = (
        arithmetic.code((feed[name] / np.float32(0.02)).astype(np.float32))
        for name in ("left", "right", "side")
    )
    pool = image.constants16
    factor, offset, half = pool[:7], pool[7:14], pool[14:15]
    adc, (first, second) = image.code.adcs[0], image.weights
    partial = arithmetic.affine(arithmetic.mvm(x, first, adc), factor, offset)
    value = arithmetic.add(arithmetic.scale(arithmetic.mvm(y, second, adc), factor), partial)
    value = arithmetic.relu(arithmetic.add(value, arithmetic.scale(side, half)))
    result = run(image, feed)
    assert (result["codes"] == arithmetic.quantise(value) * np.float32(0.25)).all()
    assert (result["values"] == value.transpose(0, 3, 1, 2) * np.float32(0.5)).all()


def test_recurrence_follows_the_equations_of_an_lstm() -> None:
    """Roughly: the gates in float64, from the program's own constants."""
    units, steps = 4, 5
    image = examples.recurrence(steps, units)
    feed = examples.feed(image, 3)
    feed["x"] /= 20
    adc = image.code.adcs[0]
    gain = adc.multiplier / 2**adc.shift
    factor, offset = image.constants16[:16].astype(float), image.constants16[16:32].astype(float)
    w_x, w_h = (weight.astype(float) for weight in image.weights)
    h = c = np.zeros((3, units))
    expected = []
    for step in range(steps):
        x = np.clip(np.rint(feed["x"][:, step] / 0.01), -127, 127)
        gates = (x @ w_x + np.rint(h * 127) @ w_h) * gain * factor + offset
        i_, a, f, o = np.split(gates, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(a) / (1 + np.exp(-i_))
        h = np.tanh(c) / (1 + np.exp(-o))
        expected.append(h)
    assert np.abs(run(image, feed)["h"] - np.stack(expected, axis=1)).max() < 0.03


def test_a_deadlock_is_an_error() -> None:
    b = Builder()
    ping, pong, out = b.channel(I8, 1), b.channel(I8, 1), b.channel(I8, 1)
    b.stream(BRIDGE, [(I8, 1)], i("recv", r(0, 1), ping), i("send", pong, r(0, 1)), name="first")
    b.stream(
        GDPU,
        [(I8, 1)],
        i("recv", r(0, 1), pong),
        i("send", ping, r(0, 1)),
        i("send", out, r(0, 1)),
    )
    b.output("y", out, (None, 1))
    with pytest.raises(ProgramError, match="stream `first` waits for ever"):
        Executor(b.image()).run({})


def test_a_parallel_loop_in_a_cycle_runs_step_by_step() -> None:
    """The check refuses it, because vectorised it would wait for ever; the executor can do it."""
    b = Builder()
    x, there, back, out = (b.channel(I8, 1) for _ in range(4))
    b.input("x", x, (None, 4, 1))
    body = i("send", there, r(0, 1)), i("recv", r(1, 1), back), i("send", out, r(1, 1))
    b.stream(BRIDGE, [(I8, 1)] * 2, loop(4, i("recv", r(0, 1), x), *body))
    b.stream(GDPU, [(I8, 1)], loop(4, i("recv", r(0, 1), there), i("send", back, r(0, 1))))
    b.output("y", out, (None, 4, 1))
    feed = {"x": np.arange(8, dtype=np.float32).reshape(2, 4, 1)}
    assert (run(b.image(), feed)["y"] == feed["x"]).all()


def test_wrong_use() -> None:
    image = examples.cell()
    with pytest.raises(UsageError, match="no executor `fast`"):
        LoadedProgram(image).run(examples.feed(image, 1), "fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 threads"):
        LoadedProgram(image, threads=0)
    with pytest.raises(UsageError, match="-1 threads"):
        LoadedProgram(image).run(examples.feed(image, 1), threads=-1)
