"""Feeds: input arrays by name, from files or made up.

A feed is {input name: array}, exactly as ONNX Runtime takes it.  A feed file is a NumPy `.npz`
whose keys are the input names.  Files that keep inputs and reference outputs together call them
`in:NAME` and `out:NAME`; then the former are the feed and the latter the reference.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from anacc.errors import FeedError

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

INPUT_PREFIX = "in:"
OUTPUT_PREFIX = "out:"

MAX_BYTES = 8 * 2**30
"""Largest size of the arrays of one file; a compressed file could otherwise expand without end."""


class Port(Protocol):
    """What is asked of an input: `anacc.program.manifest.Port` has it, and others may."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int | None, ...]: ...
    @property
    def batch_axis(self) -> int | None: ...


@dataclass(frozen=True)
class Stored:
    """The content of a feed file.

    Attributes:
        feed: arrays by input name.
        reference: expected outputs by output name; empty where the file has none.
    """

    feed: Arrays
    reference: Arrays


def load_stored(path: str | os.PathLike[str]) -> Stored:
    """Read a feed file with the reference outputs that it may hold.

    Raises:
        FeedError: the file cannot be read, is no `.npz`, is damaged, holds more than `MAX_BYTES`,
            holds Python objects, or two of its keys mean one input.
    """
    feed: Arrays = {}
    reference: Arrays = {}
    for key, array in _read_npz(Path(path)).items():
        part = reference if key.startswith(OUTPUT_PREFIX) else feed
        name = key.removeprefix(OUTPUT_PREFIX if part is reference else INPUT_PREFIX)
        if name in part:
            raise FeedError(f"`{path}` holds both `{name}` and `{INPUT_PREFIX}{name}`")
        part[name] = array
    return Stored(feed, reference)


def load_feed(path: str | os.PathLike[str]) -> Arrays:
    """Read the feed of a feed file; errors are those of `load_stored`."""
    return load_stored(path).feed


def load_feeds(path: str | os.PathLike[str]) -> Iterator[Arrays]:
    """Read a feed file, or the `.npz` files of a folder in the order of their names, one by one.

    Raises:
        FeedError: at once, if the path does not exist or the folder holds no `.npz` file; while
            iterating, as `load_stored` does.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix == ".npz")
        if not files:
            raise FeedError(
                f"folder `{path}` holds no `.npz` file", "each `.npz` of a folder is one feed"
            )
    elif not path.exists():
        raise FeedError(f"`{path}` cannot be read: no such file or folder")
    return (load_feed(file) for file in files)


def load_pairs(pairs: Sequence[str]) -> Arrays:
    """Read a feed given as `NAME=FILE.npy` pairs.

    An input name may hold `=`: the last one before the file name counts.

    Raises:
        FeedError: a pair has another form, an input is given twice, or a file cannot be read.
    """
    feed: Arrays = {}
    for pair in pairs:
        name, separator, file = pair.rpartition("=")
        if not (separator and name and file):
            raise FeedError(
                f"`{pair}` is not of the form `NAME=FILE.npy`", "or name one `.npz` file"
            )
        if name in feed:
            raise FeedError(f"input `{name}` is given twice")
        feed[name] = _read_npy(Path(file))
    return feed


def synthetic_feed(ports: Iterable[Port], batch: int, seed: int) -> Arrays:
    """Make up a feed; the same ports, batch and seed give the same arrays.

    Floating-point inputs are drawn from the standard normal distribution.  Integer inputs are 0 or
    1 with equal chances, which every table look-up of two entries or more can take; so are bools.

    Args:
        ports: the inputs.
        batch: size of the axes that are symbolic.
        seed: non-negative.
    """
    generator = np.random.default_rng(seed)
    feed: Arrays = {}
    for port in ports:
        shape = tuple(batch if size is None else size for size in port.shape)
        dtype = np.dtype(port.dtype)
        if dtype.kind == "f":
            feed[port.name] = generator.standard_normal(shape, dtype=np.float32).astype(dtype)
        else:
            feed[port.name] = generator.integers(0, 2, shape).astype(dtype)
    return feed


def _read_npz(path: Path) -> Arrays:
    """The arrays of an `.npz` file by key."""
    arrays: Arrays = {}
    with _reading(path, ".npz") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise FeedError(f"`{path}` holds more than {MAX_BYTES // 2**30} GiB of arrays")
        for member in members:
            key = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                arrays[key] = _read_array(stream, member.file_size, f"`{key}` of `{path}`")
    return arrays


def _read_npy(path: Path) -> Array:
    with _reading(path, ".npy") as file:
        return _read_array(file, os.fstat(file.fileno()).st_size, f"`{path}`")


@contextmanager
def _reading(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    """Open a file that is not trusted, and say in one sentence what is wrong with it."""
    try:
        with path.open("rb") as file:
            yield file
    except FeedError:
        raise
    except OSError as error:
        raise FeedError(
            f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        ) from error
    # The readers of ZIP and NPY meet damage with some dozen kinds of exceptions, undocumented.
    except Exception as error:
        raise FeedError(f"`{path}` is not a valid `{suffix}` file, or is damaged") from error


def _read_array(stream: IO[bytes], size: int, what: str) -> Array:
    """The array of an NPY stream of at most `size` bytes.

    NumPy's own reader allocates what a header claims before it reads; here a header is believed
    only as far as the size goes.

    Raises:
        FeedError: it holds Python objects, records, or something else than numbers.
        ValueError: it is no NPY stream, or is shorter than its header says.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # version 3 is for records only
        raise ValueError("unknown version")
    if dtype.kind not in "biuf":
        raise FeedError(f"{what} must hold numbers, not {dtype}")
    count = 1
    for length in shape:
        count *= length
    if not 0 <= count * dtype.itemsize <= size:
        raise ValueError("the header claims more than there is")
    data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("truncated")
    # A bytearray, so that the array is writable like any other.
    flat = np.frombuffer(bytearray(data), dtype).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if fortran else "C")
