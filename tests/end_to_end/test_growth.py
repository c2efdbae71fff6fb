"""Memory and work of a compilation grow with the model, and no faster."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import pytest

import anacc
from anacc.compiler import compile_image
from anacc.frontend import evaluation, mapped
from anacc.program.container import image_bytes
from anacc_passes import tile
from bench.shapes.catalogue import network

# Just large enough: placement has tables of the size of the grid.
GRID = """inherit = "hermes"
grid.rows = 16
grid.columns = 16
"""


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    path = tmp_path / "chip.toml"
    path.write_text(GRID)
    return path


def test_peak_memory_is_near_that_of_the_codes(
    tmp_path: Path, chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 million weights are 40 MB in the file and 10 MB of codes: a copy of what lies in the file
    would exceed the bound."""
    monkeypatch.setattr(mapped, "LARGE_FILE", 2**20)
    monkeypatch.setattr(evaluation, "_LARGE_BYTES", 2**20)
    path = tmp_path / "m.onnx"
    network("weights-1e7").write(path)
    tracemalloc.start()
    try:
        compile_image(path, target=chip, warn=lambda _: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * 10**7


def test_any_number_of_threads_gives_the_same_bytes(
    chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network("weights-1e6").model()
    found = set()
    for threads in (1, 2, 7):
        monkeypatch.setattr(tile, "cpus", lambda threads=threads: threads)
        with pytest.warns(UserWarning):
            found.add(image_bytes(anacc.compile(model, target=chip).image))
    assert len(found) == 1


def calls(model: onnx.ModelProto, chip: Path) -> Counter[str]:
    """How many functions a compilation calls, by pass."""
    feed = {"x": np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)}
    found: Counter[str] = Counter()
    stage = "import"

    def begin(name: str, _: int, __: int) -> None:
        nonlocal stage
        stage = name

    def count(_: FrameType, event: str, __: Any) -> None:
        found[stage] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        compile_image(model, target=chip, calibration=[feed], on_progress=begin)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("family", ["chain", "wide"])
def test_work_grows_with_the_number_of_ops(
    chip: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Four times the ops take at most 4^1.1 times the function calls, in each pass.  Placement
    searches as long as its trials last, which is tested where it is."""
    monkeypatch.setattr(tile, "cpus", lambda: 1)
    few, many = (calls(network(f"{family}-{ops}").model(), chip) for ops in (40, 160))
    assert {name for name in many if many[name] > 4**1.1 * few[name]} <= {"place"}
