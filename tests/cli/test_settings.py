"""`--set` and `anacc sweep` on the command line."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anacc.cli.compile import compile_command
from anacc.cli.sweep import SHARED, sweep_command
from tests.cli.conftest import Call

FAILED, MISUSED = 1, 2


def test_compile_says_what_was_set(call: Call, files: Path) -> None:
    result = call(
        "compile", files / "model.onnx", "-o", files / "new.bin", "--calibration",
        files / "feed.npz", "--set", "grid=2x4", "--set", "adc.full_scale_cells=12+24",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("warning: ") == result.stderr.count("`chip.die_area`") == 1
    assert "1 of 8 cores" in result.stderr
    shown = call("inspect", files / "new.bin")
    text = " ".join(shown.stdout.split())
    assert "changed by adc.full_scale_cells=12+24, grid.columns=4, grid.rows=2," in text
    data = json.loads(call("inspect", files / "new.bin", "--json").stdout)
    assert data["target_settings"] == {
        "grid.rows": 2, "grid.columns": 4, "adc.full_scale_cells": [12.0, 24.0],
    }  # fmt: skip


def test_targets_show_takes_settings(call: Call) -> None:
    result = call("targets", "show", "hermes", "--set", "crossbar=64x64", "--json")
    assert result.stderr.startswith("warning: `chip.die_area`, `adc.full_scale_cells` and `area")
    rows = {row["key"]: row for row in json.loads(result.stdout)["values"]}
    assert rows["crossbar.rows"]["source"] == "assumed"
    assert rows["gdpu.hidden_units"]["value"] == 16


def test_targets_keys_lists_what_may_be_set(call: Call) -> None:
    text = call("targets", "keys").stdout
    assert text.splitlines()[0].split() == ["key", "value", "unit", "allowed", "followed", "by"]
    assert "integer from 1 to 65536" in text and "bridge.count" in text
    keys = json.loads(call("targets", "keys", "hermes-ext", "--json").stdout)["keys"]
    rows = {row["key"]: row for row in keys}
    assert rows["gdpu.function_table.segments"]["value"] == 1024
    assert rows["grid.columns"]["followed_by"] == ["gdpu.count", "bridge.count"]
    plain = {
        row["key"]: row for row in json.loads(call("targets", "keys", "--json").stdout)["keys"]
    }
    assert plain["gdpu.function_table.segments"]["value"] is None


COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "compile": lambda f: ["compile", f / "model.onnx", "-o", f / "new.bin"],
    "show": lambda f: ["targets", "show", "hermes"],
    "sweep": lambda f: ["sweep", f / "model.onnx"],
}

# What follows `--set`, and a part of the message.
BAD: list[tuple[str, str]] = [
    ("", "not of the form `KEY=VALUE`"),
    ("grid", "not of the form `KEY=VALUE`"),
    ("=8", "not of the form `KEY=VALUE`"),
    ("grid.row=8", "a target has no such key\n\nhint: did you mean `grid.rows`?"),
    ("grid.rows=", "is empty\n\nhint: `grid.rows` takes: integer from 1 to 65536, in rows"),
    ("grid.rows=8.5", "whole number"),
    ("grid.rows=eight", "whole number"),
    ("grid.rows=\u0668", "whole number"),
    ("grid.rows=" + "9" * 9999, "whole number"),
    ("grid=8", "`grid=8` is not a size ROWSxCOLUMNS\n\nhint: write for example `grid=16x16`"),
    ("grid=8x8x8", "not a size"),
    ("crossbar=\u0661\u0660x10", "not a size"),
    ("links.values_per_ns=1.2.3", "decimal number"),
    ("adc.full_scale_cells=12++24", "has an empty entry"),
    ("a\x1b[31m=8", "setting `a\\x1b[31m`"),
]
# Values that no chip has: a sweep states them as the reason of a point.
IMPOSSIBLE: list[tuple[str, str]] = [
    ("grid=0x8", "`grid.rows` must be greater than 0"),
    ("grid.rows=0", "greater than 0"),
    ("grid.rows=-1", "greater than 0, not `-1`"),
    ("grid.rows=99999999999999999999", "less than or equal to 65536"),
    ("links.values_per_ns=nan", "finite number"),
    ("links.values_per_ns=inf", "finite number"),
    ("crossbar=60000x60000", "more than the 33554432"),
    ("gdpu.count=9", "each GDPU is wired to a core column"),
    ("read_modes.default=5-phase", "'4-phase' or '1-phase'"),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("setting", "part"), BAD, ids=lambda value: value[:20])
def test_bad_settings_end_in_one_sentence(
    call: Call, files: Path, command: str, setting: str, part: str
) -> None:
    before = sorted(files.iterdir())
    result = call(*COMMANDS[command](files), "--set", setting)
    assert (result.exit_code, result.stdout) == (MISUSED, ""), result.stderr
    assert result.stderr.startswith("error: ") and part in result.stderr
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize("command", ["compile", "show"])
@pytest.mark.parametrize(("setting", "part"), IMPOSSIBLE)
def test_impossible_settings_end_in_one_sentence(
    call: Call, files: Path, command: str, setting: str, part: str
) -> None:
    result = call(*COMMANDS[command](files), "--set", setting)
    assert (result.exit_code, result.stdout) == (MISUSED, ""), result.stderr
    assert part in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_key_is_set_once(call: Call, files: Path, command: str) -> None:
    for pair in (["grid.rows=8", "grid.rows=4"], ["grid=8x8", "grid.columns=4"]):
        options = [part for setting in pair for part in ("--set", setting)]
        result = call(*COMMANDS[command](files), *options)
        assert result.exit_code == MISUSED and "twice" in result.stderr


def sweep(files: Path, *options: object) -> list[object]:
    return ["sweep", files / "model.onnx", "--calibration", files / "feed.npz", *options]


def test_sweep_prints_and_writes_a_row_for_each_point(call: Call, files: Path) -> None:
    """Impossible values are the reasons of their points; the sweep goes on."""
    values = ",".join(setting.partition("=")[2] for setting, _ in IMPOSSIBLE[1:4])
    result = call(
        *sweep(files, "--set", f"grid.rows=8,{values}", "--set", "crossbar=4x2,256x256"),
        "--vary", "read-mode=1-phase", "--data", files / "set.npz", "--metric", "top1",
        "--csv", files / "out.csv", "--json", files / "out.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    header = "grid.rows crossbar read_mode cores cells used slowest ns latency ns MVM nJ top1 why"
    assert " ".join(lines[0].split()).startswith(header)
    assert lines[1].split()[:10] == [
        "8", "4x2", "1-phase", "2", "of", "64", "75.0%", *lines[1].split()[7:10],
    ]  # fmt: skip
    with (files / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = json.loads((files / "out.json").read_text())["rows"]
    assert len(table) == len(rows) == 8
    assert [row["error"] is None for row in rows] == [True] * 2 + [False] * 6
    assert [row["top1"] for row in table[:2]] == ["0.8", "0.8"]
    for entry, row in zip(table, rows, strict=True):
        assert entry["crossbar"] == row["settings"]["crossbar"]
        assert entry["error"] == (row["error"] or "")
    assert "greater than 0, not `-1`" in rows[4]["error"]
    assert result.stderr.count("wrote `") == 2


def test_sweep_of_nothing_that_compiles_fails(call: Call, files: Path) -> None:
    one = call(*sweep(files, "--set", "gdpu.count=9"))
    assert one.exit_code == FAILED and "each GDPU is wired" in one.stderr
    two = call(*sweep(files, "--set", "grid=0x8,1x0", "--json", files / "out.json"))
    assert two.exit_code == FAILED
    assert "error: no point of the sweep compiles" in two.stderr
    assert len(two.stdout.splitlines()) >= 3
    assert len(json.loads((files / "out.json").read_text())["rows"]) == 2


@pytest.mark.parametrize(
    ("options", "status", "part"),
    [
        (["--set", "grid.rows=8,8"], MISUSED, "the value `8` twice"),
        (["--set", "grid.rows=8,,4"], MISUSED, "is empty"),
        (["--set", "grid.rows=" + ",".join(map(str, range(1, 102))), "--set",
          "grid.columns=" + ",".join(map(str, range(1, 102)))], MISUSED, "10201 points"),
        (["--vary", "speed=1,2"], MISUSED, "`--vary speed=1,2`"),
        (["--vary", "read-mode"], MISUSED, "`--vary read-mode`"),
        (["--vary", "strict=1"], MISUSED, "an option that can vary"),
        (["--vary", "packing=loose"], MISUSED, "loose"),
        (["--vary", "seed=1,x"], MISUSED, "`--vary seed=1,x`"),
        (["--vary", "seed=-1"], MISUSED, "`--vary seed=-1`"),
        (["--vary", "seed=1", "--vary", "seed=2"], MISUSED, "`seed` twice"),
        (["--vary", "row-copies=auto,never", "--row-copies", "never"], MISUSED, "contradict"),
        (["--vary", "read-mode=,"], MISUSED, "twice"),
        (["--metric", "top1"], MISUSED, "belong together"),
        (["--data", "set.npz"], MISUSED, "belong together"),
        (["--metric", "top5", "--data", "set.npz"], MISUSED, "top5"),
        (["--jobs", "0"], MISUSED, "--jobs"),
        (["--csv", "absent/x.csv"], MISUSED, "does not exist"),
        (["--csv", "model.onnx"], MISUSED, "overwrite"),
        (["--csv", "x", "--json", "x"], MISUSED, "the same file"),
        (["--shape", "T"], MISUSED, "`--shape T`"),
        (["--target", "absent"], MISUSED, "`absent`"),
        (["--calibration", "absent.npz"], FAILED, "absent.npz"),
        (["--metric", "top1", "--data", "absent.npz"], FAILED, "absent.npz"),
    ],
)  # fmt: skip
def test_sweep_refuses(
    call: Call, files: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], status: int,
    part: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    result = call("sweep", "model.onnx", *options)
    assert result.exit_code == status, result.stderr
    assert "error: " in result.stderr and part in result.stderr
    assert sorted(files.iterdir()) == before


def test_an_absent_model_ends_the_sweep_at_once(call: Call, files: Path) -> None:
    result = call("sweep", files / "absent.onnx", "--set", "grid=2x2,4x4")
    assert (result.exit_code, result.stdout) == (FAILED, "")
    assert "absent.onnx" in result.stderr


def test_options_are_declared_once() -> None:
    assert {"target", "calibration", "read_mode", "packing", "seed"} <= {o.name for o in SHARED}
    assert all(option in compile_command.params for option in SHARED)
    names = [name for each in sweep_command.params for name in each.opts]
    assert len(names) == len(set(names))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists processes")
def test_an_interrupted_sweep_leaves_nothing(files: Path) -> None:
    values = ",".join(str(1 + k) for k in range(400))
    command = [
        sys.executable, "-m", "anacc", *map(str, sweep(files, "--set", f"grid.rows={values}")),
        "--csv", str(files / "out.csv"),
    ]  # fmt: skip
    before = sorted(files.iterdir())
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background has interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    children: list[str] = []
    give_up = time.monotonic() + 60
    while not children and time.monotonic() < give_up:
        time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children += [
            child
            for task in Path(f"/proc/{process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert sorted(files.iterdir()) == before
    assert not [child for child in children if os.path.exists(f"/proc/{child}")]
