"""The estimates of speed and energy of a mapping report, as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from anacc.reports.layout import figure, one_line, plain, some_names

_WORK = {
    "core": "matrix-vector products",
    "ldpu": "local digital units",
    "gdpu": "global digital units",
    "bridge": "the bridge",
    "link": "links",
}


def estimates(performance: Mapping[str, Any], width: int) -> str:
    """How fast a program is, what bounds it, and which figures of the target say so; "" where the
    program does not state it.

    Args:
        performance: that of a report.
        width: characters in a line.
    """
    if not performance.get("mvms"):
        return ""
    rows = [
        ("slowest core", _slowest(performance)),
        ("latency", _latency(performance)),
        ("busiest units", _busiest(performance.get("busy") or {})),
        ("products", _products(performance)),
        ("estimated from", _figures(performance.get("figures") or [])),
    ]
    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in rows:
        if value:
            result.add_row(name, one_line(value))
    return plain(result, width)


def _slowest(performance: Mapping[str, Any]) -> str:
    found, bound = performance.get("slowest_ns"), performance.get("bound_ns")
    if found is None:
        return ""
    slowest = performance.get("slowest") or {}
    layers = some_names(slowest.get("layers") or [], False)
    text = f"{time(found)} for each sample in matrix-vector products ({layers})"
    if bound:
        gap = found / bound - 1
        text += f"; no copies or packing take less than {time(bound)} on all cores: "
        if gap <= 1e-9:
            text += "none are better"
        else:
            text += f"{gap:.1%} above" if gap < 1 else f"{gap + 1:.3g} times that"
    return text


def _latency(performance: Mapping[str, Any]) -> str:
    whole, products = performance.get("latency_ns"), performance.get("mvm_latency_ns")
    if whole is None:
        return ""
    text = f"{time(whole)} for one sample"
    keys = [str(each.get("key")) for each in performance.get("figures") or []]
    if any(key.startswith("programming.") for key in keys):
        text += " beside the programming of its batch"
    return text if products is None else f"{text}, {time(products)} if only products took time"


def _busiest(busy: Mapping[str, Any]) -> str:
    """The busiest unit of each kind, the slowest first."""
    entries = [(each.get("ns") or 0.0, kind, each) for kind, each in busy.items()]
    entries.sort(key=lambda entry: (-entry[0], entry[1]))
    return ", ".join(
        f"{_WORK.get(kind, kind)} {time(ns)} ({each.get('unit')})"
        for ns, kind, each in entries
        if ns
    )


def _products(performance: Mapping[str, Any]) -> str:
    text = f"{performance['mvms']:,} for each sample"
    energy = performance.get("mvm_energy_nj")
    return text if energy is None else f"{text}, {figure(energy)} nJ"


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures by where they are from."""
    found = []
    for source in ("published", "derived", "assumed"):
        keys = [str(each.get("key")) for each in figures if each.get("source") == source]
        if keys:
            found.append(f"{source}: {', '.join(keys)}")
    return "; ".join(found)


def time(ns: float) -> str:
    """A time in the unit that leaves few digits."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.4g} ns"
