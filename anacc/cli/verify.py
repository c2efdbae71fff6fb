"""`anacc verify`: every check of a program, its weights included."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.api import load
from anacc.cli.options import program_argument


@click.command("verify")
@program_argument
def verify_command(program: Path) -> None:
    """Check every part of a PROGRAM.

    Its structure, the rules of its code, the hashes of all weights and ONNX segments, and that the
    segments have the inputs and outputs that the program gives and takes.
    """
    from anacc.cli.segments import check_segments
    from anacc.program.container import verify_all

    image = load(program).image
    verify_all(image)
    check_segments(image)
    members = len(image.manifest.members) + 1  # and the manifest itself
    click.echo(f"{program}: {len(image.code.streams)} streams, {members} members, no fault found")
