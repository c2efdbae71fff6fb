"""The mapping report as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from anacc.reports.chip_text import chip_tables
from anacc.reports.estimates import estimates
from anacc.reports.layout import (
    core_ranges,
    figure,
    one_line,
    plain,
    printable,
    short,
    some_names,
    table,
)
from anacc.reports.node_text import host_table, node_tables
from anacc.targets.forms import as_text

__all__ = ["MAX_LAYERS", "plain", "printable", "render", "table"]

MAX_LAYERS = 24
MAX_TENSORS = 8


def render(
    report: Mapping[str, Any], width: int = 100, all_rows: bool = False, nodes: bool = False
) -> str:
    """Return a mapping report as text.

    Args:
        report: what `anacc.reports.mapping.report` returned.
        width: characters in a line.
        all_rows: list every layer and every ONNX node, however many there are.
        nodes: list where each ONNX node went, and each tensor that crosses a border.
    """
    parts = [
        plain(_summary(report), width),
        chip_tables(report, width, all_rows),
        _layers(report, width, all_rows),
        host_table(report, width, all_rows),
        node_tables(report, width) if nodes else "",
        _quantisation(report, width, all_rows),
        _bounds(report, width),
        estimates(report["performance"], width),
        _warnings(report),
    ]
    return "\n".join(part for part in parts if part)


def _summary(report: Mapping[str, Any]) -> Table:
    model, cores, cells = report["model"], report["cores"], report["cells"]
    program, macs = report["program"], report["macs"]
    used = f"{cores['used']} of {cores['available']}" if cores["available"] else cores["used"]
    chips = f" on {cores['chips']} chips" if cores["chips"] > 1 else ""
    if cores["rounds"] > 1:
        chips += f", programmed for {cores['rounds']} rounds"
    share = "" if cells["share"] is None else f" ({cells['share']:.1%} of the cores in use)"
    settings = [f"{key}={as_text(value)}" for key, value in report["target_settings"].items()]
    changes = ", ".join([*report["target_files"], *settings])
    changed = f", changed by {changes}" if changes else ""
    rows = [
        ("model", model["name"]),
        ("inputs", ", ".join(map(_port, model["inputs"]))),
        ("outputs", ", ".join(map(_port, model["outputs"]))),
        (
            "target",
            f"{report['target'] or 'unknown'}{changed}, "
            f"{report['read_mode'] or 'unknown'} read mode",
        ),
        *_options(report["options"]),
        ("cores", f"{used}{chips}"),
        ("cells", f"{cells['used']:,}{share}"),
        (
            "program",
            f"{program['streams']} streams, {program['instructions']:,} instructions, "
            f"{program['channels']} channels, host segments: {program['segments']}",
        ),
    ]
    if macs["crossbar"] is not None:
        rows.append(("work", _work(macs)))
    if report["borders"]["bytes"] is not None:
        rows.append(("border", f"{report['borders']['bytes']:,} bytes cross it for each sample"))
    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in rows:
        result.add_row(name, one_line(value))
    return result


def _options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the mapper was told, if the program states it; not what leaves all as it is."""
    parts = [f"{name} {options[name]}" for name in ("packing", "effort") if name in options]
    if options.get("optimize") is not None:
        parts.append(f"optimize {options['optimize']}")
    if options.get("chips", 1) != 1:
        parts.append(f"chips {options['chips']}")
    parts += [name for name in ("reload",) if options.get(name)]
    parts += ["a mapping file"] if "mapping" in options else []
    return [("options", ", ".join(parts))] if parts else []


def _work(macs: Mapping[str, Any]) -> str:
    """Multiply-adds: where those with constant weights are, and the others."""
    text = f"{macs['crossbar']:,} multiply-adds on crossbars"
    if macs["crossbar_share"] is None:
        if macs["host"] is None:
            return text
        part = "" if macs["host_share"] is None else f" ({macs['host_share']:.1%})"
        return f"{text}, {macs['host']:,} on the host{part}"
    text += f", {macs['crossbar_share']:.1%} of those with constant weights"
    if macs["host_activations"]:
        text += f"; {macs['host_activations']:,} of two activations on the host"
    return text


def _port(port: Mapping[str, Any]) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in port["shape"])
    return f"{port['name']} {port['dtype']} [{shape}]"


def _layers(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    layers = report["layers"]
    if not layers:
        return ""
    shown = layers if all_rows else _main_layers(layers)[:MAX_LAYERS]
    copied = any((layer.get("replicas") or 1) > 1 for layer in layers)
    rows = [
        (
            layer.get("name", "") if all_rows else short(str(layer.get("name", ""))),
            layer.get("kind", ""),
            some_names(layer.get("nodes") or [], all_rows),
            _matrix(layer),
            layer.get("tiles") or "",
            core_ranges(layer.get("cores") or [], all_rows, report["cores"]["chips"] > 1),
            layer.get("unit") or "",
            layer.get("positions", ""),
            *([layer.get("replicas") or ""] if copied else []),
        )
        for layer in shown
    ]
    header = ["layer", "kind", "ONNX nodes", "matrix", "tiles", "cores", "unit", "positions"]
    header += ["copies"] if copied else []
    text = plain(table(header, rows, "lllrrllrr"[: len(header)]), width)
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


def _quantisation(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    entries = sorted(report["quantisation"], key=lambda entry: -(entry.get("bits_lost") or 0.0))
    shown = entries if all_rows else entries[:MAX_TENSORS]
    rows = [
        (
            entry.get("tensor", "") if all_rows else short(str(entry.get("tensor", ""))),
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


def _number(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return figure(value)
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _warnings(report: Mapping[str, Any]) -> str:
    return "".join(f"warning: {one_line(warning)}\n" for warning in report["warnings"])
