"""Feeds: input arrays by name, from files or made up.

A feed is {input name: array}, exactly as ONNX Runtime takes it.  A feed file is a NumPy `.npz`
whose keys are the input names.  Files that keep inputs and reference outputs together call them
`in:NAME` and `out:NAME`; then the former are the feed and the latter the reference.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from anacc.errors import FeedError, UsageError
from anacc.files import open_regular
from anacc.host_values import STRING, as_value, element_type, is_tensor

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

INPUT_PREFIX = "in:"
OUTPUT_PREFIX = "out:"

MAX_BYTES = 8 * 2**30
"""Largest size of the arrays of one file; a compressed file could otherwise expand without end."""

MAX_ARRAY_BYTES = 4 * 2**30
"""Largest size of one array, read or made up."""

_PIECE_BYTES = 1 << 22


class FileFeed(Arrays):
    """A feed that knows the file it was read from, for messages."""

    def __init__(self, arrays: Arrays, path: str | os.PathLike[str]) -> None:
        super().__init__(arrays)
        self.path = path


def feed_name(number: int, feed: object) -> str:
    """What messages call a calibration feed: its file, or else its number from 1."""
    return f"`{feed.path}`" if isinstance(feed, FileFeed) else f"calibration feed {number}"


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
    return split_stored(_read_npz(Path(path)), f"`{path}`")


def split_stored(arrays: Arrays, name: str) -> Stored:
    """Tell the inputs among the arrays of a feed file from the outputs.

    Args:
        arrays: by key of the file.
        name: what messages call the file.

    Raises:
        FeedError: two keys mean one input.
    """
    feed: Arrays = {}
    reference: Arrays = {}
    for key, array in arrays.items():
        part = reference if key.startswith(OUTPUT_PREFIX) else feed
        port = key.removeprefix(OUTPUT_PREFIX if part is reference else INPUT_PREFIX)
        if port in part:
            raise FeedError(f"{name} holds both `{port}` and `{INPUT_PREFIX}{port}`")
        part[port] = array
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
    return (FileFeed(load_feed(file), file) for file in files)


def calibration_feeds(given: Any) -> Iterator[Arrays]:
    """The feeds that a caller gave as calibration data, one by one, their arrays as NumPy's.

    Args:
        given: a feed, or an iterable of feeds.

    Raises:
        UsageError: at once, if it is something else; while iterating, if an item is no feed.
        FeedError: while iterating, if a value is no array.
    """
    feeds = (given,) if isinstance(given, Mapping) else given
    wrong = isinstance(feeds, (str, bytes, os.PathLike, np.ndarray))
    if wrong or not isinstance(feeds, Iterable):
        raise UsageError(
            f"`calibration` is a feed or several, not a value of type {type(given).__name__}",
            "a feed is a dictionary of arrays by input name; `anacc.feeds.load_feeds` reads files",
        )
    return (_calibration_feed(number, feed) for number, feed in enumerate(feeds, 1))


def _calibration_feed(number: int, feed: Any) -> Arrays:
    if not isinstance(feed, Mapping):
        raise UsageError(
            f"calibration feed {number} is of type {type(feed).__name__}",
            "a feed is a dictionary of arrays by input name",
        )
    arrays: Arrays = {}
    for name, value in feed.items():
        try:
            arrays[name] = as_value(value)
        except ValueError as error:
            raise FeedError(f"calibration feed {number}: input `{name}` is no array") from error
    return arrays


def load_pairs(pairs: Sequence[str]) -> Arrays:
    """Read a feed given as `NAME=FILE.npy` pairs.

    An input name may hold `=`: the last one before the file name counts.

    Raises:
        UsageError: a pair has another form, or an input is given twice.
        FeedError: a file cannot be read.
    """
    feed: Arrays = {}
    for pair in pairs:
        name, separator, file = pair.rpartition("=")
        if not (separator and name and file):
            raise UsageError(
                f"`{pair}` is not of the form `NAME=FILE.npy`", "or name one `.npz` file"
            )
        if name in feed:
            raise UsageError(f"input `{name}` is given twice")
        feed[name] = _read_npy(Path(file))
    return feed


def synthetic_feed(ports: Iterable[Port], batch: int, seed: int) -> Arrays:
    """Make up a feed; the same ports, batch and seed give the same arrays.

    Floating-point inputs are drawn from the standard normal distribution.  Integer inputs are 0 or
    1 with equal chances, which every table look-up of two entries or more can take; so are bools.
    Strings are "0" and "1".

    Args:
        ports: the inputs.
        batch: size of the axes that are symbolic.
        seed: non-negative.

    Raises:
        FeedError: an array would be larger than `MAX_ARRAY_BYTES`, or an input is no tensor.
    """
    generator = np.random.default_rng(seed)
    feed: Arrays = {}
    for port in ports:
        if not is_tensor(port.dtype):
            raise FeedError(
                f"input `{port.name}` is of type {port.dtype}, of which nothing is made up",
                "give values of your own",
            )
        shape = tuple(batch if size is None else size for size in port.shape)
        dtype = element_type(port.dtype)
        _check_size(f"input `{port.name}`", shape, dtype)
        if port.dtype == STRING:
            feed[port.name] = generator.integers(0, 2, shape).astype(str).astype(object)
        elif dtype.kind not in "biu":
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
        with open_regular(path) as file:
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
        FeedError: it holds Python objects, records, or something else than numbers and strings; or
            its header claims more than `MAX_ARRAY_BYTES`, or more than there is.
        ValueError: it is no NPY stream, or is shorter than its header says, or holds characters
            that do not exist.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # version 3 is for records only
        raise ValueError("unknown version")
    if dtype.kind not in "biufU":
        raise FeedError(f"{what} must hold numbers or strings, not {dtype}")
    if min(shape, default=0) < 0 or dtype.itemsize == 0:
        raise ValueError("a negative length, or elements of no size")
    needed = _check_size(what, shape, dtype)
    if needed > size:
        raise FeedError(f"{what} of shape {shape} needs {needed} bytes, and its file holds {size}")
    flat = np.empty(math.prod(shape), dtype)
    # In pieces, so that the bytes are never held twice.
    unread = flat.view(np.uint8).data
    while unread:
        piece = stream.read(min(len(unread), _PIECE_BYTES))
        if not piece:
            raise ValueError("truncated")
        unread[: len(piece)] = piece
        unread = unread[len(piece) :]
    # Strings are objects, as ONNX Runtime takes them; a file never holds those, but characters.
    flat = flat.astype(object if dtype.kind == "U" else dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if fortran else "C")


def _check_size(what: str, shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """The bytes of an array, before memory is taken for it.

    Raises:
        FeedError: it would be larger than `MAX_ARRAY_BYTES`.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_ARRAY_BYTES:
        raise FeedError(
            f"{what} of shape ({', '.join(map(str, shape))}) and type {dtype} would need "
            f"{size / 2**30:,.0f} GiB, and at most {MAX_ARRAY_BYTES / 2**30:.4g} GiB are allowed"
        )
    return size
