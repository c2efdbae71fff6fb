"""The section of docs/performance.md, and its picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.cases import ROOT
from bench.markers import replace_between
from bench.scale.plot import Panel, picture
from bench.scale.records import MEBIBYTE, Compilation, Results, growth

PAGE = ROOT / "docs" / "performance.md"
PICTURE = PAGE.with_name("scale.svg")
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
FAMILIES = {
    "weights": "time against weights",
    "chain": "time against ops in a chain",
    "wide": "time against ops side by side",
}
"""Families of networks of any size, with the titles of their panels."""


def family(results: Results, name: str) -> list[Compilation]:
    """The compilations of the networks of a family, smaller ones first."""
    found = [c for title, c in results.compilations.items() if title.startswith(f"{name}-")]
    return sorted(found, key=lambda each: _size(each, name))


def _size(each: Compilation, name: str) -> int:
    return each.weights if name == "weights" else each.ops


def exponent(results: Results, name: str) -> float | None:
    """How the CPU time of a family grows; None: fewer than two sizes were measured."""
    points = family(results, name)
    if len(points) < 2:
        return None
    return growth([_size(p, name) for p in points], [p.cpu_seconds for p in points])


def markdown(results: Results) -> str:
    """The section between the two markers."""
    rows = [
        "| network | weights | ops | crossbars | s | CPU s | peak anonymous memory, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(name, each) for name, each in results.compilations.items()),
    ]
    return "\n".join(
        [f"{results.cpu}, {results.cpus} CPUs.", "", *rows, "", *_exponents(results), ""]
    )


def _row(name: str, each: Compilation) -> str:
    cells = (
        name,
        f"{each.weights:,}",
        f"{each.ops:,}",
        f"{each.tiles:,}",
        f"{each.seconds:.1f}",
        f"{each.cpu_seconds:.1f}",
        f"{each.peak_bytes / MEBIBYTE:,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _exponents(results: Results) -> Iterator[str]:
    for name, title in FAMILIES.items():
        found = exponent(results, name)
        if found is not None:
            yield f"- {title[0].upper()}{title[1:]}: growth exponent {found:.2f}."


def write(results: Results, page: Path = PAGE, svg: Path = PICTURE) -> None:
    """Replace what stands between the two markers of the page, and the picture.

    Raises:
        ValueError: the page does not have each marker once.
    """
    replace_between(page, BEGIN, END, markdown(results))
    panels = []
    for name, title in FAMILIES.items():
        points = family(results, name)
        if len(points) > 1:
            label = "weights" if name == "weights" else "ops"
            sizes = [_size(point, name) for point in points]
            panels.append(Panel(title, label, sizes, [p.cpu_seconds for p in points]))
    svg.write_text(picture(panels), encoding="utf-8")
