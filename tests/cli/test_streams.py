"""Standard streams that are closed, full, in another encoding, or that nobody reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAILED, MISUSED = 1, 2


def anacc(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "anacc", *map(str, arguments)]


def test_a_reader_that_leaves() -> None:
    """More output than a pipe holds, and nobody who reads it."""
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        anacc("targets", "show", "hermes"), stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


def test_an_encoding_that_lacks_a_name(files: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    result = subprocess.run(
        anacc("run", files / "absent-\u00e9.bin"), capture_output=True, env=environment, timeout=60
    )
    assert result.returncode == FAILED
    assert b"absent-\\xe9.bin" in result.stderr


def into(command: str, *arguments: object) -> tuple[int, bytes, bytes]:
    """Run a command line whose streams a shell redirects: `$0` stands for it."""
    result = subprocess.run(
        ["sh", "-c", command.replace("anacc", '"$@"'), "sh", *anacc(*arguments)],
        capture_output=True,
        timeout=60,
    )
    return result.returncode, result.stdout, result.stderr


FULL = b"error: standard output: no space left on device\n"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@needs_full
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["inspect", "program.bin"], ["run", "program.bin", "--json"]],
    ids=" ".join,
)
def test_a_full_standard_output(files: Path, arguments: list[str]) -> None:
    paths = [files / each if each.endswith(".bin") else each for each in arguments]
    status, _, message = into("anacc >/dev/full", *paths)
    assert (status, message[-len(FULL) :]) == (FAILED, FULL)
    assert b"Traceback" not in message and b"Exception ignored" not in message


@needs_full
def test_a_full_standard_error(files: Path) -> None:
    compiling = ("compile", files / "model.onnx", "-o", files / "new.bin")
    assert into("anacc 2>/dev/full", *compiling) == (FAILED, b"", b"")
    assert into("anacc 2>/dev/full", "walk") == (MISUSED, b"", b"")
    assert into("anacc 2>/dev/full") == (MISUSED, b"", b"")


def test_a_closed_standard_output(files: Path) -> None:
    status, _, message = into("anacc >&-", "inspect", files / "program.bin")
    assert (status, message) == (FAILED, b"error: standard output: bad file descriptor\n")
    # A command that writes nothing to it does not mind, and no file takes its place.
    output = files / "new.bin"
    status, _, message = into("anacc >&-", "compile", files / "model.onnx", "-o", output)
    assert (status, b"wrote" in message) == (0, True)
    assert into("anacc >&- 2>&-", "verify", output)[0] == FAILED


def test_a_closed_standard_error(files: Path) -> None:
    status, table, message = into("anacc 2>&-", "run", files / "program.bin")
    assert (status, message) == (0, b"")
    assert table.startswith(b"output")
