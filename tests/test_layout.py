"""The folders and files are what the layout says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"anacc", "passes", "backends", "runtime", "tests", "models", "docs", "bench", ".ci"}
PACKAGES = ["anacc", "passes/anacc_passes", "backends/anacc_backends", "runtime/anacc_runtime"]
CODE = {".py", ".pyi", ".c", ".h"}
MAX_LINES = 400

HOME_PATH = re.compile(r"(?<![\w.~-])/(?:work|home|Users)/\w")
TEMPORARY_PATH = re.compile(r"(?<![\w.~-])/tmp/")


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file that git tracks, relative to the root; a user may keep others in the checkout."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout, or no git")
    listing = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # The index may name a file that was deleted since.
    return [Path(name) for name in listing.split("\0") if (ROOT / name).is_file()]


def test_top_level_folders(files: list[Path]) -> None:
    assert {file.parts[0] for file in files if len(file.parts) > 1} <= FOLDERS


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_marked_as_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").read_bytes() == b""


def test_no_file_is_called_utils(files: list[Path]) -> None:
    """A file is named for what it does."""
    assert [file for file in files if file.name.lstrip("_").startswith("utils")] == []


def test_no_code_file_is_long(files: list[Path]) -> None:
    code = [file for file in files if file.suffix in CODE]
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in code}
    assert {file: length for file, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_names_a_path_of_one_machine(files: list[Path]) -> None:
    found = []
    for file in files:
        text = (ROOT / file).read_bytes().decode(errors="replace")
        if "\0" in text:
            continue
        forbidden = [HOME_PATH] if file.parts[0] == "tests" else [HOME_PATH, TEMPORARY_PATH]
        for number, line in enumerate(text.splitlines(), start=1):
            if any(path.search(line) for path in forbidden):
                found.append(f"{file}:{number}: {line.strip()[:100]}")
    assert found == []
