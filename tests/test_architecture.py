"""Imports point one way only: cli, reports -> backends -> passes -> frontend -> ir -> targets,
and runtime -> program.

A part is a package, or a module or subpackage of `anacc`. Imports inside functions and under
`TYPE_CHECKING` count like any other: what a file names, it knows.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = {
    "anacc": ROOT,
    "anacc_passes": ROOT / "passes",
    "anacc_backends": ROOT / "backends",
    "anacc_runtime": ROOT / "runtime",
}

# The parts that each part may import, beside itself.
MAY_IMPORT = {
    "anacc.atomic": set[str](),
    "anacc.errors": set[str](),
    "anacc.files": set[str](),
    "anacc.host_values": set[str](),
    "anacc.options": {"anacc.errors"},
    "anacc.feeds": {"anacc.files", "anacc.host_values", "anacc.errors"},
    "anacc.mapping_file": {"anacc.files", "anacc.errors"},
    "anacc.dataset": {"anacc.feeds", "anacc.errors"},
    "anacc.meters": {"anacc.dataset", "anacc.feeds", "anacc.metrics", "anacc.errors"},
    "anacc.metrics": {"anacc.errors"},
    "anacc.streaming": {"anacc.feeds", "anacc.host_values", "anacc.errors"},
    "anacc.targets": {"anacc.errors"},
    "anacc.baking": {"anacc.frontend", "anacc.host_values", "anacc.errors"},
    "anacc.calibration": {
        "anacc.feeds",
        "anacc.frontend",
        "anacc.host_values",
        "anacc.program",
        "anacc.streaming",
        "anacc.errors",
    },
    "anacc.ir": {"anacc.atomic", "anacc.targets", "anacc.errors"},
    "anacc.program": {"anacc.atomic", "anacc.host_values", "anacc.targets", "anacc.errors"},
    "anacc.frontend": {
        "anacc.files",
        "anacc.host_values",
        "anacc.ir",
        "anacc.targets",
        "anacc.errors",
    },
    "anacc.reports": {"anacc.mapping_file", "anacc.program", "anacc.targets", "anacc.errors"},
    "anacc_passes": {
        "anacc.frontend",
        "anacc.ir",
        "anacc.mapping_file",
        "anacc.targets",
        "anacc.errors",
    },
    "anacc.verification": {"anacc.program", "anacc.targets", "anacc.errors"},
    "anacc_backends": {
        "anacc_passes",
        "anacc.frontend",
        "anacc.host_values",
        "anacc.ir",
        "anacc.program",
        "anacc.targets",
        "anacc.errors",
    },
    "anacc_runtime": {"anacc.host_values", "anacc.program", "anacc.targets", "anacc.errors"},
}
# These put the others together and may import all of them; nothing below may import these.
TOP = {
    "anacc",
    "anacc.__main__",
    "anacc.api",
    "anacc.cli",
    "anacc.comparison",
    "anacc.compiler",
    "anacc.evaluation",
    "anacc.onnx_backend",
    "anacc.pipeline",
    "anacc.preconditions",
    "anacc.sweeps",
}

COMPILER = {"anacc.ir", "anacc.frontend", "anacc_passes", "anacc_backends"}


def part_of(module: str) -> str:
    """The part that a module belongs to, for example `anacc.ir` for `anacc.ir.verify`."""
    depth = 2 if module.split(".")[0] == "anacc" else 1
    return ".".join(module.split(".")[:depth])


def module_files() -> Iterator[tuple[str, Path]]:
    """The name and the file of every module of the four packages."""
    for package, root in SOURCE_ROOTS.items():
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), file


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything that the source of `module` imports.

    `from a import b` gives `a.b`: whether b is a module or a name in a, its part is the same,
    except for names of `anacc` itself, which `violations` looks up.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join(parents + ([node.module] if node.module else []))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def violations(source: str, module: str, is_package: bool, modules: set[str]) -> list[str]:
    """A sentence for each import that the table forbids; `modules` are all that exist."""
    importer = part_of(module)
    if importer in TOP:
        return []
    if importer not in MAY_IMPORT:
        return [f"{importer} is not in the table MAY_IMPORT: state there what it may import"]
    allowed = MAY_IMPORT[importer] | {importer}
    found = []
    for line, name in imported_modules(source, module, is_package):
        if name.split(".")[0] not in SOURCE_ROOTS:
            continue
        part = part_of(name)
        if part not in allowed:
            # A name that `anacc` defines belongs to `anacc`, not to a part of that name.
            part = part if part in modules else "anacc"
            found.append(f"{module}, line {line}: {importer} may not import {part}")
    return found


def test_imports_point_one_way() -> None:
    files = list(module_files())
    modules = {module for module, _ in files}
    found = [
        sentence
        for module, file in files
        for sentence in violations(
            file.read_text(encoding="utf-8"), module, file.name == "__init__.py", modules
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("anacc_passes.tile", "import numpy\nfrom anacc.ir import Graph\n", None),
        ("anacc_passes.tile", "from anacc import ir\n", None),
        ("anacc_passes.tile", "from .place import place\n", None),
        ("anacc_passes.tile", "from anacc import compile\n", "anacc"),
        ("anacc_passes.tile", "import anacc_backends.hermes\n", "anacc_backends"),
        ("anacc_runtime.load", "from anacc.program import model\n", None),
        ("anacc_runtime.load", "def f():\n    from anacc import ir\n", "anacc.ir"),
        ("anacc.ir.verify", "from ..frontend import read\n", "anacc.frontend"),
        ("anacc.ir.verify", "from .. import frontend\n", "anacc.frontend"),
        ("anacc.ir.verify", "from . import frontend\n", None),
        ("anacc.cli.main", "import anacc.api, anacc_backends, anacc_runtime\n", None),
    ],
)
def test_the_check_itself(module: str, source: str, forbidden: str | None) -> None:
    modules = {"anacc.ir", "anacc.frontend", "anacc_backends"}
    found = violations(source, module, is_package=False, modules=modules)
    assert [sentence.rsplit(" ", 1)[1] for sentence in found] == ([forbidden] if forbidden else [])


# Of the program format, the verifier may know the data alone: no check, no analysis, no encoder.
FORMAT_DATA = {"anacc.program.image", "anacc.program.isa", "anacc.program.manifest"}
FORMAT_DATA.add("anacc.program.model")


def test_the_verifier_shares_no_code_with_what_it_verifies() -> None:
    modules = {module for module, _ in module_files()}
    for module, file in module_files():
        if not module.startswith("anacc.verification"):
            continue
        source = file.read_text(encoding="utf-8")
        for line, name in imported_modules(source, module, file.name == "__init__.py"):
            if name.startswith("anacc.program"):
                found = name if name in modules else name.rpartition(".")[0]
                assert found in FORMAT_DATA, f"{module}, line {line}: {name}"


def test_a_new_part_must_be_in_the_table() -> None:
    assert "not in the table" in violations("", "anacc.surprise", False, set())[0]


def test_the_runtime_loads_no_compiler_module() -> None:
    """Importing every module of the runtime, in a fresh interpreter, loads nothing else."""
    script = (
        "import importlib, pkgutil, sys, anacc_runtime\n"
        "for module in pkgutil.walk_packages(anacc_runtime.__path__, 'anacc_runtime.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*sys.modules)\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert "anacc_runtime" in loaded
    assert [name for name in loaded if part_of(name) in COMPILER] == []
