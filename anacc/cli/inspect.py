"""`anacc inspect`: how a program lies on the chip."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from anacc.api import load
from anacc.atomic import write_atomically
from anacc.cli.console import write_json, write_note
from anacc.cli.options import program_argument
from anacc.cli.output import check_output
from anacc.errors import UsageError
from anacc.mapping_file import mapping_text
from anacc.reports.mapping_file import mapping_of
from anacc.reports.text import render

WIDTH = 120  # where standard output is no terminal


@click.command("inspect")
@program_argument
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option(
    "--nodes", is_flag=True, help="Also where each ONNX node runs, and what crosses each border."
)
@click.option(
    "--ibm-json",
    "mapping",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write the mapping as JSON in the schema of published HERMES mappings instead, which "
    "`anacc compile --mapping` reads; to standard output without FILE.",
)
@click.option("--all", "all_rows", is_flag=True, help="Shorten no list and no name.")
def inspect_command(
    program: Path, as_json: bool, nodes: bool, mapping: str | None, all_rows: bool
) -> None:
    """Show how a PROGRAM lies on the chip.

    Cores in use, layers, what runs on the host and why, costs and their bounds, warnings.
    """
    if mapping is not None:
        if as_json or nodes or all_rows:
            raise UsageError("`--ibm-json` goes with no other option")
        _write_mapping(program, mapping)
        return
    report = load(program).report()
    if as_json:
        write_json(report)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
    click.echo(render(report, width, all_rows, nodes), nl=False)


def _write_mapping(program: Path, name: str) -> None:
    """Write the mapping to a file, or for `-` to standard output."""
    if name != "-":
        check_output(Path(name), inputs=(program,))
    text = mapping_text(mapping_of(load(program).image))
    if name == "-":
        click.echo(text, nl=False)
        return
    write_atomically(Path(name), [text.encode()])
    write_note(f"wrote `{name}`")
