"""The program file: write an `Image` to a ZIP archive, and read it back without trusting it.

Members, in the order of their names::

    code.bin          anacc.program.encode
    constants16.bin   binary16, little-endian
    constants32.bin   binary32, little-endian
    host/00000.onnx   ONNX segments, serialised
    manifest.json     anacc.program.manifest; holds the SHA-256 of each other member
    mapping.json      the mapper's decisions
    origin.json       where each stream and weight block comes from
    weights/00000.bin weight codes, int8, row-major

The archive's comment holds the SHA-256 of the manifest.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anacc.atomic import write_atomically
from anacc.errors import ProgramError
from anacc.program import canonical
from anacc.program.archive import HINT, Archive, Entry, layout, parse
from anacc.program.decode import decode
from anacc.program.encode import encode
from anacc.program.image import Image
from anacc.program.members import Loaded, Segments, Weights, checked_weight, segment, weight

_FIXED = (
    "code.bin",
    "constants16.bin",
    "constants32.bin",
    "manifest.json",
    "mapping.json",
    "origin.json",
)


def write(image: Image, path: str | os.PathLike[str]) -> None:
    """Write a program file.

    The file is written under a temporary name in the same folder, flushed to the disk and renamed,
    so that the path holds the whole new program or what it held before.  The same image always
    gives the same bytes.

    Args:
        image: the program; `manifest.members` is ignored and written anew.
        path: of the file; an existing file is replaced.

    Raises:
        ProgramError: the image cannot be encoded, or the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    if target.exists() and not target.is_file():
        raise ProgramError(f"cannot write `{path}`: it is not a file", "choose another name")
    chunks = _chunks(image)
    try:
        write_atomically(path, chunks)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProgramError(
            f"cannot write `{path}`: {reason}", "choose a folder with space that you may write to"
        ) from None


def image_bytes(image: Image) -> bytes:
    """The bytes of the file that `write` would write.

    Raises:
        ProgramError: the image cannot be encoded.
    """
    return b"".join(_chunks(image))


def read(path: str | os.PathLike[str]) -> Image:
    """Read a program file.

    Headers and all small members are checked now, weights and ONNX segments at first use; the file
    stays memory mapped and must not change while the image lives.  The rules of the instruction
    set are not checked: see `anacc.program.check`.

    Args:
        path: of the file.

    Returns:
        The program; arrays are read-only views of the file.

    Raises:
        ProgramError: the file cannot be read, or is not an undamaged program.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ProgramError(f"`{path}` is empty", "compile the model again")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ProgramError(f"cannot read `{path}`: {reason}", "check the path") from None
    try:
        return image_from_bytes(data)
    except ProgramError as error:
        raise ProgramError(f"`{path}`: {error.message}", error.hint) from None


def image_from_bytes(data: bytes | memoryview) -> Image:
    """The program in the bytes of a file; see `read`.

    Raises:
        ProgramError: the bytes are not an undamaged program.
    """
    archive = parse(memoryview(data))
    for name in _FIXED:
        if name not in archive.members:
            raise ProgramError(f"member `{name}` is missing", HINT)
    text = archive.contents("manifest.json")
    if hashlib.sha256(text).hexdigest() != archive.manifest_hash:
        raise ProgramError("member `manifest.json` does not match its hash", HINT)
    manifest = canonical.load_manifest(bytes(text))
    loaded = Loaded(archive, manifest.members)
    code = decode(loaded.verified("code.bin"))
    _check_names(archive, manifest.members, len(code.weights), len(manifest.segments))
    return Image(
        manifest=manifest,
        code=code,
        constants16=_constants(loaded, "constants16.bin", np.dtype("<f2")).astype(
            np.float16, copy=False
        ),
        constants32=_constants(loaded, "constants32.bin", np.dtype("<f4")).astype(
            np.float32, copy=False
        ),
        weights=Weights(loaded, code.weights),
        segments=Segments(loaded, len(manifest.segments)),
        mapping=canonical.load("mapping.json", bytes(loaded.verified("mapping.json"))),
        origin=canonical.load("origin.json", bytes(loaded.verified("origin.json"))),
    )


def verify_all(image: Image) -> None:
    """Check every weight block and ONNX segment of an image against its hash, now.

    Raises:
        ProgramError: one is damaged.
    """
    for position, shape in enumerate(image.code.weights):
        checked_weight(position, image.weights[position], shape)
    for position in range(len(image.segments)):
        _ = image.segments[position]


def _chunks(image: Image) -> Iterator[memoryview | bytes]:
    """The bytes of an image's file in order; the image is encoded and checked at once, contents
    are read again when they are written."""
    members = _members(image)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    manifest = canonical.dump_manifest(image.manifest.model_copy(update={"members": hashes}))
    members["manifest.json"] = memoryview(manifest)
    ordered = sorted(members.items())
    entries = [Entry(name, data.nbytes, zlib.crc32(data)) for name, data in ordered]
    plan = layout(entries, hashlib.sha256(manifest).hexdigest())

    def chunks() -> Iterator[memoryview | bytes]:
        for header, (_, data) in zip(plan.headers, ordered, strict=True):
            yield header
            yield data
        yield plan.tail

    return chunks()


def _members(image: Image) -> dict[str, memoryview]:
    """The contents of all members but the manifest."""
    if len(image.weights) != len(image.code.weights):
        raise ProgramError(
            f"the image has {len(image.weights)} weight blocks, its code {len(image.code.weights)}"
        )
    if len(image.segments) != len(image.manifest.segments):
        raise ProgramError(
            f"the image has {len(image.segments)} ONNX segments, its manifest "
            f"{len(image.manifest.segments)}"
        )
    constants16 = np.ascontiguousarray(image.constants16, np.dtype("<f2"))
    constants32 = np.ascontiguousarray(image.constants32, np.dtype("<f4"))
    members = {
        "code.bin": memoryview(encode(image.code)),
        "constants16.bin": _view(constants16),
        "constants32.bin": _view(constants32),
        "mapping.json": memoryview(canonical.dump("mapping.json", image.mapping)),
        "origin.json": memoryview(canonical.dump("origin.json", image.origin)),
    }
    for position, shape in enumerate(image.code.weights):
        codes = checked_weight(position, image.weights[position], shape)
        members[weight(position)] = _view(np.ascontiguousarray(codes))
    for position, onnx in enumerate(image.segments):
        members[segment(position)] = memoryview(onnx)
    return members


def _view(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> memoryview:
    """The bytes of a contiguous array, not copied."""
    return array.reshape(-1).view(np.uint8).data


def _constants(
    loaded: Loaded, name: str, dtype: np.dtype[np.float16] | np.dtype[np.float32]
) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]]:
    data = loaded.verified(name)
    if len(data) % dtype.itemsize:
        raise ProgramError(f"member `{name}` does not hold whole numbers of {dtype.name}", HINT)
    return np.frombuffer(data, dtype)


def _check_names(archive: Archive, hashes: dict[str, str], weights: int, segments: int) -> None:
    """Members are those that code and manifest call for, and the manifest has their hashes."""
    expected = {*_FIXED, *map(weight, range(weights)), *map(segment, range(segments))}
    for name in sorted(archive.members.keys() ^ expected):
        what = "is unknown" if name in archive.members else "is missing"
        raise ProgramError(f"member `{name}` {what}", HINT)
    for name in sorted(hashes.keys() ^ (expected - {"manifest.json"})):
        what = "is no member" if name in hashes else "has no hash"
        raise ProgramError(f"manifest: `{name}` {what}", HINT)


def _open_regular(path: str, flags: int) -> int:
    """Open a file for reading, but no folder, and no pipe, which would block."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(0, "it is not a file")
    return os.open(path, flags)
