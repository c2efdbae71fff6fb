"""The tables: on the terminal, and in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from bench.cases import CASES, ENGINES, LIMIT, ROOT
from bench.markers import replace_between
from bench.results import CaseResult, Limits, Ratio, Results, Spread

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True)
class Table:
    """A table; all columns but the first are aligned to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(results: Results) -> Iterator[Table]:
    """The tables, in the order of the page."""
    if results.ratios:
        yield _goals_table(results.ratios)
    for name, result in results.cases.items():
        yield _case_table(name, result)
    if results.limits is not None:
        yield from _limits_tables(results.limits)


def _goals_table(ratios: list[Ratio]) -> Table:
    rows = []
    for one in ratios:
        goal = f"<= {one.at_most:g}" if one.at_most is not None else f">= {one.at_least:g}"
        value = _spread(one.value) if one.value else "not measured"
        rows.append((one.text, value, goal, {True: "yes", False: "no", None: ""}[one.holds]))
    return Table("Goals", ("figure", "measured", "goal", "reached"), tuple(rows))


def _case_table(name: str, result: CaseResult) -> Table:
    case = CASES[name]
    rows = []
    for engine in case.engines:
        if engine == LIMIT:
            continue
        title = ENGINES[engine].title
        measured = result.engines.get(engine)
        if measured is None:
            rows.append((title, result.unavailable.get(engine, ""), "", "", ""))
            continue
        rows.append(
            (
                title,
                _spread(measured.seconds, 1e3),
                _number(case.batch / measured.seconds.median),
                _spread(measured.relative),
                _spread(measured.limit, 100) if measured.limit else "",
            )
        )
    threads = "1 thread" if case.threads == 1 else f"{case.threads} threads"
    reference = ENGINES[case.reference].title
    columns = ("", "ms", "samples/s", f"times {reference}", "% of the limit")
    return Table(f"{case.title}, {threads}", columns, tuple(rows))


def _limits_tables(limits: Limits) -> Iterator[Table]:
    cycles = limits.clock.median
    products = tuple(
        (f"`{name}`", _spread(rate, 1e-9), f"{rate.median / cycles:.1f}")
        for name, rate in limits.products.items()
    )
    title = f"Multiply-adds of one thread at {cycles / 1e9:.2f} GHz"
    yield Table(title, ("instructions", "10^9 a second", "a cycle"), products)
    reads = tuple(
        (name, _spread(rate, 1e-9), f"{rate.median / cycles:.1f}")
        for name, rate in limits.reads.items()
    )
    yield Table("Reading", ("from", "GB/s", "bytes a cycle"), reads)


def _spread(value: Spread, factor: float = 1.0) -> str:
    """Median and quartiles: `1.23 (1.20-1.31)`."""
    median, lower, upper = (
        _number(factor * one) for one in (value.median, value.lower, value.upper)
    )
    return f"{median} ({lower}-{upper})"


def _number(value: float) -> str:
    """Three digits, or all those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# The terminal ------------------------------------------------------------------------------------


def show(results: Results, console: Console) -> None:
    """Print all tables."""
    console.print(f"\n{_origin(results)}")
    for table in tables(results):
        rich = RichTable(title=table.title, title_justify="left")
        for index, column in enumerate(table.columns):
            rich.add_column(column, justify="right" if index else "left")
        for row in table.rows:
            rich.add_row(*row)
        console.print()
        console.print(rich)


# The page ----------------------------------------------------------------------------------------


def update_page(results: Results, page: Path = PAGE) -> None:
    """Replace what stands between the two markers of the page.

    Raises:
        ValueError: the page does not have each marker once.
    """
    replace_between(page, BEGIN, END, markdown(results))


def markdown(results: Results) -> str:
    """All tables as Markdown."""
    parts = [_origin(results), ""]
    for table in tables(results):
        parts += [f"### {table.title}", "", *_markdown_table(table), ""]
    return "\n".join(parts)


def _markdown_table(table: Table) -> Iterator[str]:
    yield _line(table.columns)
    yield _line(("---", *("---:" for _ in table.columns[1:])))
    for row in table.rows:
        yield _line(row)


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _origin(results: Results) -> str:
    """The machine and the versions, as one paragraph."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    exact = "exact" if results.u8s8_is_exact else "not exact: it saturates"
    return (
        f"{machine.cpu} ({machine.architecture}; {', '.join(machine.features)}), {machine.cpus} "
        f"CPUs, {machine.system}. {versions}. ONNX Runtime's u8s8 product on this CPU: {exact}."
    )
