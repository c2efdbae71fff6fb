"""Tables and names as text: what every part of a report is written with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

MAX_FULL = 1e15
"""Numbers from here on are shown as a power of ten."""
MAX_NAMES = 3
MAX_RUNS = 4
"""Runs of cores in a table."""
MAX_NAME = 48
"""Characters of a name in a table, where exporters make names of hundreds of them."""
MAX_DIGITS = 9
"""Of the number of a core; text with more is shown as it is."""


def figure(value: float) -> str:
    """A number of at least four digits, of a usual size in full: `93,312`, `3.981`, `2.5e+20`."""
    if abs(value) < MAX_FULL and (abs(value) >= 100 or float(value).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def printable(text: str) -> str:
    """Return a text with `?` for what could steer a terminal; names in files are not trusted."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def one_line(value: object) -> str:
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
        result.add_row(*map(one_line, row))
    return result


def plain(renderable: RenderableType, width: int = 100) -> str:
    """Return a table as text without colour and without spaces at the ends of lines."""
    stream = StringIO()
    console = Console(
        file=stream, width=width, color_system=None, markup=False, emoji=False, highlight=False
    )
    console.print(renderable)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def core_ranges(cores: Sequence[Any], all_rows: bool = True, chips: bool = False) -> str:
    """Cores as numbers, runs of them shortened: `0-3, 7`.

    Args:
        cores: such as `core 0.12` or 12.
        all_rows: unless all are wanted, the first few runs and how many cores there are.
        chips: name the chip of each core; without it, of those that are not on chip 0.
    """
    runs: list[tuple[str, int, int]] = []
    for chip, number in sorted(map(_core, cores)):
        if runs and runs[-1][0] == chip and runs[-1][2] + 1 == number:
            runs[-1] = (chip, runs[-1][1], number)
        else:
            runs.append((chip, number, number))
    shown = runs if all_rows or len(runs) <= MAX_RUNS else runs[: MAX_RUNS - 1]
    texts = []
    for chip, first, last in shown:
        prefix = chip if chips or chip != "0." else ""
        texts.append(f"{prefix}{first}" if first == last else f"{prefix}{first}-{prefix}{last}")
    if len(shown) < len(runs):
        texts.append(f"... {len(cores)} cores")
    return ", ".join(texts)


def _core(core: Any) -> tuple[str, int]:
    """A prefix that names the chip, and the core's number, of `core 0.12` or 12."""
    chip, _, number = str(core).removeprefix("core ").rpartition(".")
    if not number.isdecimal() or len(number) > MAX_DIGITS:
        return f"{core} ", 0
    return f"{chip or 0}.", int(number)


def short(name: str) -> str:
    """A name with its middle left out if it is long: both ends tell exporters' names apart."""
    half = (MAX_NAME - 3) // 2
    return name if len(name) <= MAX_NAME else f"{name[:half]}...{name[-half:]}"


def some_names(names: Sequence[str], all_rows: bool) -> str:
    """Each name once, side by side; unless all are wanted, the first few, long ones shortened."""
    names = list(dict.fromkeys(names))
    if all_rows:
        return ", ".join(names)
    if len(names) <= MAX_NAMES:
        return ", ".join(map(short, names))
    return ", ".join(map(short, names[:MAX_NAMES])) + f", and {len(names) - MAX_NAMES} more"
