"""The ZIP file around a program's members: stored, aligned, and with a single possible form.

Everything but the contents of the members follows from their names, sizes and CRCs, which stand in
the central directory.  So the reader parses those, builds the headers again, and compares: whatever
a header could hide (gaps, overlaps, compression, other times, nonzero padding) is refused.

    member   = local header, name, padding, contents       contents begin at a multiple of 64
    file     = member*, central directory, ZIP64 records?, end record, comment
    comment  = "anacc manifest sha256 " and 64 hexadecimal digits

The padding is an extra field of id 0xD935, as Android's zipalign writes it.  Times are 1980-01-01.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anacc.errors import ProgramError

ALIGNMENT = 64
COMMENT_PREFIX = b"anacc manifest sha256 "
COMMENT_SIZE = len(COMMENT_PREFIX) + 64
HINT = "the file is damaged or was changed: compile the model again"
NO_PROGRAM = "it is no program, or damaged: `anacc compile` makes programs of ONNX models"

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_PADDING_ID = 0xD935
_DATE = 0x21  # 1980-01-01
_MODE = 0o100644 << 16
_MADE_BY_UNIX = 3 << 8
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_VERSION, _VERSION64 = 20, 45


@dataclass(frozen=True)
class Entry:
    """A member as the central directory states it: name, size in bytes, CRC-32."""

    name: str
    size: int
    crc: int


@dataclass(frozen=True)
class Layout:
    """The bytes of an archive apart from the contents of its members.

    Attributes:
        headers: for each member, its local header with name and padding.
        offsets: for each member, where its contents begin; a multiple of 64.
        tail: all that follows the contents of the last member.
    """

    headers: tuple[bytes, ...]
    offsets: tuple[int, ...]
    tail: bytes


def layout(entries: Sequence[Entry], manifest_hash: str) -> Layout:
    """Lay out an archive.

    Args:
        entries: the members in the order of the file.
        manifest_hash: SHA-256 of the manifest member, 64 hexadecimal digits.

    Raises:
        ProgramError: a member is 4 GiB or larger.
    """
    headers, offsets, central = [], [], []
    at = 0
    for entry in entries:
        if entry.size >= _MAX32:
            raise ProgramError(
                f"member `{entry.name}` has {entry.size} bytes, more than the format allows",
                "split the model: a member holds less than 4 GiB",
            )
        name = entry.name.encode("ascii")
        local = _local_header(entry, name, at)
        central.append(_central_header(entry, name, at))
        headers.append(local)
        offsets.append(at + len(local))
        at += len(local) + entry.size
    directory = b"".join(central)
    tail = directory + _end_records(len(entries), at, len(directory), manifest_hash)
    return Layout(tuple(headers), tuple(offsets), tail)


def _local_header(entry: Entry, name: bytes, at: int) -> bytes:
    """The header of a member at offset `at`, padded so that contents are aligned."""
    fixed = _LOCAL.size + len(name) + 6  # the extra field is at least id, size, alignment
    zeros = -(at + fixed) % ALIGNMENT
    extra = struct.pack("<3H", _PADDING_ID, 2 + zeros, ALIGNMENT) + bytes(zeros)
    return (
        _LOCAL.pack(
            b"PK\3\4", _VERSION, 0, 0, 0, _DATE,
            entry.crc, entry.size, entry.size, len(name), len(extra),
        )
        + name
        + extra
    )  # fmt: skip


def _central_header(entry: Entry, name: bytes, at: int) -> bytes:
    """A member's record in the central directory; `at` is the offset of its local header."""
    large = at >= _MAX32
    version = _VERSION64 if large else _VERSION
    extra = struct.pack("<2HQ", 1, 8, at) if large else b""
    return (
        _CENTRAL.pack(
            b"PK\1\2", _MADE_BY_UNIX | version, version, 0, 0, 0, _DATE,
            entry.crc, entry.size, entry.size, len(name), len(extra),
            0, 0, 0, _MODE, _MAX32 if large else at,
        )
        + name
        + extra
    )  # fmt: skip


def _end_records(count: int, at: int, size: int, manifest_hash: str) -> bytes:
    """What follows a central directory of `count` records and `size` bytes at offset `at`."""
    records = b""
    if count >= _MAX16 or at >= _MAX32 or size >= _MAX32:
        records += _END64.pack(
            b"PK\6\6", _END64.size - 12, _MADE_BY_UNIX | _VERSION64, _VERSION64,
            0, 0, count, count, size, at,
        )  # fmt: skip
        records += _LOCATOR.pack(b"PK\6\7", 0, at + size, 1)
    comment = COMMENT_PREFIX + manifest_hash.encode("ascii")
    count = min(count, _MAX16)
    records += _END.pack(
        b"PK\5\6", 0, 0, count, count, min(size, _MAX32), min(at, _MAX32), len(comment)
    )
    return records + comment


@dataclass(frozen=True)
class Archive:
    """An archive whose headers were checked.

    Attributes:
        data: the whole file.
        members: for each name its entry and the offset of its contents.
        manifest_hash: SHA-256 of the manifest member that the comment states.
    """

    data: memoryview
    members: dict[str, tuple[Entry, int]]
    manifest_hash: str

    def contents(self, name: str) -> memoryview:
        """The bytes of a member, not copied; their CRC is checked.

        Raises:
            ProgramError: the CRC is wrong.
        """
        entry, offset = self.members[name]
        contents = self.data[offset : offset + entry.size]
        if zlib.crc32(contents) != entry.crc:
            raise ProgramError(f"member `{name}` does not match its checksum", HINT)
        return contents


def parse(data: memoryview) -> Archive:
    """Read the headers of an archive and check that they are as `layout` makes them.

    Args:
        data: the whole file.

    Raises:
        ProgramError: the file is not a program's archive.
    """
    end = len(data) - _END.size - COMMENT_SIZE
    if end < 0 or bytes(data[end : end + 4]) != b"PK\5\6":
        raise ProgramError("there is no program's end record at the end of the file", NO_PROGRAM)
    comment = bytes(data[end + _END.size :])
    if not comment.startswith(COMMENT_PREFIX) or not comment.isascii():
        raise ProgramError("the archive's comment does not state the manifest's hash", HINT)
    manifest_hash = comment[len(COMMENT_PREFIX) :].decode("ascii")
    entries = list(_entries(data, *_directory(data, end)))
    previous = ""
    for entry in entries:
        if entry.name == previous:
            raise ProgramError(f"member `{entry.name}` occurs twice", HINT)
        if entry.name < previous:
            raise ProgramError(f"member `{entry.name}` is not in sorted order", HINT)
        previous = entry.name
    expected = layout(entries, manifest_hash)
    for entry, header, offset in zip(entries, expected.headers, expected.offsets, strict=True):
        if data[offset - len(header) : offset] != header:
            raise ProgramError(f"the header of member `{entry.name}` is not as it must be", HINT)
    contents = sum(map(len, expected.headers)) + sum(entry.size for entry in entries)
    if data[contents:] != expected.tail:
        raise ProgramError("the archive's directory does not describe its members", HINT)
    members = zip(entries, expected.offsets, strict=True)
    return Archive(data, {entry.name: (entry, offset) for entry, offset in members}, manifest_hash)


def _directory(data: memoryview, end: int) -> tuple[int, int]:
    """Offset and end of the central directory, from the end records of which the last is at
    `end`; both lie inside the file."""
    *_, size, at, _ = _END.unpack_from(data, end)
    count = _END.unpack_from(data, end)[4]
    if count == _MAX16 or size == _MAX32 or at == _MAX32:
        end -= _LOCATOR.size + _END64.size
        if end < 0 or bytes(data[end : end + 4]) != b"PK\6\6":
            raise ProgramError("the archive has no ZIP64 end record", HINT)
        *_, size, at = _END64.unpack_from(data, end)
    if at + size != end:
        raise ProgramError("the archive's directory is not where its end record says", HINT)
    return at, end


def _entries(data: memoryview, at: int, end: int) -> Iterator[Entry]:
    """The entries of a central directory that occupies bytes [at, end)."""
    while at < end:
        if at + _CENTRAL.size > end or bytes(data[at : at + 4]) != b"PK\1\2":
            raise ProgramError("the archive's directory is malformed", HINT)
        (
            _, _, _, flags, method, _, _, crc, _, size, name_size, extra_size, comment_size, *_,
        ) = _CENTRAL.unpack_from(data, at)  # fmt: skip
        at += _CENTRAL.size + name_size + extra_size + comment_size
        if at > end:
            raise ProgramError("the archive's directory is malformed", HINT)
        begin = at - name_size - extra_size - comment_size
        name = bytes(data[begin : begin + name_size])
        if size == _MAX32:
            raise ProgramError("the archive has a member of 4 GiB or more", HINT)
        if not name:
            raise ProgramError("the archive has a member without a name", HINT)
        if not name.isascii() or not name.decode("ascii").isprintable():
            raise ProgramError("the archive has a member with an unprintable name", HINT)
        text = name.decode("ascii")
        if flags & 1:
            raise ProgramError(f"member `{text}` is encrypted", HINT)
        if method != 0:
            raise ProgramError(f"member `{text}` is compressed", HINT)
        yield Entry(text, size, crc)
