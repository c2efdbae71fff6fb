"""The mapping report as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

MAX_LAYERS = 24
MAX_TENSORS = 8
MAX_NAMES = 3
MAX_DIGITS = 9
"""Of the number of a core; text with more is shown as it is."""


def printable(text: str) -> str:
    """Return a text with `?` for what could steer a terminal; names in files are not trusted."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _line(value: object) -> str:
    """A value on one line, without what could steer a terminal or forge another line."""
    return printable(str(value)).replace("\n", " ")


def table(header: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> Table:
    """Return a plain table.

    Args:
        header: titles of the columns.
        rows: cells, shown by `str`.
        right: one character for each column, `r` to align it to the right; others are left.
    """
    result = Table(box=None, pad_edge=False, header_style="none")
    for position, title in enumerate(header):
        side = "right" if right[position : position + 1] == "r" else "left"
        result.add_column(title, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        result.add_row(*map(_line, row))
    return result


def plain(renderable: RenderableType, width: int = 100) -> str:
    """Return a table as text without colour and without spaces at the ends of lines."""
    stream = StringIO()
    console = Console(
        file=stream, width=width, color_system=None, markup=False, emoji=False, highlight=False
    )
    console.print(renderable)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def render(report: Mapping[str, Any], width: int = 100, all_rows: bool = False) -> str:
    """Return a mapping report as text.

    Args:
        report: what `anacc.reports.mapping.report` returned.
        width: characters in a line.
        all_rows: list every layer and every ONNX node, however many there are.
    """
    parts = [
        plain(_summary(report), width),
        _layers(report, width, all_rows),
        _host(report, width, all_rows),
        _quantisation(report, width, all_rows),
        _bounds(report, width),
        _warnings(report),
    ]
    return "\n".join(part for part in parts if part)


def _summary(report: Mapping[str, Any]) -> Table:
    model, cores, cells = report["model"], report["cores"], report["cells"]
    program, macs = report["program"], report["macs"]
    used = f"{cores['used']} of {cores['available']}" if cores["available"] else cores["used"]
    chips = f" on {cores['chips']} chips" if cores["chips"] > 1 else ""
    share = "" if cells["share"] is None else f" ({cells['share']:.1%} of the cores in use)"
    files = ", ".join(report["target_files"])
    changed = f", changed by {files}" if files else ""
    rows = [
        ("model", model["name"]),
        ("inputs", ", ".join(map(_port, model["inputs"]))),
        ("outputs", ", ".join(map(_port, model["outputs"]))),
        (
            "target",
            f"{report['target'] or 'unknown'}{changed}, "
            f"{report['read_mode'] or 'unknown'} read mode",
        ),
        ("cores", f"{used}{chips}"),
        ("cells", f"{cells['used']:,}{share}"),
        (
            "program",
            f"{program['streams']} streams, {program['instructions']:,} instructions, "
            f"{program['channels']} channels, host segments: {program['segments']}",
        ),
    ]
    if macs["crossbar"] is not None:
        host = "" if macs["host"] is None else f", {macs['host']:,} on the host"
        part = "" if macs["host_share"] is None else f" ({macs['host_share']:.1%})"
        rows.append(("work", f"{macs['crossbar']:,} multiply-adds on crossbars{host}{part}"))
    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in rows:
        result.add_row(name, _line(value))
    return result


def _port(port: Mapping[str, Any]) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in port["shape"])
    return f"{port['name']} {port['dtype']} [{shape}]"


def _layers(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    layers = report["layers"]
    if not layers:
        return ""
    shown = layers if all_rows else _main_layers(layers)[:MAX_LAYERS]
    rows = [
        (
            layer.get("name", ""),
            layer.get("kind", ""),
            _names(layer.get("nodes") or [], all_rows),
            _matrix(layer),
            layer.get("tiles") or "",
            _cores(layer.get("cores") or []),
            layer.get("unit") or "",
            layer.get("positions", ""),
        )
        for layer in shown
    ]
    header = ("layer", "kind", "ONNX nodes", "matrix", "tiles", "cores", "unit", "positions")
    text = plain(table(header, rows, "lllrrllr"), width)
    hidden = len(layers) - len(shown)
    return text + (f"... and {hidden} more: `--all` lists them\n" if hidden else "")


def _main_layers(layers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The layers without those that only move data for a layer that is listed: those of the bridge
    all of whose nodes lie on crossbars."""
    nodes = {
        node
        for layer in layers
        if any(layer.get("matrix") or [])
        for node in layer.get("nodes") or []
    }
    return [
        layer
        for layer in layers
        if layer.get("unit") != "bridge" or not nodes.issuperset(layer.get("nodes") or [""])
    ]


def _matrix(layer: Mapping[str, Any]) -> str:
    matrix = layer.get("matrix") or []
    if not any(matrix):
        return ""
    groups = layer.get("groups") or 1
    size = " x ".join(map(str, matrix))
    return size if groups == 1 else f"{groups} groups of {size}"


def _cores(cores: Sequence[Any]) -> str:
    """Cores as numbers, runs of them shortened: `0-3, 7`; with the chip unless it is chip 0."""
    runs: list[tuple[str, int, int]] = []
    for chip, number in sorted(map(_core, cores)):
        if runs and runs[-1][0] == chip and runs[-1][2] + 1 == number:
            runs[-1] = (chip, runs[-1][1], number)
        else:
            runs.append((chip, number, number))
    return ", ".join(
        f"{chip}{first}" if first == last else f"{chip}{first}-{chip}{last}"
        for chip, first, last in runs
    )


def _core(core: Any) -> tuple[str, int]:
    """A prefix that names the chip, and the core's number, of `core 0.12` or 12."""
    chip, _, number = str(core).removeprefix("core ").rpartition(".")
    if not number.isdecimal() or len(number) > MAX_DIGITS:
        return f"{core} ", 0
    return "" if chip in ("", "0") else f"{chip}.", int(number)


def _names(names: Sequence[str], all_rows: bool) -> str:
    if all_rows or len(names) <= MAX_NAMES:
        return ", ".join(names)
    return ", ".join(names[:MAX_NAMES]) + f", and {len(names) - MAX_NAMES} more"


def _host(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    rows = [
        (_names(part.get("nodes") or [], all_rows), "; ".join(_once(part.get("reasons") or [])))
        for part in report["host"]
    ]
    return plain(table(("on the host", "because"), rows), width) if rows else ""


def _quantisation(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    entries = sorted(report["quantisation"], key=lambda entry: -(entry.get("bits_lost") or 0.0))
    shown = entries if all_rows else entries[:MAX_TENSORS]
    rows = [
        (
            entry.get("tensor", ""),
            entry.get("kind", ""),
            f"{entry.get('bits_lost') or 0.0:.2f}",
            _number(entry.get("codes_saturated")),
        )
        for entry in shown
    ]
    header = ("quantised tensor", "kind", "bits lost", "codes saturated")
    text = plain(table(header, rows, "llrr"), width) if rows else ""
    hidden = len(entries) - len(shown)
    return text + (f"... and {hidden} more: `--all` lists them\n" if hidden else "")


def _bounds(report: Mapping[str, Any], width: int) -> str:
    rows = [
        (name, _number(entry.get("value")), _number(entry.get("bound")), entry.get("meaning", ""))
        for name, entry in report["bounds"].items()
    ]
    header = ("decision", "cost", "lower bound", "what is counted")
    return plain(table(header, rows, "lrrl"), width) if rows else ""


def _once(reasons: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(reasons))


def _number(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _warnings(report: Mapping[str, Any]) -> str:
    return "".join(f"warning: {_line(warning)}\n" for warning in report["warnings"])
