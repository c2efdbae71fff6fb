"""`anacc targets`: the chips, and where each of their values comes from."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from anacc.cli.console import write_json
from anacc.reports.text import plain, table

WIDTH = 140  # where standard output is no terminal


@click.group("targets", invoke_without_command=True)
@click.pass_context
def targets_command(context: click.Context) -> None:
    """List the targets that come with anacc."""
    if context.invoked_subcommand is None:
        context.invoke(list_targets)


@targets_command.command("list")
def list_targets() -> None:
    """List the targets that come with anacc, as `anacc targets` does."""
    from anacc.targets import load_target, shipped_targets
    from anacc.targets.provenance import counts

    rows = []
    for name in shipped_targets():
        target = load_target(name)
        sources = ", ".join(f"{count} {source}" for source, count in counts(target).items())
        modes = ", ".join(target.read_modes.offered.value)
        crossbar = f"{target.crossbar.rows.value} x {target.crossbar.columns.value}"
        rows.append((name, target.chip.name.value, target.cores, crossbar, modes, sources))
    header = ("target", "chip", "cores", "crossbar", "read modes", "values")
    click.echo(plain(table(header, rows, "llr"), WIDTH), nl=False)


@targets_command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Print every value of a target with its unit and source.

    NAME is a shipped target or the path of a target file.
    """
    from anacc.targets import load_target
    from anacc.targets.provenance import rows

    values = rows(load_target(name))
    if as_json:
        write_json({"schema": 1, "target": name, "values": [row._asdict() for row in values]})
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
    cells = [(row.key, _shown(row.value), row.unit, row.source, row.note) for row in values]
    header = ("key", "value", "unit", "source", "where from")
    click.echo(plain(table(header, cells, "lr"), width), nl=False)


def _shown(value: Any) -> str:
    match value:
        case tuple() | list():
            return ", ".join(map(_shown, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)
