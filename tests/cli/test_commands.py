"""Each command on a program made by hand."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import anacc
from anacc.cli.segments import check_segments
from anacc.errors import ProgramError
from anacc.program.container import write
from tests.cli import sample
from tests.cli.conftest import Call
from tests.verification.damages import DAMAGES
from tests.verification.networks import compiled, saved


def test_run_prints_a_row_for_each_output(call: Call, files: Path) -> None:
    result = call("run", files / "program.bin", "--input", files / "feed.npz")
    assert result.exit_code == 0, result.stderr
    header, row = result.stdout.splitlines()
    assert header.split()[:3] == ["output", "dtype", "shape"]
    assert row.split()[:5] == ["y", "float32", "5", "x", "3"]
    assert result.stderr == ""


def test_run_without_input_says_so(call: Call, files: Path) -> None:
    first, again, other = (call("run", files / "program.bin", "--seed", seed) for seed in (1, 1, 2))
    assert "random inputs of seed 1, batch 1" in first.stderr
    assert first.stdout == again.stdout != other.stdout


def test_run_compares_and_writes(call: Call, files: Path) -> None:
    out = files / "out.npz"
    result = call(
        "run", files / "program.bin", "--input", f"x={files / 'x.npy'}", "-o", out,
        "--compare", files / "model.onnx", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["outputs"]
    assert row["shape"] == [5, 3]
    assert row["snr_db_onnxruntime"] > 50
    with np.load(out) as written:
        assert written["y"].shape == (5, 3)
        assert row["max"] == written["y"].max()


def test_run_compares_with_stored_outputs(call: Call, files: Path) -> None:
    result = call("run", files / "program.bin", "--input", files / "feed.npz", "--json")
    assert json.loads(result.stdout)["outputs"][0]["snr_db_stored"] > 50


def test_equal_outputs_have_an_infinite_ratio(call: Call, files: Path) -> None:
    call("run", files / "program.bin", "--input", files / "feed.npz", "-o", files / "out.npz")
    with np.load(files / "out.npz") as out, np.load(files / "feed.npz") as feed:
        np.savez(files / "equal.npz", **{"x": feed["in:x"], "out:y": out["y"]})
    result = call("run", files / "program.bin", "--input", files / "equal.npz", "--json")
    assert json.loads(result.stdout)["outputs"][0]["snr_db_stored"] == "inf"


def test_executors_and_threads_give_the_same_bits(call: Call, files: Path) -> None:
    made = []
    for options in (["reference"], ["native", "--threads", 1], ["native", "--threads", 2]):
        out = files / "out.npz"
        result = call(
            "run", files / "program.bin", "--input", files / "feed.npz", "-o", out,
            "--executor", *options,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("program", ["program.bin", "batch2.bin"])
@pytest.mark.parametrize("batch", [[], ["--batch-size", 2]])
def test_eval_top1(call: Call, files: Path, program: str, batch: list[object]) -> None:
    """Four of five labels are right; a fixed batch of two does not divide five."""
    result = call(
        "eval", files / program, "--data", files / "set.npz", "--metric", "top1",
        "--compare", files / "model.onnx", "--json", *batch,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "schema": 1,
        "metric": "top1",
        "samples": 5,
        "outputs": [{"name": "y", "program": 0.8, "onnxruntime": 0.8}],
    }


@pytest.mark.parametrize("metric", ["snr", "mse"])
@pytest.mark.parametrize("batch", [1, 2, 8])
def test_eval_errors_do_not_depend_on_batches(
    call: Call, files: Path, metric: str, batch: int
) -> None:
    result = call(
        "eval", files / "program.bin", "--data", files / "feed.npz", "--metric", metric,
        "--compare", files / "model.onnx", "--batch-size", batch, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["outputs"]
    assert row["stored"] == pytest.approx(row["onnxruntime"], rel=1e-4)
    run = call("run", files / "program.bin", "--input", files / "feed.npz", "--json")
    if metric == "snr":
        (whole,) = json.loads(run.stdout)["outputs"]
        assert row["stored"] == pytest.approx(whole["snr_db_stored"], rel=1e-9)
    else:
        assert 0 < row["stored"] < 0.1


def test_eval_text(call: Call, files: Path) -> None:
    result = call("eval", files / "program.bin", "--data", files / "set.npz", "--metric", "top1")
    assert result.stdout == "output    top1\ny       80.00%\n5 samples\n"


@pytest.mark.parametrize("metric", ["snr", "mse"])
def test_eval_text_of_errors(call: Call, files: Path, metric: str) -> None:
    result = call("eval", files / "program.bin", "--data", files / "feed.npz", "--metric", metric)
    header, row, count = result.stdout.splitlines()
    assert header.endswith("to stored")
    assert row.startswith("y ")
    assert count == "5 samples"


def test_inspect(call: Call, files: Path) -> None:
    text = call("inspect", files / "program.bin")
    assert "1 of 64" in text.stdout
    assert "MatMul_0, Add_1" in text.stdout
    data = json.loads(call("inspect", files / "program.bin", "--json").stdout)
    assert data["layers"] == sample.MAPPING["layers"]


def test_disasm_and_asm_give_the_same_bytes(call: Call, files: Path) -> None:
    printed = call("disasm", files / "program.bin").stdout
    assert "; MatMul_0, Add_1" in printed
    assert call("disasm", files / "program.bin", "-o", files / "code.s").stdout == ""
    assert (files / "code.s").read_text() == printed
    assert call("asm", files / "code.s", "-o", files / "code.bin").exit_code == 0
    with zipfile.ZipFile(files / "program.bin") as archive:
        assert archive.read("code.bin") == (files / "code.bin").read_bytes()
    result = call(
        "asm", files / "code.s", "--program", files / "program.bin", "-o", files / "new.bin"
    )
    assert result.exit_code == 0, result.stderr
    assert (files / "new.bin").read_bytes() == (files / "program.bin").read_bytes()


def test_assembled_programs_are_checked(call: Call, files: Path) -> None:
    text = call("disasm", files / "program.bin").stdout
    (files / "bad.s").write_text(text.replace("host 0.0", "host 0.7"))
    result = call(
        "asm", files / "bad.s", "--program", files / "program.bin", "-o", files / "new.bin"
    )
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert not (files / "new.bin").exists()


def test_verify(call: Call, tmp_path: Path) -> None:
    model = saved("residual", tmp_path)
    program = tmp_path / "residual.bin"
    write(compiled("residual"), program)
    result = call("verify", program)
    assert result.exit_code == 0
    assert "no fault found" in result.stdout
    result = call("verify", program, "--model", model)
    assert result.exit_code == 0
    assert "multiply-adds: 57,856 per sample" in result.stdout
    found = json.loads(call("verify", program, "--model", model, "--json").stdout)
    assert found["faults"] == []
    assert found["figures"]["multiply_adds"]["model"] == 57856


def test_verify_tells_of_faults(call: Call, tmp_path: Path) -> None:
    model = saved("residual", tmp_path)
    program = tmp_path / "residual.bin"
    write(DAMAGES["window_transposed"].apply(compiled("residual")), program)
    assert call("verify", program).exit_code == 0  # only the model shows it
    result = call("verify", program, "--model", model)
    assert result.exit_code == 1
    assert "fault (flow): tensor `r1` of node `relu1`" in result.stdout
    found = json.loads(call("verify", program, "--model", model, "--json").stdout)
    assert [fault["kind"] for fault in found["faults"]] == ["flow"]
    missing = call("verify", program, "--model", tmp_path / "missing.onnx")
    assert missing.exit_code == 1
    assert missing.stderr.startswith(f"error: `{tmp_path / 'missing.onnx'}` does not exist")
    folder = call("verify", program, "--model", tmp_path)
    assert folder.stderr.startswith(f"error: `{tmp_path}` cannot be read: is a directory")
    (tmp_path / "text.json").write_text('{"not": "a model"}')
    text = call("verify", program, "--model", tmp_path / "text.json")
    assert (text.exit_code, "is no ONNX model" in text.stderr) == (1, True)


def test_verify_compares_segments_with_the_manifest(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "g (float[N,3] x) => (float[N,3] y) { y = Softmax (x) }"
    )
    with pytest.warns(UserWarning, match="synthetic"):
        image = anacc.compile(model).image
    check_segments(image)
    other = onnx.load_from_string(image.segments[0])
    other.graph.output[0].name = other.graph.node[-1].output[0] = "z"
    for content, message in (
        (b"hello", "host segment 0 is not an ONNX model"),
        (b"", "host segment 0 is not an ONNX model"),
        (other.SerializeToString(), "host segment 0: output `.*` is in the m"),
    ):
        with pytest.raises(ProgramError, match=message):
            check_segments(replace(image, segments=[content]))


def test_targets(call: Call) -> None:
    assert "hermes" in call("targets").stdout
    assert call("targets", "list").stdout == call("targets").stdout
    shown = call("targets", "show", "hermes").stdout
    assert "crossbar.rows" in shown
    assert "published" in shown
    values = json.loads(call("targets", "show", "hermes", "--json").stdout)["values"]
    assert {"key", "value", "unit", "source", "note"} == set(values[0])


def test_help_of_every_command(call: Call) -> None:
    overall = call("--help")
    assert overall.exit_code == 0
    for command in ("compile", "run", "eval", "inspect", "disasm", "asm", "targets", "verify"):
        assert f"\n  {command} " in overall.stdout
        assert call(command, "-h").exit_code == 0


def test_names_in_a_disassembly_cannot_steer_a_terminal(call: Call, files: Path) -> None:
    made = sample.image()
    names = ["MatMul\x1b[2J\u202e\nforged", 3, {}]
    write(replace(made, origin={"streams": [names, "MatMul", []]}), files / "own.bin")
    result = call("disasm", files / "own.bin")
    assert result.exit_code == 0, result.stderr
    assert "; MatMul?[2J? forged, 3, {}\n" in result.stdout
    assert "\x1b" not in result.stdout
