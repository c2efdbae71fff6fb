"""`anacc verify`: every check of a program, its weights included, and proofs of what it does."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.api import load
from anacc.cli.console import write_json
from anacc.cli.options import program_argument


@click.command("verify")
@program_argument
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The ONNX model: prove that the program does each of its multiply-adds once, with its "
    "weights, on the elements that it says.",
)
@click.option("--json", "as_json", is_flag=True, help="Print faults and figures as JSON.")
@click.pass_context
def verify_command(
    context: click.Context, program: Path, model: Path | None, as_json: bool
) -> None:
    """Check every part of a PROGRAM, and prove what it does.

    Its structure, the rules of its code, the hashes of all weights and ONNX segments, and that the
    segments have the inputs and outputs that the program gives and takes. Then, by means that
    share nothing with the compiler: every cell of every matrix is used once for each position; no
    crossbar, unit or link is over capacity; nothing is read before it is written; the streams
    cannot wait for each other for ever. Exit status 1 if there is a fault.
    """
    from anacc.cli.segments import check_segments
    from anacc.program.container import verify_all
    from anacc.verification.check import verify
    from anacc.verification.summary import as_data, as_lines

    image = load(program).image
    verify_all(image)
    check_segments(image)
    findings = verify(image, model)
    streams = len(image.code.streams)
    members = len(image.manifest.members) + 1  # and the manifest itself
    if as_json:
        head = {"program": str(program), "streams": streams, "members": members}
        write_json({**head, **as_data(findings)})
    else:
        total = sum(findings.counts.values())
        found = "no fault" if not total else "1 fault" if total == 1 else f"{total} faults"
        click.echo(f"{program}: {streams} streams, {members} members, {found} found")
        for fault in findings.faults:
            click.echo(f"fault ({fault.kind}): {fault.message}")
        if not total:
            for line in as_lines(findings):
                click.echo(line)
    if findings.faults:
        context.exit(1)
