"""The Python interface, and what importing it loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import anacc
from anacc.errors import FeedError, ProgramError, UsageError
from tests.cli import sample

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ("anacc.compiler", "anacc.frontend", "anacc.ir", "anacc_backends", "anacc_passes")


def loaded_by(script: str) -> list[str]:
    """The compiler's modules that a script loads in a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = result.stdout.split()
    assert "anacc" in names
    return [name for name in names if f"{name}.".startswith(tuple(f"{c}." for c in COMPILER))]


@pytest.mark.parametrize(
    "script",
    [
        "import anacc",
        "import anacc_runtime, anacc",
        "import anacc; anacc.load, anacc.Program, anacc.compile",
        "import anacc.cli.commands",
    ],
)
def test_imports_load_no_compiler(script: str) -> None:
    assert loaded_by(script) == []


def test_running_a_program_loads_no_compiler(tmp_path: Path) -> None:
    path = sample.write_program(tmp_path)
    feed = "{'x': numpy.zeros((1, 4), 'f4')}"
    script = f"import anacc, numpy\nanacc.load({str(path)!r}).run({feed})"
    assert loaded_by(script) == []


def test_what_is_imported_is_declared() -> None:
    """Every package outside the standard library is a dependency of the distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=~!; ]", entry)[0] for entry in project["dependencies"]}
    distributions = {
        "google": "protobuf",
        "pydantic_core": "pydantic",
    }  # that have packages of other names
    imported = {
        distributions.get(name, name)
        for folder in ("anacc", "passes", "backends", "runtime")
        for file in (ROOT / folder).rglob("*.py")
        for name in _imports(file)
        if name not in sys.stdlib_module_names and not name.startswith("anacc")
    }
    assert imported == declared


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_source_distribution_has_all_that_tests_read() -> None:
    """The demo's tests and the trained models' read `models/`."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert not tool["scikit-build"].get("sdist", {}).get("exclude")


def test_public_names() -> None:
    for name in anacc.__all__:
        assert getattr(anacc, name) is not None
        assert name in dir(anacc)
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = anacc.absent


def test_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert anacc.__version__ == project["version"]


def test_a_program_from_file_to_outputs(tmp_path: Path) -> None:
    program = anacc.load(sample.write_program(tmp_path), threads=1)
    assert [port.name for port in program.inputs] == ["x"]
    assert [port.shape for port in program.outputs] == [(None, 3)]
    x = sample.inputs(9)
    y = program.run({"x": x})["y"]
    # One count is eight codes times codes; counts and outputs are rounded to half of that, at most.
    np.testing.assert_allclose(y, x @ sample.WEIGHT + sample.BIAS, atol=8 * sample.SCALE)
    np.testing.assert_array_equal(y, program.run({"x": x}, executor="reference")["y"])
    np.testing.assert_array_equal(y[:4], program.run({"x": x[:4]}, threads=2)["y"])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    program = anacc.load(sample.write_program(tmp_path))
    program.save(tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == (tmp_path / "program.bin").read_bytes()
    assert anacc.load(tmp_path / "copy.bin").report() == program.report()


def test_errors(tmp_path: Path) -> None:
    program = anacc.load(sample.write_program(tmp_path))
    with pytest.raises(FeedError, match="not ndarray"):
        program.run(np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(FeedError, match="`z`"):
        program.run({"z": np.zeros((1, 4), np.float32)})
    with pytest.raises(UsageError, match="executor"):
        program.run({"x": sample.inputs(1)}, executor="fast")  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="absent"):
        anacc.load(tmp_path / "absent.bin")
