"""`anacc asm`: assembly text to code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from anacc.atomic import write_atomically
from anacc.cli.output import check_output
from anacc.errors import ProgramError

MAX_TEXT_BYTES = 2**30


@click.command("asm")
@click.argument("text", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: the bytes of the code, or with `--program` a program.",
)
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    help="Take everything but the code from this program.",
)
def asm_command(text: Path, output: Path, program: Path | None) -> None:
    """Assemble TEXT, as `anacc disasm` prints it.

    The output is the code member of a program, or with `--program` that program with its code
    replaced, and checked.
    """
    check_output(output, inputs=(text, program))
    from anacc.program.assembly import assemble
    from anacc.program.check import check
    from anacc.program.container import read, write
    from anacc.program.encode import encode

    code = assemble(_read_text(text))
    if program is None:
        write_atomically(output, [encode(code)])
        return
    image = replace(read(program), code=code)
    check(image)
    write(image, output)


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ProgramError(f"`{path}` is larger than {MAX_TEXT_BYTES // 2**20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProgramError(f"`{path}` is not UTF-8 text") from error
