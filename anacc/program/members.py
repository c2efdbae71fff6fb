"""Members of a loaded program file, verified when they are first used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from anacc.errors import ProgramError
from anacc.program.archive import HINT, Archive
from anacc.program.model import Int8Array, Weight


def weight(position: int) -> str:
    """The name of the member that holds weight block `position`."""
    return f"weights/{position:05d}.bin"


def segment(position: int) -> str:
    """The name of the member that holds ONNX segment `position`."""
    return f"host/{position:05d}.onnx"


@dataclass(frozen=True)
class Loaded:
    """An archive with the SHA-256 of its members; `_seen` names those that were verified."""

    archive: Archive
    hashes: dict[str, str]
    _seen: set[str] = field(default_factory=set)

    def verified(self, name: str) -> memoryview:
        """The bytes of a member, not copied; hash and CRC are checked at the first call.

        Raises:
            ProgramError: the member does not match its hash or CRC, or has no hash.
        """
        if name in self._seen:
            entry, offset = self.archive.members[name]
            return self.archive.data[offset : offset + entry.size]
        contents = self.archive.contents(name)
        if hashlib.sha256(contents).hexdigest() != self.hashes.get(name):
            raise ProgramError(f"member `{name}` does not match its hash", HINT)
        self._seen.add(name)
        return contents


class Weights(Sequence[Int8Array]):
    """Weight blocks of a loaded program: read-only (rows, columns) int8 views of the file.

    Indexing raises ProgramError for a block that is damaged, has the wrong size, or holds -128.
    """

    def __init__(self, loaded: Loaded, shapes: tuple[Weight, ...]) -> None:
        self._loaded = loaded
        self._shapes = shapes
        self._blocks: dict[int, Int8Array] = {}

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> Int8Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Int8Array]: ...
    def __getitem__(self, index: int | slice) -> Int8Array | Sequence[Int8Array]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position not in self._blocks:
            self._blocks[position] = self._load(position)
        return self._blocks[position]

    def _load(self, position: int) -> Int8Array:
        shape = self._shapes[position]
        data = self._loaded.verified(weight(position))
        if len(data) != shape.rows * shape.columns:
            raise ProgramError(
                f"weight block {position} has {len(data)} codes, not {shape.rows} rows of "
                f"{shape.columns}",
                HINT,
            )
        codes = np.frombuffer(data, np.int8).reshape(shape.rows, shape.columns)
        return checked_weight(position, codes, shape)


class Segments(Sequence[bytes]):
    """ONNX segments of a loaded program; indexing raises ProgramError for a damaged one."""

    def __init__(self, loaded: Loaded, count: int) -> None:
        self._loaded = loaded
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return bytes(self._loaded.verified(segment(range(len(self))[index])))


def checked_weight(position: int, codes: Int8Array, shape: Weight) -> Int8Array:
    """The codes of a block, if they are int8 of this shape and lie in [-127, 127].

    Raises:
        ProgramError: they are not.
    """
    if codes.dtype != np.int8 or codes.shape != (shape.rows, shape.columns):
        raise ProgramError(
            f"weight block {position} is {codes.dtype} {codes.shape}, not int8 "
            f"({shape.rows}, {shape.columns})"
        )
    if codes.size and int(codes.min()) == -128:
        raise ProgramError(f"weight block {position} holds the code -128", "use -127 to 127")
    return codes
