"""Arrays that a pass makes, kept in a file that has no name, and mapped from there.

The codes of a billion weights then take pages that the system may write out and forget, instead of
memory.  Small models never see the file.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

IN_MEMORY = 2**26
"""Bytes of arrays that stay in memory."""
_STRETCH = 2**26
"""Bytes by which the file grows, at least."""
_ALIGNMENT = 64


@dataclass
class Spool:
    """Keeps arrays.  Threads may share it.

    Attributes:
        in_memory: how many bytes stay in memory, before the file takes the rest.
    """

    in_memory: int = IN_MEMORY
    _kept: int = 0
    _file: Any = None
    _size: int = 0
    _stretch: mmap.mmap | None = None
    _used: int = 0
    _lock: Lock = field(default_factory=Lock)

    def keep(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same array, contiguous and read-only, in memory or mapped from the file.

        Where no temporary file can be made or grow, arrays stay in memory.
        """
        array = np.ascontiguousarray(array)
        with self._lock:
            self._kept += array.nbytes
            place = self._place(array.nbytes) if self._kept > self.in_memory else None
        if place is None:
            kept = array.view()
        else:
            stretch, offset = place
            kept = np.frombuffer(stretch, array.dtype, array.size, offset).reshape(array.shape)
            kept[...] = array
        kept.flags.writeable = False
        return kept

    def _place(self, size: int) -> tuple[mmap.mmap, int] | None:
        """Room for so many bytes: a mapping and the offset in it."""
        start = -(-self._used // _ALIGNMENT) * _ALIGNMENT
        if self._stretch is None or start + size > len(self._stretch):
            length = -(-max(size, 1) // _STRETCH) * _STRETCH
            try:
                # It has no name, and is gone with the last array.
                self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115
                _extend(self._file.fileno(), self._size, length)
                self._stretch = mmap.mmap(self._file.fileno(), length, offset=self._size)
            except OSError:
                return None
            self._size += length
            start = 0
        self._used = start + size
        return self._stretch, start


def _extend(descriptor: int, size: int, length: int) -> None:
    """Make a file of `size` bytes larger, with room on the disk where that can be asked for."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, size, length)
    else:
        os.truncate(descriptor, size + length)
