"""Chips and rounds of a mapping report as text."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from anacc.reports.layout import one_line, plain, some_names, table

MAX_ROWS = 16


def chip_tables(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    """What each chip and each round holds; nothing where there is one chip and one round."""
    parts = []
    if len(report["chips"]) > 1:
        parts.append(_chips(report, width, all_rows))
    if len(report["rounds"]) > 1:
        parts.append(_rounds(report, width, all_rows))
    return "\n".join(parts)


def _chips(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    rows = [
        (
            entry.get("chip"),
            _number(entry.get("cores")),
            _number(entry.get("cells")),
            _number(entry.get("to_next")),
            _number(entry.get("to_previous")),
            some_names(entry.get("layers") or [], all_rows),
        )
        for entry in report["chips"]
    ]
    header = ("chip", "cores", "cells", "values to next", "to previous", "layers")
    return _table(header, rows, "rrrrrl", width, all_rows)


def _rounds(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    rows = [
        (
            entry.get("round"),
            _number(entry.get("cores")),
            _number(entry.get("cells")),
            f"{(entry.get('ns') or 0.0) / 1e6:.1f} ms",
            _number(entry.get("waiting")),
        )
        for entry in report["rounds"]
    ]
    header = ("round", "cores", "cells", "programming", "values that wait for a later round")
    text = _table(header, rows, "rrrrr", width, all_rows)
    programming = report["programming"]
    spent = (programming.get("ns_per_batch") or 0.0) / 1e6
    sentence = (
        f"programming takes {spent:,.1f} ms for each batch, however large: "
        f"{_number(programming.get('cells_per_batch'))} cells, a crossbar "
        f"{_number(programming.get('most_per_batch'))} times at most"
    )
    if programming.get("meaning"):
        sentence += f" ({one_line(programming['meaning'])})"
    return text + "".join(f"{line}\n" for line in wrap(sentence, width))


def _table(
    header: tuple[str, ...], rows: list[tuple[Any, ...]], right: str, width: int, all_rows: bool
) -> str:
    shown = rows if all_rows else rows[:MAX_ROWS]
    hidden = len(rows) - len(shown)
    more = f"... and {hidden} more: `--all` lists them\n" if hidden else ""
    return plain(table(header, shown, right), width) + more


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}"
