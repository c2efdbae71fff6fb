"""The README's commands run as printed, and print what it says they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return [text for name, text in BLOCK.findall(README) if name == language]


def commands() -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the output that stands below it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to run in, with the models where the README expects them."""
    path = tmp_path_factory.mktemp("readme")
    (path / "models").symlink_to(ROOT / "models")
    return path


def run(arguments: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands(folder: Path) -> None:
    seen = 0
    for command, output in commands():
        if command.startswith("make "):
            target = command.removeprefix("make ")
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        program, *arguments = command.split()
        assert program == "anacc"
        printed = run([sys.executable, "-m", "anacc", *arguments], folder)
        if output:
            assert printed == output
        seen += 1
    assert seen > 5


def test_python(folder: Path) -> None:
    found = blocks("python")
    assert len(found) == 2
    for block in found:
        run([sys.executable, "-c", block], folder)


def test_target(folder: Path) -> None:
    (block,) = blocks("toml")
    (folder / "mychip.toml").write_text(block)
    model = "models/digits_cnn/digits_cnn.onnx"
    data = "models/digits_cnn/calibration.npz"
    line = f"compile {model} --target mychip.toml --calibration {data} -o prog.bin"
    run([sys.executable, "-m", "anacc", *line.split()], folder)


def test_demo(folder: Path) -> None:
    """The demo prints what the README shows; it writes to build/ beside the models."""
    shutil.copytree(ROOT / "models", folder / "copy" / "models")
    printed = run([sys.executable, "models/demo.py"], folder / "copy")
    assert printed in blocks("text")
