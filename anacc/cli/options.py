"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from anacc.errors import UsageError


class Chips(click.ParamType[int | str]):
    """A number of chips, or `auto`; whether it makes sense is not asked here."""

    name = "chips"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """A number where it is one of a sensible length, else the text, for the error to show."""
        text = str(value)
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else text


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


def set_option(command: F) -> F:
    """The option `settings`: values of the target."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a value of the target, such as `gdpu.count=4`, or a size: `grid=16x16`, "
        "`crossbar=512x512`; the entries of a list are separated by `+`. What depends on it "
        "follows. May be repeated; `anacc targets keys` lists the keys.",
    )(command)


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Return the texts that `--set KEY=VALUE` options give to keys, unparsed.

    Raises:
        UsageError: an option has another form, or a key occurs twice.
    """
    found: dict[str, str] = {}
    for each in settings:
        key, separator, value = each.partition("=")
        key = key.strip()
        if not (separator and key):
            raise UsageError(
                f"`--set {each[:80]}` is not of the form `KEY=VALUE`",
                "write for example `--set grid=16x16`",
            )
        if key in found:
            raise UsageError(f"`--set` gives `{key[:80]}` twice", "give it once")
        found[key] = value
    return found
