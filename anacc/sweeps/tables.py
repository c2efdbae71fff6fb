"""The rows of a sweep as a table for people, and as the text of a CSV or JSON file."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from anacc.reports.layout import figure
from anacc.sweeps.study import FIGURES, Row
from anacc.targets.forms import as_text

SCHEMA = 1

ABSENT = "-"
"""What a table shows for a figure that a program does not state."""


def as_table(rows: Sequence[Row], metric: str | None) -> tuple[list[str], list[list[str]], str]:
    """Return the header, the cells and their alignment, `l` or `r`, of a table.

    Columns: the axes; cores, share of the cells that are used, slowest stage, latency, energy of
    the MVMs; the metric of each output; the reason, if a point does not compile.
    """
    outputs = _outputs(rows)
    axes = _axes(rows)
    header = [name for _, name in axes]
    header += ["cores", "cells used", "slowest ns", "latency ns", "MVM nJ"]
    header += [_title(metric, output, outputs) for output in outputs]
    with_reason = any(row["error"] for row in rows)
    header += ["why not"] if with_reason else []
    cells = []
    for row in rows:
        line = [as_text(row[part][name]) for part, name in axes]
        line += [_cores(row), _shown(row["cells_share"], ".1%")]
        line += [
            ABSENT if row[key] is None else figure(row[key])
            for key in ("slowest_ns", "latency_ns", "mvm_energy_nj")
        ]
        form = ".2%" if metric == "top1" else ".4g"
        line += [_shown((row["accuracy"] or {}).get(output), form) for output in outputs]
        cells.append(line + ([row["error"] or ""] if with_reason else []))
    return header, cells, "r" * (len(header) - 1) + ("l" if with_reason else "r")


def as_csv(rows: Sequence[Row], metric: str | None) -> str:
    """Return rows as CSV: a column for each axis and figure, empty where there is none."""
    outputs, axes = _outputs(rows), _axes(rows)
    figures = [key for key in FIGURES if key != "accuracy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = [_title(metric, output, outputs) for output in outputs]
    writer.writerow([*(name for _, name in axes), *figures, *titles, "error"])
    for row in rows:
        writer.writerow(
            [
                *(as_text(row[part][name]) for part, name in axes),
                *("" if row[key] is None else row[key] for key in figures),
                *((row["accuracy"] or {}).get(output, "") for output in outputs),
                row["error"] or "",
            ]
        )
    return text.getvalue()


def as_json(rows: Sequence[Row], model: str, metric: str | None) -> str:
    """Return rows as JSON; a metric that is infinite or not a number is a string, as elsewhere."""
    found = [{**row, "accuracy": _finite(row["accuracy"])} for row in rows]
    data = {"schema": SCHEMA, "model": model, "metric": metric, "rows": found}
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _axes(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Part of a row and name of each axis; all rows have the same."""
    return [(part, name) for part in ("settings", "options") for name in rows[0][part]]


def _outputs(rows: Sequence[Row]) -> list[str]:
    """The outputs of which a row has a metric."""
    return list(dict.fromkeys(output for row in rows for output in row["accuracy"] or {}))


def _title(metric: str | None, output: str, outputs: Sequence[str]) -> str:
    return str(metric) if len(outputs) == 1 else f"{metric} of {output}"


def _cores(row: Row) -> str:
    if row["cores"] is None:
        return ABSENT
    chips = f" on {row['chips']} chips" if row["chips"] > 1 else ""
    return f"{row['cores']} of {row['cores_available']}{chips}"


def _shown(value: Any, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def _finite(accuracy: dict[str, float] | None) -> dict[str, float | str] | None:
    if accuracy is None:
        return None
    return {name: value if math.isfinite(value) else str(value) for name, value in accuracy.items()}
