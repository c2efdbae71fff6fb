"""`anacc disasm`: a program's code as assembly text."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.atomic import write_atomically
from anacc.cli.options import program_argument
from anacc.cli.output import check_output
from anacc.program.image import Image
from anacc.reports.text import printable


@click.command("disasm")
@program_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the text to this file instead of standard output.",
)
def disasm_command(program: Path, output: Path | None) -> None:
    """Print the code of a PROGRAM as assembly.

    `anacc asm` turns the text back.  The program is decoded, but the rules of the instruction set
    are not checked: a program that breaks one can be looked at.
    """
    if output is not None:
        check_output(output, inputs=(program,))
    from anacc.program.assembly import disassemble
    from anacc.program.container import read

    image = read(program)
    text = disassemble(image.code, _origins(image))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, [text.encode()])


def _origins(image: Image) -> list[str] | None:
    """The ONNX nodes of each stream as comments, if the program names them.

    Whoever made the file chose these names: what could steer a terminal is shown as `?`.
    """
    nodes = image.origin.get("streams")
    if not isinstance(nodes, list) or len(nodes) != len(image.code.streams):
        return None
    return [
        printable(", ".join(map(str, names))) if isinstance(names, list) else "" for names in nodes
    ]
