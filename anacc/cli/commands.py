"""The command `anacc` with all its commands."""

from __future__ import annotations

import click

from anacc import __version__
from anacc.cli.asm import asm_command
from anacc.cli.compile import compile_command
from anacc.cli.disasm import disasm_command
from anacc.cli.eval import eval_command
from anacc.cli.failure import GuardedGroup
from anacc.cli.inspect import inspect_command
from anacc.cli.run import run_command
from anacc.cli.sweep import sweep_command
from anacc.cli.targets import targets_command
from anacc.cli.verify import verify_command


@click.group(
    cls=GuardedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="anacc")
@click.option("--traceback", is_flag=True, hidden=True, help="Show where an error comes from.")
@click.pass_context
def anacc(context: click.Context, traceback: bool) -> None:
    """Compile ONNX models to programs for an analog in-memory-compute chip, and run them."""
    context.obj = traceback


# In the order of the help text.
for command in (
    compile_command,
    run_command,
    eval_command,
    inspect_command,
    disasm_command,
    asm_command,
    verify_command,
    sweep_command,
    targets_command,
):
    anacc.add_command(command)
