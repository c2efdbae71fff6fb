"""`anacc targets`: the chips, and where each of their values comes from."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from anacc.cli.console import write_json, write_warning
from anacc.cli.options import parse_settings, set_option
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
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Print every value of a target with its unit and source.

    NAME is a shipped target or the path of a target file.
    """
    from anacc.targets import configure, load_target
    from anacc.targets.provenance import rows

    configured = configure(load_target(name), parse_settings(settings))
    for warning in configured.warnings:
        write_warning(warning)
    values = rows(configured.target)
    if as_json:
        write_json({"schema": 1, "target": name, "values": [row._asdict() for row in values]})
        return
    cells = [(row.key, _shown(row.value), row.unit, row.source, row.note) for row in values]
    header = ("key", "value", "unit", "source", "where from")
    click.echo(plain(table(header, cells, "lr"), _width()), nl=False)


@targets_command.command("keys")
@click.argument("name", default="hermes")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(name: str, as_json: bool) -> None:
    """Print the keys that `--set` may set, what they may be, and what follows them.

    NAME is the target whose values are shown, hermes without it.
    """
    from anacc.targets import load_target
    from anacc.targets.dependence import RULES
    from anacc.targets.forms import as_text, forms
    from anacc.targets.keys import units
    from anacc.targets.provenance import rows

    values = {row.key: row for row in rows(load_target(name))}
    reads = {key: [rule.key for rule in RULES if key in rule.reads] for key in forms()}
    if as_json:
        keys = [
            {
                "key": key,
                "value": values[key].value if key in values else None,
                "unit": unit,
                "allowed": str(form),
                "followed_by": reads[key],
            }
            for (key, form), unit in zip(forms().items(), units().values(), strict=True)
        ]
        write_json({"schema": 1, "target": name, "keys": keys})
        return
    cells = [
        (
            key,
            as_text(values[key].value) if key in values else "-",
            unit,
            str(form),
            ", ".join(reads[key]),
        )
        for (key, form), unit in zip(forms().items(), units().values(), strict=True)
    ]
    header = ("key", "value", "unit", "allowed", "followed by")
    click.echo(plain(table(header, cells, "lr"), _width()), nl=False)
    click.echo("grid and crossbar may also be set as a size, such as `--set grid=16x16`")


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH


def _shown(value: Any) -> str:
    match value:
        case tuple() | list():
            return ", ".join(map(_shown, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)
