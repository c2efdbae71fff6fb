"""Everything that goes wrong ends in one sentence and an exit status, and leaves no file."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Call

FAILED, MISUSED = 1, 2


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-100])
    return path


def flip(path: Path) -> Path:
    """Flip a bit in the middle of the code."""
    content = bytearray(path.read_bytes())
    content[content.index(b"code.bin") + 100] ^= 16
    path.write_bytes(content)
    return path


def write(folder: Path, name: str, content: bytes | dict[str, object]) -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)  # type: ignore[arg-type]
    return path


def feed(folder: Path, **arrays: object) -> list[object]:
    return ["run", folder / "program.bin", "--input", write(folder, "bad.npz", dict(arrays))]


def evaluate(folder: Path, metric: str, **arrays: object) -> list[object]:
    data = write(folder, "bad.npz", dict(arrays))
    return ["eval", folder / "program.bin", "--data", data, "--metric", metric]


def compiling(folder: Path, model: Path, *options: object) -> list[object]:
    return ["compile", model, "-o", folder / "new.bin", *options]


def calibration(folder: Path) -> Path:
    """A folder of two feeds, of which the second lacks a column."""
    (folder / "feeds").mkdir()
    write(folder / "feeds", "1.npz", {"x": X})
    write(folder / "feeds", "2.npz", {"x": X[:, :3]})
    return folder / "feeds"


def other_model(folder: Path) -> Path:
    """The sample's model with another name for its output."""
    model = onnx.load(folder / "model.onnx")
    model.graph.node[1].output[0] = model.graph.output[0].name = "z"
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


X = np.zeros((2, 4), np.float32)

# What is wrong: a command line made from the folder of files, its exit status, and a part of its
# message.
CASES: dict[str, tuple[Callable[[Path], list[object]], int, str]] = {
    "no such program": (lambda f: ["run", f / "absent.bin"], FAILED, "absent.bin"),
    "program is a folder": (lambda f: ["run", f], FAILED, "not a file"),
    "program is empty": (lambda f: ["run", write(f, "e", b"")], FAILED, "is empty"),
    "program is text": (lambda f: ["run", write(f, "t", b"hello" * 99)], FAILED, "`"),
    "program is a model": (lambda f: ["run", f / "model.onnx"], FAILED, "`anacc compile` makes"),
    "program is truncated": (lambda f: ["run", truncate(f / "program.bin")], FAILED, "program"),
    "program has a flipped bit": (lambda f: ["run", flip(f / "program.bin")], FAILED, "program"),
    "truncated, inspect": (lambda f: ["inspect", truncate(f / "program.bin")], FAILED, "program"),
    "flipped, disasm": (lambda f: ["disasm", flip(f / "program.bin")], FAILED, "program"),
    "flipped, verify": (lambda f: ["verify", flip(f / "program.bin")], FAILED, "program"),
    "unknown input": (lambda f: feed(f, z=X, x=X), FAILED, "no input `z`"),
    "missing input": (lambda f: feed(f, **{"out:y": X}), FAILED, "input `x`"),
    "wrong shape": (lambda f: feed(f, x=X[:, :3]), FAILED, "`x`"),
    "wrong rank": (lambda f: feed(f, x=X[0]), FAILED, "`x`"),
    "wrong dtype": (lambda f: feed(f, x=X.astype(np.float64)), FAILED, "`x`"),
    "not a number": (lambda f: feed(f, x=X * np.nan), FAILED, "NaN"),
    "no such feed": (
        lambda f: ["run", f / "program.bin", "--input", f / "absent.npz"],
        FAILED,
        "no such file",
    ),
    "feed is damaged": (
        lambda f: ["run", f / "program.bin", "--input", write(f, "bad.npz", b"PK")],
        FAILED,
        "damaged",
    ),
    "feed of another form": (
        lambda f: ["run", f / "program.bin", "--input", "x"],
        MISUSED,
        "NAME=FILE.npy",
    ),
    "two feeds": (
        lambda f: ["run", f / "program.bin", *["--input", f / "feed.npz"] * 2],
        MISUSED,
        "one `.npz` file",
    ),
    "reference of another shape": (
        lambda f: feed(f, **{"x": X, "out:y": np.zeros((9, 9))}),
        FAILED,
        "reference of shape",
    ),
    "compare with a folder": (
        lambda f: ["run", f / "program.bin", "--compare", f],
        FAILED,
        "it is a folder",
    ),
    "compare with no file": (
        lambda f: ["run", f / "program.bin", "--compare", f / "absent.onnx"],
        FAILED,
        "absent.onnx",
    ),
    "compare with no model": (
        lambda f: ["run", f / "program.bin", "--compare", f / "set.npz"],
        FAILED,
        "set.npz",
    ),
    "compare with another model": (
        lambda f: ["run", f / "program.bin", "--compare", other_model(f)],
        MISUSED,
        "has no output `y`",
    ),
    "output in no folder": (
        lambda f: ["run", f / "program.bin", "-o", f / "absent" / "out.npz"],
        MISUSED,
        "does not exist",
    ),
    "output is a folder": (lambda f: ["run", f / "program.bin", "-o", f], MISUSED, "is a folder"),
    "output is a device": (
        lambda f: ["run", f / "program.bin", "-o", "/dev/null"],
        MISUSED,
        "not a regular file",
    ),
    "output in a file": (
        lambda f: ["run", f / "program.bin", "-o", f / "set.npz" / "out.npz"],
        MISUSED,
        "does not exist",
    ),
    "output over the program": (
        lambda f: ["run", f / "program.bin", "-o", f / "program.bin"],
        MISUSED,
        "overwrite",
    ),
    "output over the feed": (
        lambda f: ["run", f / "program.bin", "--input", f"x={f}/x.npy", "-o", f / "x.npy"],
        MISUSED,
        "overwrite",
    ),
    "output over the model": (
        lambda f: ["compile", f / "model.onnx", "-o", f / "model.onnx"],
        MISUSED,
        "overwrite",
    ),
    "no label": (lambda f: evaluate(f, "top1", x=X), FAILED, "`label`"),
    "labels that are no integers": (
        lambda f: evaluate(f, "top1", x=X, label=X[:, 0]),
        FAILED,
        "integers",
    ),
    "labels of another shape": (
        lambda f: evaluate(f, "top1", x=X, label=np.zeros((2, 7), int)),
        FAILED,
        "labels of shape",
    ),
    "no reference": (lambda f: evaluate(f, "snr", x=X), MISUSED, "needs a reference"),
    "reference of another output": (
        lambda f: evaluate(f, "snr", **{"x": X, "out:z": X}),
        MISUSED,
        "stores no output",
    ),
    "batch that is not the fixed one": (
        lambda f: [
            "eval",
            f / "batch2.bin",
            "--data",
            f / "set.npz",
            "--metric",
            "top1",
            "--batch-size",
            3,
        ],
        MISUSED,
        "fixed batch of 2",
    ),
    "asm of no text": (
        lambda f: ["asm", write(f, "bad.s", b"\xff\xfe"), "-o", f / "new.bin"],
        FAILED,
        "UTF-8",
    ),
    "asm of another text": (
        lambda f: ["asm", write(f, "bad.s", b"hello\n"), "-o", f / "new.bin"],
        FAILED,
        "1",
    ),
    "asm of no file": (lambda f: ["asm", f / "absent.s", "-o", f / "new.bin"], FAILED, "absent.s"),
    "no such target": (lambda f: ["targets", "show", "absent"], MISUSED, "`absent`"),
    "no such option": (lambda f: ["run", f / "program.bin", "--fast"], MISUSED, "--fast"),
    "no such command": (lambda f: ["walk"], MISUSED, "walk"),
    "no argument": (lambda f: ["run"], MISUSED, "PROGRAM"),
    "no such executor": (
        lambda f: ["run", f / "program.bin", "--executor", "quick"],
        MISUSED,
        "quick",
    ),
    "no threads": (lambda f: ["run", f / "program.bin", "--threads", 0], MISUSED, "--threads"),
    "no such metric": (lambda f: evaluate(f, "top5", x=X), MISUSED, "top5"),
    "negative seed": (lambda f: ["run", f / "program.bin", "--seed", -1], MISUSED, "--seed"),
    "shape without a value": (
        lambda f: ["compile", f / "model.onnx", "-o", f / "p", "--shape", "T"],
        MISUSED,
        "`--shape T`",
    ),
    "shape of zero": (
        lambda f: ["compile", f / "model.onnx", "-o", f / "p", "--shape", "T=0"],
        MISUSED,
        "`--shape T=0`",
    ),
    "shape given twice": (
        lambda f: ["compile", f / "model.onnx", "-o", f / "p", *["--shape", "T=1"] * 2],
        MISUSED,
        "twice",
    ),
    "shape of absurd size": (
        lambda f: compiling(f, f / "model.onnx", "--shape", "N=99999999999999999999"),
        MISUSED,
        "more than 10 digits",
    ),
    "IR into no name": (
        lambda f: compiling(f, f / "model.onnx", "--dump-ir", ""),
        MISUSED,
        "is empty",
    ),
    "IR into a device": (
        lambda f: compiling(f, f / "model.onnx", "--dump-ir", "/dev/null"),
        MISUSED,
        "`/dev/null` is not a folder",
    ),
    "unknown pass and no model": (
        lambda f: compiling(f, f / "absent.onnx", "--print-ir-after", "magic"),
        MISUSED,
        "magic",
    ),
    "no such model": (lambda f: compiling(f, f / "absent.onnx"), FAILED, "absent.onnx"),
    "model is a folder": (lambda f: compiling(f, f), FAILED, "`"),
    "model is empty": (lambda f: compiling(f, write(f, "e.onnx", b"")), FAILED, "e.onnx"),
    "model is text": (lambda f: compiling(f, write(f, "t.onnx", b"hi" * 99)), FAILED, "t.onnx"),
    "model is truncated": (lambda f: compiling(f, truncate(f / "model.onnx")), FAILED, "model"),
    "model is a program": (lambda f: compiling(f, f / "program.bin"), FAILED, "program.bin"),
    "unknown target": (lambda f: compiling(f, f / "model.onnx", "--target", "x"), MISUSED, "`x`"),
    "target that is no target": (
        lambda f: compiling(f, f / "model.onnx", "--target", write(f, "x.toml", b"a = [")),
        FAILED,
        "x.toml",
    ),
    "unknown read mode": (
        lambda f: compiling(f, f / "model.onnx", "--read-mode", "2-phase"),
        MISUSED,
        "2-phase",
    ),
    "unknown packing": (
        lambda f: compiling(f, f / "model.onnx", "--packing", "loose"),
        MISUSED,
        "loose",
    ),
    "unknown calibration method": (
        lambda f: compiling(f, f / "model.onnx", "--calibration-method", "guess"),
        MISUSED,
        "guess",
    ),
    "unknown pass": (
        lambda f: compiling(f, f / "model.onnx", "--print-ir-after", "magic"),
        MISUSED,
        "magic",
    ),
    "no calibration": (
        lambda f: compiling(f, f / "model.onnx", "--calibration", f / "absent"),
        FAILED,
        "absent",
    ),
    "calibration of another input": (
        lambda f: compiling(f, f / "model.onnx", "--calibration", write(f, "c.npz", {"z": X})),
        FAILED,
        "`x`",
    ),
    "calibration of another shape": (
        lambda f: compiling(
            f, f / "model.onnx", "--calibration", write(f, "c.npz", {"x": X[:, :3]})
        ),
        FAILED,
        "`x`",
    ),
    "calibration of a folder with a wrong file": (
        lambda f: compiling(f, f / "model.onnx", "--calibration", calibration(f)),
        FAILED,
        "2.npz`",
    ),
    "calibration of another type": (
        lambda f: compiling(
            f, f / "model.onnx", "--calibration", write(f, "c.npz", {"x": X.astype(int)})
        ),
        FAILED,
        "`x`",
    ),
    "IR into a file": (
        lambda f: compiling(f, f / "model.onnx", "--dump-ir", f / "set.npz"),
        MISUSED,
        "set.npz",
    ),
    "compile without output": (lambda f: ["compile", f / "model.onnx"], MISUSED, "--output"),
}


@pytest.mark.parametrize(("command", "status", "part"), CASES.values(), ids=CASES.keys())
def test_refusal(
    call: Call, files: Path, command: Callable[[Path], list[object]], status: int, part: str
) -> None:
    arguments = command(files)
    before = sorted(files.iterdir())
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    # Notes may stand before the error, as that random inputs are used.
    *_, error = re.split(r"^(?=error: )", result.stderr, flags=re.MULTILINE)
    assert re.fullmatch(r"error: [^\n]+\n(\nhint: [^\n]+\n)?", error), result.stderr
    assert part in error
    assert "internal error" not in error
    assert sorted(files.iterdir()) == before


def test_a_failing_disk_is_one_sentence(
    call: Call, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(files.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    result = call("disasm", files / "program.bin", "-o", files / "code.s")
    assert result.exit_code == FAILED
    assert result.stderr == f"error: `{files / 'code.s'}`: no space left on device\n"
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize("count", [0, 1])
def test_a_disk_that_fills_while_modules_are_written(
    call: Call, files: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The text of the first module, and its first constant."""
    left = [count]

    def full(handle: int) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1

    monkeypatch.setattr(os, "fsync", full)
    result = call(*compiling(files, files / "model.onnx", "--dump-ir", files / "ir"))
    assert result.exit_code == FAILED
    assert re.search(r"^error: `\S+/ir/\S+`: no space left on device\n", result.stderr, re.M)


def test_a_fault_of_anacc_is_one_sentence_too(
    call: Call, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(program: Path) -> None:
        raise KeyError("\x1b[31mlayer\nname")

    monkeypatch.setattr("anacc.cli.inspect.load", broken)
    result = call("inspect", files / "program.bin")
    assert result.exit_code == FAILED
    assert result.stderr.startswith("error: internal error: KeyError: ")
    assert "\x1b" not in result.stderr
    assert "hint: this is a fault of anacc" in result.stderr
    shown = call("--traceback", "inspect", files / "program.bin")
    assert isinstance(shown.exception, KeyError)


def test_interrupt(call: Call, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(program: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anacc.cli.inspect.load", interrupted)
    result = call("inspect", files / "program.bin")
    assert (result.exit_code, result.stderr) == (130, "\n")
