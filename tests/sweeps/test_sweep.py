"""Sweeps from Python, with the processes that they start."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import anacc
from anacc.errors import AnaccError, FeedError, ModelError, UsageError
from anacc.feeds import Stored
from anacc.sweeps import workers
from anacc.sweeps.axes import Point, grid
from anacc.sweeps.run import run
from anacc.sweeps.study import Laboratory, Row, Study
from tests.cli import sample

X = sample.inputs(6)
LABELS = np.argmax(X @ sample.WEIGHT + sample.BIAS, axis=1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return sample.write_model(tmp_path)


def test_a_row_is_what_a_compilation_gives(model: Path) -> None:
    """A point that does not compile stands between two that do, whatever the number of jobs."""
    axes: dict[str, list[Any]] = {"crossbar": ["256x256", "2x2", "4x2"], "grid": ["8x8", "1x1"]}
    data = {"x": X, "label": LABELS}
    done: list[tuple[int, int]] = []
    rows = anacc.sweep(
        model, axes, calibration={"x": X}, data=data, metric="top1", jobs=2,
        on_row=lambda *count: done.append(count),
    )  # fmt: skip
    assert done == [(k + 1, 6) for k in range(6)]
    assert rows == anacc.sweep(
        onnx.load(model), axes, calibration={"x": X}, data=data, metric="top1", jobs=1
    )
    assert [row["settings"]["crossbar"] for row in rows] == [
        "256x256", "256x256", "2x2", "2x2", "4x2", "4x2",
    ]  # fmt: skip
    assert [row["cores"] for row in rows] == [1, 1, 4, None, 2, None]
    assert "needs 3 cores" in rows[3]["error"]
    for row in rows:
        if row["error"] is not None:
            continue
        with pytest.warns() if row["warnings"] else nullcontext():
            program = anacc.compile(model, calibration={"x": X}, settings=row["settings"])
        report = program.report()
        assert row["cores"] == report["cores"]["used"]
        assert row["cores_available"] == report["cores"]["available"]
        assert row["cells_share"] == report["cells"]["share"]
        assert row["warnings"] == report["warnings"]
        right = np.argmax(program.run({"x": X})["y"], axis=1) == LABELS
        assert row["accuracy"] == {"y": right.mean()}


@pytest.mark.parametrize("stored", [False, True])
def test_errors_are_against_what_is_stored_or_the_model(model: Path, stored: bool) -> None:
    y = X @ sample.WEIGHT + sample.BIAS
    data = {"x": X, **({"out:y": y} if stored else {})}
    (row,) = anacc.sweep(model, calibration={"x": X}, data=data, metric="snr")
    assert row["accuracy"]["y"] > 25


def test_options_are_axes_too(model: Path) -> None:
    rows = anacc.sweep(
        model, vary={"read_mode": ["4-phase", "1-phase"], "target": ["hermes", "hermes-ext"]},
        calibration={"x": X}, seed=3,
    )  # fmt: skip
    assert [row["options"] for row in rows] == [
        {"read_mode": mode, "target": target}
        for mode in ("4-phase", "1-phase")
        for target in ("hermes", "hermes-ext")
    ]
    assert [row["error"] for row in rows] == [None] * 4


def test_points_do_not_change_what_they_share(model: Path) -> None:
    """One import serves all points: the first and the last are the same."""
    study = Study(model, [{"x": X}], Stored({"x": X, "label": LABELS}, {}), "top1",
                  {"target": "hermes"})  # fmt: skip
    laboratory = Laboratory(pickle.loads(pickle.dumps(study)))
    points = grid({"crossbar": ["256x256", "2x2"]}, {"correction": ["bias", "none"]})
    first = [laboratory.measure(point) for point in points]
    assert [laboratory.measure(point) for point in reversed(points)] == first[::-1]


WRONG: dict[str, tuple[dict[str, Any], type[AnaccError], str]] = {
    "key": ({"settings": {"grid.row": [8]}}, UsageError, "no such key"),
    "option": ({"vary": {"speed": [1]}}, UsageError, "no option `speed`"),
    "option for all": ({"dump_ir": "x"}, UsageError, "no option `dump_ir`"),
    "metric": ({"metric": "best", "data": {"x": X}}, UsageError, "no metric `best`"),
    "metric alone": ({"metric": "top1"}, UsageError, "belong together"),
    "data alone": ({"data": {"x": X}}, UsageError, "belong together"),
    "data": ({"metric": "top1", "data": 3}, UsageError, "`data` is a mapping"),
    "jobs": ({"jobs": 0}, UsageError, "`jobs` is 0"),
    "calibration": ({"calibration": "x.npz"}, UsageError, "`calibration`"),
    "feed": ({"calibration": {"z": X}}, FeedError, "no input `z`"),
    "target": ({"target": "absent"}, UsageError, "`absent`"),
    "no model": ({"model": Path("absent.onnx")}, ModelError, "absent.onnx"),
    "model": ({"model": 3}, UsageError, "`model`"),
    "shapes": ({"shapes": 3}, UsageError, "`shapes`"),
}


@pytest.mark.parametrize(("options", "kind", "part"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_for_all_points_is_an_error(
    model: Path, options: dict[str, Any], kind: type[AnaccError], part: str
) -> None:
    with pytest.raises(kind, match=part):
        anacc.sweep(**{"model": model, **options})


def test_a_process_that_dies_costs_its_point_only(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[workers.Worker] = []

    class Fragile(workers.Worker):
        def ask(self, point: Point) -> Row:
            started.append(self)
            if point.settings["grid.rows"] == 4:
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait()
            return super().ask(point)

    monkeypatch.setattr(workers, "Worker", Fragile)
    study = Study(model, [{"x": X}], options={"target": "hermes"})
    rows = run(study, grid({"grid.rows": [2, 4, 8]}, None), jobs=1)
    assert [row["cores"] for row in rows] == [1, None, 1]
    assert "ended by signal 9" in rows[1]["error"]
    assert started[0] is started[1] is not started[2]


def test_an_interrupt_ends_all_processes(model: Path, tmp_path: Path) -> None:
    """The user's script needs no guard; nothing is left when it is interrupted."""
    script = (
        "import os, signal, sys, anacc\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def interrupt(done, total):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "anacc.sweep(sys.argv[1], {'grid.rows': range(1, 400)}, jobs=2, on_row=interrupt)\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, str(model)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert time.monotonic() - started < 60
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_process_ends_with_its_parent(model: Path) -> None:
    """At once, though it is at work on a point of which no end is in sight."""
    script = (
        "import os, signal, sys, threading, anacc\n"
        "from anacc.sweeps import workers\n"
        "def end():\n"
        "    while not made: pass\n"
        "    print(made[0]._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "made = []\n"
        "class Worker(workers.Worker):\n"
        "    def __init__(self, *arguments):\n"
        "        super().__init__(*arguments)\n"
        "        made.append(self)\n"
        "workers.Worker = Worker\n"
        "threading.Timer(0.1, end).start()\n"
        "anacc.sweep(sys.argv[1], {'grid.rows': range(1, 4000)}, jobs=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(model)], capture_output=True, text=True
    )
    give_up = time.monotonic() + 60
    while _runs(int(done.stdout)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not _runs(int(done.stdout))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    # One that nobody waits for any more is none.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
