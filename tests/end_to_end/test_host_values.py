"""Strings, sequences, optionals and 8-bit floats: values that only pass through the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner
from onnx import ModelProto, TensorProto, TypeProto, helper

import anacc
from anacc.cli.commands import anacc as command_line
from anacc.errors import CompileError, FeedError

SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
OPTIONAL = helper.make_optional_type_proto(SEQUENCE)
WORDS = helper.make_tensor_type_proto(TensorProto.STRING, ["N"])
FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 3])
LENGTH = helper.make_tensor_type_proto(TensorProto.INT64, [])
TRUTH = helper.make_tensor_type_proto(TensorProto.BOOL, [])

A, B = np.ones((2, 3), np.float32), np.zeros((1, 3), np.float32)


def model(inputs: dict[str, TypeProto], outputs: dict[str, TypeProto], *nodes: Any) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_value_info(*entry) for entry in inputs.items()],
        [helper.make_value_info(*entry) for entry in outputs.items()],
    )
    made: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    return made


def run(proto: ModelProto, folder: Path, feed: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a program that was saved and loaded; both executors agree on them."""
    anacc.compile(proto, calibration=feed).save(folder / "prog.bin")
    program = anacc.load(folder / "prog.bin")
    found = program.run(feed)
    for name, value in program.run(feed, executor="reference").items():
        np.testing.assert_equal(found[name], value)
    return found


def test_strings(tmp_path: Path) -> None:
    proto = model(
        {"x": WORDS, "y": WORDS}, {"z": WORDS}, helper.make_node("StringConcat", ["x", "y"], ["z"])
    )
    feed = {"x": np.array(["a", "Zoë"]), "y": np.array(["b", ""], object)}
    assert run(proto, tmp_path, feed)["z"].tolist() == ["ab", "Zoë"]
    program = anacc.load(tmp_path / "prog.bin")
    assert [port.dtype for port in program.inputs] == ["object", "object"]
    with pytest.raises(FeedError, match="input `x` has element type int64, not object"):
        program.run({"x": np.zeros(2, np.int64), "y": feed["y"]})
    with pytest.raises(FeedError, match="input `x` has elements that are no strings"):
        program.run({"x": np.array(["a", 1], object), "y": feed["y"]})


def test_strings_on_the_command_line(tmp_path: Path) -> None:
    """They are read from and written to files without pickling."""
    proto = model({"x": WORDS}, {"y": WORDS}, helper.make_node("Identity", ["x"], ["y"]))
    run(proto, tmp_path, {"x": np.array(["a"])})
    np.savez(tmp_path / "x.npz", allow_pickle=False, x=np.array(["one", "three"]))
    options = ("--input", f"{tmp_path}/x.npz", "-o", f"{tmp_path}/y.npz")
    done = CliRunner().invoke(command_line, ["run", f"{tmp_path}/prog.bin", *options])
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "y.npz", allow_pickle=False) as written:
        assert written["y"].tolist() == ["one", "three"]
    assert done.stdout.split()[-3:] == ["y", "object", "2"]


def test_a_sequence_is_shown_but_not_written(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["s"])
    proto = model({"x": FLOATS}, {"s": SEQUENCE}, node)
    run(proto, tmp_path, {"x": A})
    np.savez(tmp_path / "x.npz", x=A)
    arguments = ["run", f"{tmp_path}/prog.bin", "--input", f"{tmp_path}/x.npz"]
    done = CliRunner().invoke(command_line, arguments)
    assert done.stdout.split()[-3:] == ["s", "sequence", "1"]
    done = CliRunner().invoke(command_line, [*arguments, "-o", f"{tmp_path}/y.npz"])
    assert done.exit_code == 2
    assert "`s` is of type sequence_float32, which an `.npz` file cannot hold" in done.stderr


def test_sequences(tmp_path: Path) -> None:
    proto = model(
        {"s": SEQUENCE, "x": FLOATS},
        {"t": SEQUENCE, "n": LENGTH},
        helper.make_node("SequenceInsert", ["s", "x"], ["t"]),
        helper.make_node("SequenceLength", ["t"], ["n"]),
    )
    found = run(proto, tmp_path, {"s": [A], "x": B})
    np.testing.assert_equal(found["t"], [A, B])
    assert found["n"] == 2
    program = anacc.load(tmp_path / "prog.bin")
    assert [port.dtype for port in program.inputs] == ["sequence_float32", "float32"]
    assert program.run({"s": [], "x": B})["n"] == 1
    wrongs: list[tuple[Any, str]] = [
        (A, "input `s` is not a list of arrays but ndarray"),
        (None, "input `s` is not a list of arrays but NoneType"),
        ([A, B.astype(np.int8)], "input `s` in position 1 has element type int8, not float32"),
    ]
    for wrong, reason in wrongs:
        with pytest.raises(FeedError, match=reason):
            program.run({"s": wrong, "x": B})
        with pytest.raises(FeedError, match=f"calibration feed 1: {reason}"):
            anacc.compile(proto, calibration={"s": wrong, "x": B})
    with pytest.raises(FeedError, match="`s` is of type sequence_float32, of which nothing is"):
        anacc.compile(proto)


def test_a_sequence_between_two_segments_with_the_chip_in_between(tmp_path: Path) -> None:
    """The second segment declares the sequence that it takes."""
    matrix = np.eye(3, dtype=np.float32)
    proto = model(
        {"x": FLOATS},
        {"y": FLOATS},
        helper.make_node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0),
        helper.make_node("SequenceAt", ["s", "first"], ["a"]),
        helper.make_node("Unsqueeze", ["a", "axis"], ["b"]),
        helper.make_node("MatMul", ["b", "m"], ["c"]),
        helper.make_node("SequenceInsert", ["t", "c"], ["u"]),
        helper.make_node("SequenceConstruct", ["x"], ["t"]),
        helper.make_node("ConcatFromSequence", ["u"], ["y"], axis=0),
    )
    for name, array in (
        ("first", np.array(0)),
        ("axis", np.array([1])),
        ("m", matrix[:1]),
    ):
        proto.graph.initializer.append(helper.make_tensor(name, *_content(array)))
    found = run(proto, tmp_path, {"x": A})["y"]
    np.testing.assert_allclose(found, [*A, *np.eye(3)[[0, 0]]], atol=0.05)
    assert any(tile for tile in anacc.load(tmp_path / "prog.bin").image.code.weights)


def _content(array: np.ndarray[Any, Any]) -> tuple[int, list[int], list[Any]]:
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    return code, list(array.shape), array.ravel().tolist()


def test_optionals(tmp_path: Path) -> None:
    proto = model(
        {"o": OPTIONAL}, {"y": TRUTH}, helper.make_node("OptionalHasElement", ["o"], ["y"])
    )
    assert run(proto, tmp_path, {"o": [A, B]})["y"]
    assert not run(proto, tmp_path, {"o": None})["y"]
    with pytest.raises(FeedError, match="input `o` is not a list of arrays but ndarray"):
        anacc.load(tmp_path / "prog.bin").run({"o": A})


@pytest.mark.parametrize(
    "element", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"]
)
def test_narrow_floats_go_in_but_not_out(tmp_path: Path, element: str) -> None:
    code = TensorProto.DataType.Value(element)
    narrow = helper.make_tensor_type_proto(code, ["N", 3])
    values = np.array([[1, 0.5, -2]], np.float32)
    feed = {"x": values.astype(helper.tensor_dtype_to_np_dtype(code))}
    into = model({"x": narrow}, {"y": FLOATS}, helper.make_node("Cast", ["x"], ["y"], to=1))
    np.testing.assert_array_equal(run(into, tmp_path, feed)["y"], values)
    assert anacc.compile(into, calibration=feed).inputs[0].dtype == feed["x"].dtype.name
    out = model({"y": FLOATS}, {"x": narrow}, helper.make_node("Cast", ["y"], ["x"], to=code))
    with pytest.raises(CompileError, match="tensor `x.*ONNX Runtime gives no .*float.* back"):
        anacc.compile(out, calibration={"y": values})


def test_a_list_of_arrays_is_a_tensor_where_the_model_has_one() -> None:
    proto = model({"x": FLOATS}, {"y": FLOATS}, helper.make_node("Identity", ["x"], ["y"]))
    program = anacc.compile(proto, calibration={"x": [A[0], A[1]]})
    np.testing.assert_array_equal(program.run({"x": [A[0], A[1]]})["y"], A)
    with pytest.raises(FeedError, match="`x` is a list of arrays of several shapes, no tensor"):
        anacc.compile(proto, calibration={"x": [A, A[0]]})
    with pytest.raises(FeedError, match="input `x` is no array"):
        program.run({"x": [A, A[0]]})


def test_ml_dtypes_scalars_are_tensors() -> None:
    """A tensor without axes keeps its rank on its way to ONNX Runtime."""
    kind = helper.make_tensor_type_proto(TensorProto.BFLOAT16, [])
    real = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    proto = model({"x": kind}, {"y": real}, helper.make_node("Cast", ["x"], ["y"], to=1))
    one = np.array(1, ml_dtypes.bfloat16)
    assert anacc.compile(proto, calibration={"x": one}).run({"x": one})["y"].shape == ()
