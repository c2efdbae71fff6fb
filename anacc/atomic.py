"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file under a temporary name in the same folder, flush it to the disk, and rename it.

    The path then holds the whole new file; after any failure it holds what it held before, and
    nothing else is left behind.

    Args:
        path: of the file; an existing one is replaced, a symbolic link stays one.
        chunks: the content.

    Raises:
        OSError: it cannot be written; its file name is `path`.
    """
    target = Path(os.path.realpath(path))  # renaming would replace a link, not what it points to
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)  # is gone after a successful rename
        _sync_folder(target.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a loss of power, where folders can be synchronised."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
