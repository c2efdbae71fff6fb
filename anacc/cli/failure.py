"""How a command ends: every failure becomes one sentence and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from anacc.cli.console import write_error
from anacc.errors import AnaccError
from anacc.reports.text import printable

INTERRUPTED = 130


class Failed(click.ClickException):
    """A failure that is ready to be shown."""

    def __init__(self, message: str, hint: str | None, status: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


class GuardedGroup(click.Group):
    """A group of commands from which no exception but `SystemExit` escapes.

    The context's `obj` says whether the user wants to see tracebacks instead.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they were added, not by name."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a command; what it raises becomes a `ClickException` or an exit."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # so that a reader who left is noticed here
            return result
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            click.echo(err=True)  # the terminal shows ^C without ending the line
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                _discard_output()
                raise click.exceptions.Exit(0) from None
            if ctx.obj is True:
                raise
            raise failed(error) from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line and exit."""
        # A name that the terminal's encoding lacks must not become an error.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(*arguments, **{**options, "standalone_mode": False})
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            write_error(_sentence(error.format_message()), _hint(error))
            sys.exit(error.status if isinstance(error, Failed) else error.exit_code)
        # Commands return None; click returns the status of an early exit, such as that of --help.
        sys.exit(status if isinstance(status, int) else 0)


def failed(error: Exception) -> Failed:
    """Return what the user is told about an exception."""
    match error:
        case AnaccError():
            return Failed(error.message, error.hint, error.exit_status)
        case OSError():
            reason = (error.strerror or str(error) or type(error).__name__).lower()
            name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
            return Failed(f"`{name}`: {reason}" if name else reason, None, 1)
        case MemoryError():
            return Failed("there is not enough memory", None, 1)
        case _:
            return Failed(
                f"internal error: {type(error).__name__}: {error}",
                "this is a fault of anacc: please report it with the output of "
                "`anacc --traceback ...`",
                1,
            )


def _sentence(message: str) -> str:
    """The message on one line, without what could steer a terminal."""
    line = printable(" ".join(message.split()))
    return line[:1].lower() + line[1:] if line[1:2].islower() else line


def _hint(error: click.ClickException) -> str | None:
    if isinstance(error, Failed):
        return error.hint and printable(" ".join(error.hint.split()))
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"`{error.ctx.command_path} --help` lists what it takes"
    return None


def _discard_output() -> None:
    """Let the interpreter's last flush of standard output succeed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
