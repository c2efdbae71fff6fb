"""The C kernel equals a plain model of the specification, bit for bit, on generated cases.

`kernel_test.c` is the test; here it is compiled and run with few cases.  `make test-sanitizers` and
`make test-neon` run more of them.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
COMPILER = os.environ.get("CC", "cc")


@pytest.fixture(scope="module")
def kernel_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled harness."""
    for tool in ("make", COMPILER.split()[0]):
        if shutil.which(tool) is None:
            pytest.skip(f"the harness is not compiled: there is no `{tool}` here")
    build = tmp_path_factory.mktemp("kernel")
    # Little optimised code compiles fast, and rounds in the same way.
    command = ["make", "-j2", "-C", str(FOLDER), f"CC={COMPILER}", "CFLAGS=-O1", f"BUILD={build}"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return build / "kernel_test"


@pytest.mark.parametrize("seed", [1, 2])
def test_kernel_equals_model(kernel_test: Path, seed: int) -> None:
    result = subprocess.run(
        [kernel_test, "25", str(seed)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "portable: 25 tile" in result.stdout
