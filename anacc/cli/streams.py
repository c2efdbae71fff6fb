"""The standard streams where they are closed, full, or nobody reads them."""

from __future__ import annotations

import os
import sys
import traceback

_NUMBERS = {"stdout": 1, "stderr": 2}


def open_closed_streams() -> None:
    """Give the streams that are closed from the start a descriptor again.

    Otherwise the next file that is opened would take their place.  What would be written to
    standard output is lost then, and fails; messages are lost in silence.
    """
    for stream, number in _NUMBERS.items():
        if getattr(sys, stream) is not None:
            continue
        null = os.open(os.devnull, os.O_RDONLY if stream == "stdout" else os.O_WRONLY)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        setattr(sys, stream, open(number, "w", encoding="utf-8", closefd=False))


def flush_output() -> None:
    """Flush standard output.

    Raises:
        OSError: it is full, or nobody reads it.
    """
    sys.stdout.flush()


def written_stream(error: BaseException) -> str | None:
    """What the stream is called that could not be written to, None if the error is another one.

    Such an error names no file.  Where it was raised tells: click and `flush_output` write to
    standard output alone, rich to standard error alone.
    """
    if not isinstance(error, OSError) or error.filename is not None or error.__traceback__ is None:
        return None
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module = frame.f_globals.get("__name__", "")
    if module == __name__ or module.startswith("click."):
        return "standard output"
    return "standard error" if module.startswith("rich.") else None


def discard_broken_streams() -> None:
    """Flush both streams; one that fails takes and loses everything from then on.

    So the interpreter's last flush succeeds.
    """
    for stream in _NUMBERS:
        try:
            getattr(sys, stream).flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, getattr(sys, stream).fileno())
            os.close(null)
