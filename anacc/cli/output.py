"""Output files: the path is checked before the work, and a file appears whole or not at all."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.atomic import write_atomically
from anacc.errors import UsageError


def check_output(path: Path, inputs: Iterable[Path | None] = ()) -> None:
    """Check that a file can be written, without touching it.

    Args:
        path: the output file.
        inputs: files that the command reads, which it must not overwrite; None is skipped.

    Raises:
        UsageError: the path is a folder, a device or one of the inputs, its folder does not exist,
            or the folder cannot be written to.
    """
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"output `{path}` is a folder", "name a file in it")
    if path.exists() and not path.is_file():
        raise UsageError(f"output `{path}` is not a regular file")
    if not folder.is_dir():
        raise UsageError(f"output folder `{folder}` does not exist", "create it first")
    for source in inputs:
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise UsageError(f"output `{path}` would overwrite an input", "choose another name")
    _try_file(f"output `{path}`", folder)


def check_folder(name: str) -> None:
    """Check that files can be written to a folder, which may not exist yet, without touching it.

    Raises:
        UsageError: the path is empty or leads through something else than folders, or no file can
            be made there.
    """
    if not name:
        raise UsageError("the name of the output folder is empty", "`.` is the current folder")
    path = there = Path(name)
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"output folder `{path}` cannot be made: `{there}` is not a folder")
    _try_file(f"output folder `{path}`", there)


def _try_file(what: str, folder: Path) -> None:
    try:
        # The only check that is right for every file system and user: the file has no name.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{what} cannot be written: {reason}") from error


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name as an `.npz` file, atomically and without pickling.

    Raises:
        OSError: as `write_atomically`.
        ValueError: an array holds Python objects.
    """
    buffer = io.BytesIO()
    # Not `np.savez(**arrays)`: an output may be called `file`.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # A ZipInfo has a fixed time stamp: equal arrays make equal files.
            info = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(info, "w", force_zip64=True) as member:
                array = np.asanyarray(array)
                # Objects are strings, which NumPy has a type of its own for.
                array = array.astype(str) if array.dtype.kind == "O" else array
                np.lib.format.write_array(member, array, allow_pickle=False)
    write_atomically(path, [buffer.getvalue()])
