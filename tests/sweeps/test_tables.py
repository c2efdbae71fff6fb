"""Rows of a sweep as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math

from anacc.sweeps.axes import Point
from anacc.sweeps.study import Row, empty_row
from anacc.sweeps.tables import as_csv, as_json, as_table

POINTS = [Point({"crossbar": size, "gdpu.count": 4}, {"seed": 1}) for size in ("8x8", "64x64")]


def rows(**figures: object) -> list[Row]:
    """A point that does not compile, and one that does."""
    found = {"cores": 3, "cores_available": 64, "chips": 1, "cells_share": 0.25, **figures}
    return [empty_row(POINTS[0], "no, it\ndoes not"), {**empty_row(POINTS[1], None), **found}]


def test_figures_that_are_absent_are_dashes() -> None:
    header, cells, align = as_table(rows(), None)
    assert header == [
        "crossbar", "gdpu.count", "seed", "cores", "cells used", "slowest ns", "latency ns",
        "MVM nJ", "why not",
    ]  # fmt: skip
    assert cells == [
        ["8x8", "4", "1", "-", "-", "-", "-", "-", "no, it\ndoes not"],
        ["64x64", "4", "1", "3 of 64", "25.0%", "-", "-", "-", ""],
    ]
    assert align == "rrrrrrrrl"


def test_estimates_and_accuracy_have_columns() -> None:
    made = rows(
        slowest_ns=1200.0, latency_ns=4e6, mvm_energy_nj=0.5, chips=2, accuracy={"a": 0.5, "b": 1.0}
    )
    header, cells, _ = as_table(made, "top1")
    assert header[3:] == [
        "cores", "cells used", "slowest ns", "latency ns", "MVM nJ", "top1 of a", "top1 of b",
        "why not",
    ]  # fmt: skip
    assert cells[1][3:] == [
        "3 of 64 on 2 chips", "25.0%", "1,200", "4,000,000", "0.5", "50.00%", "100.00%", "",
    ]  # fmt: skip
    assert cells[0][3:-1] == ["-"] * 7
    only = as_table(rows(accuracy={"a": 31.25})[1:], "snr")
    assert (only[0][-1], only[1][0][-1]) == ("snr", "31.25")


def test_csv_reads_back() -> None:
    made = rows(latency_ns=10.0, accuracy={"y": 0.5})
    found = list(csv.DictReader(io.StringIO(as_csv(made, "top1"))))
    assert [row["crossbar"] for row in found] == ["8x8", "64x64"]
    assert [row["cores"] for row in found] == ["", "3"]
    assert [row["top1"] for row in found] == ["", "0.5"]
    assert [row["latency_ns"] for row in found] == ["", "10.0"]
    assert [row["error"] for row in found] == ["no, it\ndoes not", ""]


def test_json_reads_back() -> None:
    made = rows(accuracy={"y": math.inf})
    data = json.loads(as_json(made, "net.onnx", "snr"))
    assert (data["schema"], data["model"], data["metric"]) == (1, "net.onnx", "snr")
    assert data["rows"] == [made[0], {**made[1], "accuracy": {"y": "inf"}}]
