"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def program_argument(command: F) -> F:
    """The argument `program`: a program file."""
    return click.argument("program", type=click.Path(path_type=Path))(command)


def executor_options(command: F) -> F:
    """The options `executor` and `threads`."""
    command = click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads of the native executor; all CPUs without it.",
    )(command)
    return click.option(
        "--executor",
        type=click.Choice(["native", "reference"]),
        default="native",
        show_default=True,
        help="C, or NumPy, which is the specification: the outputs are the same bits.",
    )(command)


def state_option(command: F) -> F:
    """The option `states`: pairs of a streaming model's inputs and outputs."""
    return click.option(
        "--state",
        "states",
        multiple=True,
        metavar="INPUT=OUTPUT",
        help="The model streams: this output is this input of the next step, zero at first. Arrays "
        "of other inputs have the step as one more axis, the first. May be repeated.",
    )(command)
