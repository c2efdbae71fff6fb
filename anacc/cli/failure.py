"""How a command ends: every failure becomes one sentence and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from anacc.cli.console import write_error
from anacc.cli.streams import (
    discard_broken_streams,
    flush_output,
    open_closed_streams,
    written_stream,
)
from anacc.errors import AnaccError
from anacc.reports.text import printable

INTERRUPTED = 130


class Failed(click.ClickException):
    """A failure that is ready to be shown."""

    def __init__(
        self, message: str, hint: str | None, status: int, details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
        self.details = details


class GuardedGroup(click.Group):
    """A group of commands from which no exception but `SystemExit` escapes.

    The context's `obj` says whether the user wants to see tracebacks instead.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they were added, not by name."""
        return list(self.commands)

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the options of the group, of which `--help` writes; guarded like `invoke`."""
        with _guarded():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a command; what it raises becomes a `ClickException` or an exit."""
        with _guarded(ctx):
            result = super().invoke(ctx)
            flush_output()  # so that a reader who left is noticed here
            return result

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line and exit."""
        open_closed_streams()
        # A name that the terminal's encoding lacks must not become an error.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            status = self._status(arguments, options)
        finally:
            discard_broken_streams()  # what cannot be written by now is not worth a traceback
        sys.exit(status)

    def _status(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> int:
        """Run the command line; an error is shown, and its exit status returned."""
        try:
            status = super().main(*arguments, **{**options, "standalone_mode": False})
        except click.Abort:
            return INTERRUPTED
        except click.ClickException as error:
            with suppress(OSError):
                if isinstance(error, click.exceptions.NoArgsIsHelpError):
                    error.show()
                else:
                    details = error.details if isinstance(error, Failed) else ()
                    write_error(_sentence(error.format_message()), _hint(error), details)
            return error.status if isinstance(error, Failed) else error.exit_code
        # Commands return None; click returns the status of an early exit, such as that of --help.
        return status if isinstance(status, int) else 0


@contextmanager
def _guarded(context: click.Context | None = None) -> Iterator[None]:
    """Turn whatever the block raises into a `ClickException` or an exit."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except KeyboardInterrupt:
        click.echo(err=True)  # the terminal shows ^C without ending the line
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Exception as error:
        stream = written_stream(error)
        if stream is not None:
            discard_broken_streams()
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise click.exceptions.Exit(0) from None
        if context is not None and context.obj is True:
            raise
        raise failed(error, stream) from error


def failed(error: Exception, stream: str | None = None) -> Failed:
    """Return what the user is told about an exception; `stream` is what it failed to write to."""
    match error:
        case AnaccError():
            return Failed(error.message, error.hint, error.exit_status, error.details)
        case OSError():
            reason = (error.strerror or str(error) or type(error).__name__).lower()
            if isinstance(error.filename, str | bytes):
                stream = f"`{os.fsdecode(error.filename)}`"
            return Failed(f"{stream}: {reason}" if stream else reason, None, 1)
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
