"""What the report says of single ONNX nodes and tensors, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anacc.reports.layout import core_ranges, plain, some_names, table

MAX_REASONS = 6

_NAMES = {"folded": "folded", "unused": "unused", "nothing": "does nothing"}


def host_table(report: Mapping[str, Any], width: int, all_rows: bool) -> str:
    """The nodes on the host, those with the same reason together, most nodes first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for part in report["host"]:
        nodes, reasons = part.get("nodes") or [], part.get("reasons") or []
        hints = part.get("hints") or [""] * len(reasons)
        for node, reason, hint in zip(nodes, reasons, hints, strict=False):
            groups.setdefault((reason, hint), []).append(node)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    shown = ordered if all_rows else ordered[:MAX_REASONS]
    rows = [(some_names(nodes, all_rows), reason, hint) for (reason, hint), nodes in shown if nodes]
    if not rows:
        return ""
    text = plain(table(("on the host", "because", "what helps"), rows), width)
    hidden = len(ordered) - len(shown)
    return text + (f"... and {hidden} more reasons: `--all` lists them\n" if hidden else "")


def node_tables(report: Mapping[str, Any], width: int) -> str:
    """Where each node went, and the tensors at the borders."""
    rows = [
        (node.get("name") or "", node.get("operator") or "", _place(node))
        for node in report["nodes"]
    ]
    borders = [
        (
            tensor.get("tensor") or "",
            _border(tensor),
            tensor.get("format") or "",
            "" if tensor.get("bytes") is None else f"{tensor['bytes']:,}",
            "yes" if tensor.get("crosses") else "",
        )
        for tensor in report["borders"]["tensors"]
    ]
    header = ("tensor", "at", "format", "bytes a sample", "crosses")
    parts = [
        plain(table(("ONNX node", "operator", "where it runs"), rows), width) if rows else "",
        plain(table(header, borders, "lllrl"), width) if borders else "",
    ]
    return "\n".join(part for part in parts if part)


def _place(node: Mapping[str, Any]) -> str:
    """Unit and numbers, or the reason why there are none."""
    where, units = node.get("where") or "", node.get("units") or []
    if where == "host":
        return f"host segment {node.get('segment')}: {node.get('reason')}"
    if where in _NAMES:
        return _NAMES[where]
    kinds = _by_kind(units)
    if where == "crossbar":
        tiles = node.get("tiles") or 0
        first = f"{tiles} {'tile' if tiles == 1 else 'tiles'} on {kinds.pop('core', 'no core')}"
        return "; ".join([first, *kinds.values()])
    if where == "ldpu":
        return f"LDPU of {kinds.get('core', '')}"
    return kinds.get(where) or "; ".join(kinds.values())


def _by_kind(units: Sequence[str]) -> dict[str, str]:
    """`core 0-3, 7` for the units of a kind, in order of the kinds."""
    found: dict[str, list[str]] = {}
    for unit in units:
        kind, _, number = str(unit).partition(" ")
        found.setdefault(kind, []).append(number)
    names = {"core": ("core", "cores"), "gdpu": ("GDPU", "GDPUs")}
    return {
        kind: f"{names.get(kind, (kind, kind))[len(numbers) > 1]} {core_ranges(numbers)}"
        for kind, numbers in sorted(found.items())
    }


def _border(tensor: Mapping[str, Any]) -> str:
    at, segment = tensor.get("at") or "", tensor.get("segment")
    if segment is None:
        return at
    return at.replace("segment", f"segment {segment}", 1)
