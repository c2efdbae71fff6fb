"""Messages, warnings and progress on standard error, and JSON and tables on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.text import Text

from anacc.reports.text import printable


def messages() -> Console:
    """A console for standard error; rich honours NO_COLOR and knows what is a terminal."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def write_error(message: str, hint: str | None, details: Sequence[str] = ()) -> None:
    """Write an error, after a blank line its details, and after another its hint."""
    console = messages()
    console.print(Text.assemble(("error", "bold red"), f": {message}"))
    lines = "\n".join(printable(line).replace("\n", " ") for line in details).rstrip("\n")
    if lines:
        console.print(f"\n{lines}")
    if hint:
        console.print(Text.assemble(("\nhint", "bold cyan"), f": {hint}"))


def write_warning(message: str) -> None:
    """Write a warning."""
    messages().print(Text.assemble(("warning", "bold yellow"), f": {printable(message)}"))


def write_note(message: str) -> None:
    """Write what a user may want to know."""
    messages().print(printable(message))


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress bars on standard error while the block runs, on a terminal only."""
    console = messages()
    # Standard output is left alone: rich would redirect it to the console, too.
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Elapsed(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=not console.is_terminal,
    ) as bars:
        yield bars


def write_json(data: Any) -> None:
    """Write JSON data; inf and nan, which JSON lacks, become the strings "inf", "-inf", "nan"."""
    click.echo(json.dumps(_finite(data), indent=2, allow_nan=False))


def _finite(data: Any) -> Any:
    match data:
        case float() if not math.isfinite(data):
            return str(data)
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case _:
            return data
