"""`anacc inspect`: how a program lies on the chip."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from anacc.api import load
from anacc.cli.console import write_json
from anacc.cli.options import program_argument
from anacc.reports.text import render

WIDTH = 120  # where standard output is no terminal


@click.command("inspect")
@program_argument
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option(
    "--nodes", is_flag=True, help="Also where each ONNX node runs, and what crosses each border."
)
@click.option("--all", "all_rows", is_flag=True, help="Shorten no list and no name.")
def inspect_command(program: Path, as_json: bool, nodes: bool, all_rows: bool) -> None:
    """Show how a PROGRAM lies on the chip.

    Cores in use, layers, what runs on the host and why, costs and their bounds, warnings.
    """
    report = load(program).report()
    if as_json:
        write_json(report)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
    click.echo(render(report, width, all_rows, nodes), nl=False)
