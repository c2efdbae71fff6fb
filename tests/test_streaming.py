"""Streaming models: state is fed back, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import anacc
from anacc.cli.commands import anacc as command_line
from anacc.errors import AnaccError, FeedError, UsageError
from anacc.feeds import Array, Arrays
from anacc.streaming import parse_states, stacked, steps

STATES = {"total": "sum"}


@dataclass(frozen=True)
class Port:
    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    batch_axis: int | None = None


INPUTS = (Port("x", (2,)), Port("total", (2,)))


def add(feed: Arrays) -> Arrays:
    return {"sum": feed["x"] + feed["total"], "x2": 2 * feed["x"]}


def run(stream: Mapping[str, Array], states: Mapping[str, str] = STATES) -> Arrays:
    return stacked(outputs for _, outputs in steps(add, stream, INPUTS, states))


STREAM = {"x": np.array([[1, 2], [3, 4], [5, 6]], np.float32)}


def test_states_begin_with_zeros_and_are_fed_back() -> None:
    found = run(STREAM)
    np.testing.assert_array_equal(found["sum"], [[1, 2], [4, 6], [9, 12]])
    np.testing.assert_array_equal(found["x2"], 2 * STREAM["x"])
    feeds = [feed["total"].tolist() for feed, _ in steps(add, STREAM, INPUTS, STATES)]
    assert feeds == [[0, 0], [1, 2], [4, 6]]


def test_the_stream_may_say_where_a_state_begins() -> None:
    found = run({**STREAM, "total": np.array([10, 20], np.float32)})
    np.testing.assert_array_equal(found["sum"][-1], [19, 32])


def test_what_is_no_tensor_has_no_steps() -> None:
    inputs = (*INPUTS, Port("s", (), "sequence_float32"))
    with pytest.raises(FeedError, match="input `s` is of type sequence_float32, which has no st"):
        list(steps(add, STREAM, inputs, STATES))


def test_zeros_have_the_batch_of_the_other_inputs() -> None:
    inputs = (Port("x", (None, 2), batch_axis=0), Port("total", (1, None, 2), batch_axis=1))

    def model(feed: Arrays) -> Arrays:
        return {"sum": feed["total"] + feed["x"]}

    stream = {"x": np.ones((4, 3, 2), np.float32)}
    found = stacked(outputs for _, outputs in steps(model, stream, inputs, STATES))
    assert found["sum"].shape == (4, 1, 3, 2)


@pytest.mark.parametrize(
    ("stream", "states", "message"),
    [
        ({}, STATES, "the stream holds no array `x`"),
        ({**STREAM, "z": STREAM["x"]}, STATES, "the model has no input `z`"),
        (STREAM, {"y": "sum"}, "the model has no input `y` that could be a state"),
        (STREAM, {"total": "y"}, "the model has no output `y` to feed `total`"),
        (STREAM, {"x": "sum", "total": "sum"}, "no input but states"),
        (STREAM, {}, "the stream holds no array `total`"),
        ({**STREAM, "total": np.zeros(3, np.float32)}, STATES, "cannot feed `total`"),
        (
            {**STREAM, "total": np.zeros((2, 2), np.float32)},
            {},
            "differ in their number of steps: 3 of `x`, 2 of `total`",
        ),
    ],
)
def test_refusals(stream: Arrays, states: dict[str, str], message: str) -> None:
    def broken(feed: Arrays) -> Arrays:
        return {"sum": feed["x"]}

    with pytest.raises((FeedError, UsageError)) as caught:
        list(steps(broken, stream, INPUTS, states))
    assert message in caught.value.message


def test_parse_states() -> None:
    assert parse_states(["a=b", "c=d=e"]) == {"a": "b", "c=d": "e"}
    for pairs in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(UsageError, match="--state"):
            parse_states(pairs)


MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
leaky (float[N, 4] x, float[N, 3] state) => (float[N, 3] y, float[N, 3] next)
<float[4, 3] w = {0.5, -0.25, 0.1, 0.3, 0.2, -0.4, -0.6, 0.7, 0.05, 0.15, -0.35, 0.45},
 float half = {0.5}>
{
   product = MatMul(x, w)
   kept = Mul(state, half)
   next = Add(product, kept)
   y = Tanh(next)
}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "model.onnx")
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2, 4)).astype(np.float32)
    np.savez(tmp_path / "stream.npz", x=x)
    return tmp_path


def test_compile_calibrates_on_the_states_that_occur(files: Path) -> None:
    """A state of leaky sums grows beyond what one step gives: zeros would calibrate nothing."""
    stream = dict(np.load(files / "stream.npz"))
    states = {"state": "next"}
    program = anacc.compile(files / "model.onnx", calibration=stream, states=states)
    found = program.run_steps(stream, states)
    reference = program.run_steps(stream, states, executor="reference")
    exact = np.zeros((2, 3), np.float32)
    weight = onnx.numpy_helper.to_array(onnx.load(files / "model.onnx").graph.initializer[0])
    for step, x in enumerate(stream["x"]):
        exact = x @ weight + exact / 2
        assert found["next"][step] == pytest.approx(exact, abs=0.05)
        assert found["y"][step] == pytest.approx(np.tanh(exact), abs=0.05)
    for name, array in reference.items():
        assert array.tobytes() == found[name].tobytes()


def test_command_line(files: Path) -> None:
    def call(*arguments: object) -> str:
        result = CliRunner().invoke(command_line, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    model, stream, program = (files / name for name in ("model.onnx", "stream.npz", "p.bin"))
    states = ("--state", "state=next")
    call("compile", model, "--calibration", stream, *states, "-o", program)
    out = files / "out.npz"
    text = call("run", program, "--input", stream, *states, "--compare", model, "-o", out)
    assert "50 x 2 x 3" in text
    assert np.load(out)["y"].shape == (50, 2, 3)
    result = CliRunner().invoke(command_line, ["run", str(program), *states])
    assert result.exit_code == 2
    assert "`--state` needs `--input`" in result.stderr


@pytest.mark.parametrize("calibrated", [True, False])
def test_compile_refuses_a_state_that_is_none(files: Path, calibrated: bool) -> None:
    stream = dict(np.load(files / "stream.npz")) if calibrated else None
    for states in ({"state": "nothing"}, {"nothing": "next"}):
        with pytest.raises(AnaccError, match="nothing") as caught:
            anacc.compile(files / "model.onnx", calibration=stream, states=states)
        assert caught.value.hint in ("there is `y`, `next`", "there is `x`, `state`")
    wrong: Any = ["state"]
    with pytest.raises(UsageError, match="`states` is a mapping"):
        anacc.compile(files / "model.onnx", calibration=stream, states=wrong)


def test_a_stream_without_steps(files: Path) -> None:
    states, none = {"state": "next"}, {"x": np.zeros((0, 2, 4), np.float32)}
    with pytest.raises(FeedError, match="calibration feed 1: input `x` has no step"):
        anacc.compile(files / "model.onnx", calibration=none, states=states)
    program = anacc.compile(files / "model.onnx")
    assert program.run_steps(none, states) == {}
    model, feed, written = (files / name for name in ("model.onnx", "none.npz", "p.bin"))
    np.savez(feed, x=none["x"])
    program.save(written)
    arguments = ["run", written, "--input", feed, "--state", "state=next", "--compare", model]
    result = CliRunner().invoke(command_line, [*map(str, arguments), "--layers"])
    assert result.exit_code == 1
    assert "the stream has no steps" in result.stderr


def test_a_stream_of_a_wrong_rank(files: Path) -> None:
    program = anacc.compile(files / "model.onnx")
    with pytest.raises(FeedError, match="input `x` has shape"):
        program.run_steps({"x": np.zeros(3, np.float32)}, {"state": "next"})


def test_a_stream_may_be_a_list_of_steps(files: Path) -> None:
    steps_of_x = list(np.load(files / "stream.npz")["x"])
    states = {"state": "next"}
    program = anacc.compile(files / "model.onnx", calibration={"x": steps_of_x}, states=states)
    assert program.run_steps({"x": steps_of_x}, states)["y"].shape == (50, 2, 3)


def test_compile_refuses_states_that_do_not_fit_without_running_them(files: Path) -> None:
    """On random inputs no step is run, which would have told."""
    model = files / "model.onnx"
    with pytest.raises(UsageError, match=r"output `y` of shape \(N, 3\) cannot feed `x` of shape"):
        anacc.compile(model, states={"x": "y"})
    states: Any = [("state", "next")]
    with pytest.raises(UsageError, match="`states` is a mapping from inputs to outputs, not a"):
        anacc.compile(model, states=states)


def test_a_stream_without_states_and_states_without_a_stream_name_the_option(files: Path) -> None:
    stream = dict(np.load(files / "stream.npz"))
    step = {"x": stream["x"][0]}
    for calibration, states in ((stream, None), (step, {"state": "next"})):
        with pytest.raises(FeedError, match="input `x` has shape") as caught:
            anacc.compile(files / "model.onnx", calibration=calibration, states=states)
        assert "--state INPUT=OUTPUT" in (caught.value.hint or "")
