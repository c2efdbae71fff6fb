"""Program files: deterministic, readable by other tools, and refused when damaged anywhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anacc.errors import ProgramError
from anacc.program import archive
from anacc.program.archive import ALIGNMENT, Entry, layout
from anacc.program.container import image_bytes, image_from_bytes, read, verify_all, write
from anacc.program.image import Image
from anacc.program.model import Code, Weight
from tests.program import sample

EMPTY = Code((), (), (), (), ())


@pytest.fixture(scope="module")
def data() -> bytes:
    return image_bytes(sample.image(full=False))


def load(data: bytes) -> bytes:
    """Read a file completely, and give the bytes of what was read."""
    image = image_from_bytes(data)
    verify_all(image)
    return image_bytes(image)


def forge(data: bytes, change: Callable[[dict[str, bytes]], None], rehash: bool = True) -> bytes:
    """A file with changed members and correct headers, and correct hashes unless told."""
    whole = archive.parse(memoryview(data))
    members = {name: bytes(whole.contents(name)) for name in whole.members}
    change(members)
    if rehash and "manifest.json" in members:
        manifest = json.loads(members["manifest.json"])
        if manifest["members"]:
            manifest["members"] = {
                name: hashlib.sha256(contents).hexdigest()
                for name, contents in members.items()
                if name != "manifest.json"
            }
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        members["manifest.json"] = text.encode()
    return assembled(members)


def assembled(members: dict[str, bytes]) -> bytes:
    """An archive of these members whose comment states the manifest's hash."""
    names = sorted(members)
    entries = [Entry(name, len(members[name]), zlib.crc32(members[name])) for name in names]
    digest = hashlib.sha256(members.get("manifest.json", b"")).hexdigest()
    plan = layout(entries, digest)
    parts = [part for pair in zip(plan.headers, names, strict=True) for part in pair]
    return b"".join(part if isinstance(part, bytes) else members[part] for part in parts) + (
        plan.tail
    )


def test_an_image_comes_back(tmp_path: Path) -> None:
    image = sample.image()
    write(image, tmp_path / "prog.bin")
    loaded = read(tmp_path / "prog.bin")
    verify_all(loaded)
    assert loaded.code == image.code
    assert loaded.manifest.model_copy(update={"members": {}}) == image.manifest
    assert set(loaded.manifest.members) == set(archive_names(tmp_path)) - {"manifest.json"}
    np.testing.assert_array_equal(loaded.constants16, image.constants16)
    np.testing.assert_array_equal(loaded.constants32, image.constants32)
    assert loaded.constants16.dtype == np.float16 and loaded.constants32.dtype == np.float32
    for left, right in zip(loaded.weights, image.weights, strict=True):
        assert not left.flags.writeable and left.dtype == np.int8
        np.testing.assert_array_equal(left, right)
    assert list(loaded.segments) == list(image.segments)
    assert (loaded.mapping, loaded.origin) == (image.mapping, image.origin)


def archive_names(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "prog.bin") as file:
        return file.namelist()


def test_equal_images_are_equal_bytes(data: bytes, tmp_path: Path) -> None:
    assert image_bytes(sample.image(full=False)) == data
    assert load(data) == data
    write(sample.image(full=False), tmp_path / "prog.bin")
    assert (tmp_path / "prog.bin").read_bytes() == data


def test_other_tools_read_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "prog.bin").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "prog.bin") as file:
        assert file.testzip() is None
        assert file.namelist() == sorted(file.namelist())
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            contents = file.read(info)
            assert data.index(contents, info.header_offset + 30 + len(info.filename)) >= 0
            name_and_extra = data[info.header_offset + 26 : info.header_offset + 30]
            sizes = int.from_bytes(name_and_extra[:2], "little") + int.from_bytes(
                name_and_extra[2:], "little"
            )
            assert (info.header_offset + 30 + sizes) % ALIGNMENT == 0
        manifest = hashlib.sha256(file.read("manifest.json")).hexdigest()
        assert file.comment.decode() == f"anacc manifest sha256 {manifest}"


def test_a_flipped_bit_is_refused(data: bytes) -> None:
    """One bit of each byte, a different one from byte to byte."""
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position * 5 + position // 8) % 8
        with pytest.raises(ProgramError):
            load(bytes(damaged))


def test_every_bit_of_the_directory_counts(data: bytes) -> None:
    for position in range(data.index(b"PK\1\2"), len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ProgramError):
                load(bytes(damaged))


def test_truncations_and_additions_are_refused(data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(ProgramError):
            load(data[:size])
    for damaged in (data + b"\0", b"\0" + data, data + data):
        with pytest.raises(ProgramError):
            load(damaged)


def edit(name: str, old: str, new: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        assert old in members[name].decode()
        members[name] = members[name].decode().replace(old, new, 1).encode()

    return change


def put(name: str, contents: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: contents})


def drop(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        del members[name]

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("extra.txt", b""), "member `extra.txt` is unknown"),
        (put("weights/00002.bin", b""), "member `weights/00002.bin` is unknown"),
        (drop("weights/00001.bin"), "member `weights/00001.bin` is missing"),
        (drop("host/00000.onnx"), "member `host/00000.onnx` is missing"),
        (drop("code.bin"), "member `code.bin` is missing"),
        (drop("manifest.json"), "member `manifest.json` is missing"),
        (put("weights/00000.bin", b"\1" * 47), "weight block 0 has 47 codes"),
        (put("weights/00001.bin", b"\1" * 31 + b"\x80"), "weight block 1 holds the code -128"),
        (put("constants16.bin", b"\0" * 3), "does not hold whole numbers of float16"),
        (put("constants32.bin", b"\0" * 6), "does not hold whole numbers of float32"),
        (put("code.bin", b"ANACCODE\2"), "code, byte 9: the code ends too early"),
        (put("mapping.json", b"{"), "`mapping.json` is not valid JSON"),
        (put("mapping.json", b"[]"), "does not hold a JSON object"),
        (put("mapping.json", b'{"a": 1}'), "`mapping.json` is not written in the canonical form"),
        (put("origin.json", b'{"a":1,"a":1}'), "is not written in the canonical form"),
        (put("origin.json", b'{"a":NaN}'), "NaN is not a JSON number"),
        (put("origin.json", b'{"a":' + b"[" * 100_000), "`origin.json` is not valid JSON"),
        (put("origin.json", b'{"a":"\xff"}'), "`origin.json` is not valid JSON"),
        (edit("manifest.json", '"format_version":3', '"format_version":1'), "format version 1"),
        (edit("manifest.json", '"format_version":3', '"format_version":"1"'), "version '1'"),
        (edit("manifest.json", '"batch":null', '"batch":"4"'), "`batch`"),
        (edit("manifest.json", '"batch":null', '"bath":null'), "manifest: `"),
        (edit("manifest.json", '"scale":0.5', '"scale":-0.5'), "`borders.0.scale`"),
        (edit("manifest.json", '"scale":0.5', '"scale":1'), "canonical form"),
        (edit("manifest.json", '"float32"', '"complex64"'), "`borders.0.dtype`"),
    ],
)
def test_edited_members_are_refused(
    data: bytes, change: Callable[[dict[str, bytes]], None], reason: str
) -> None:
    """Even with right hashes and headers, as an editor of the file could make them."""
    with pytest.raises(ProgramError) as caught:
        load(forge(data, change))
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["code.bin", "mapping.json", "constants16.bin"])
def test_wrong_hashes_are_refused_at_load(data: bytes, name: str) -> None:
    changed = forge(data, put(name, b"{}"), rehash=False)
    with pytest.raises(ProgramError, match=f"`{name}` does not match its hash"):
        image_from_bytes(changed)


def test_weights_and_segments_are_checked_at_first_use(data: bytes) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["weights/00001.bin"] = bytes(32)
        members["host/00000.onnx"] = b"other"

    image = image_from_bytes(forge(data, change, rehash=False))
    assert image.weights[0].shape == (12, 4)
    with pytest.raises(ProgramError, match="`weights/00001.bin` does not match its hash"):
        image.weights[-1]
    with pytest.raises(ProgramError, match="`host/00000.onnx` does not match its hash"):
        image.segments[0]
    with pytest.raises(ProgramError, match="does not match its hash"):
        verify_all(image)
    with pytest.raises(IndexError):
        image.weights[2]


def test_a_missing_or_unknown_hash_is_refused(data: bytes) -> None:
    with pytest.raises(ProgramError, match="manifest: `origin.jsom` is no member"):
        load(forge(data, edit("manifest.json", '"origin.json":', '"origin.jsom":'), rehash=False))


def test_foreign_archives_are_refused(data: bytes, tmp_path: Path) -> None:
    """Duplicate, compressed, or otherwise made members, with a plausible comment."""
    whole = archive.parse(memoryview(data))
    comment = f"anacc manifest sha256 {whole.manifest_hash}".encode()
    path = tmp_path / "other.zip"

    def zipped(names: list[str], method: int) -> bytes:
        with zipfile.ZipFile(path, "w", method) as file:
            for name in names:
                file.writestr(name, bytes(whole.contents(name)))
            file.comment = comment
        return path.read_bytes()

    names = sorted(whole.members)
    with pytest.raises(ProgramError, match="member `code.bin` is compressed"):
        load(zipped(names, zipfile.ZIP_DEFLATED))
    with pytest.raises(ProgramError, match="header of member `code.bin` is not as it must be"):
        load(zipped(names, zipfile.ZIP_STORED))
    with pytest.warns(UserWarning), pytest.raises(ProgramError, match="`code.bin` occurs twice"):
        load(zipped([names[0], *names], zipfile.ZIP_STORED))
    with pytest.raises(ProgramError, match="is not in sorted order"):
        load(zipped(names[::-1], zipfile.ZIP_STORED))
    flags = bytearray(data)
    flags[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(ProgramError, match="member `code.bin` is encrypted"):
        load(bytes(flags))


def test_many_members_use_zip64(tmp_path: Path) -> None:
    """More members than the old end record can count; other tools agree."""
    count = 65_600
    entries = [Entry(f"weights/{number:05d}.bin", 0, 0) for number in range(count)]
    plan = layout(entries, "0" * 64)
    data = b"".join(plan.headers) + plan.tail
    assert len(archive.parse(memoryview(data)).members) == count
    (tmp_path / "many.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "many.zip") as file:
        assert len(file.infolist()) == count


def test_offsets_beyond_4_gib_use_zip64() -> None:
    """The headers alone, since the contents would fill a disk."""
    entries = [Entry("a", 2**32 - 2, 0), Entry("b", 5, 0), Entry("c", 6, 0)]
    plan = layout(entries, "0" * 64)
    assert all(offset % ALIGNMENT == 0 for offset in plan.offsets)
    begin = plan.offsets[1] - len(plan.headers[1])
    assert begin == plan.offsets[0] + 2**32 - 2
    assert b"\x01\x00\x08\x00" + begin.to_bytes(8, "little") in plan.tail
    assert b"PK\6\6" in plan.tail
    with pytest.raises(ProgramError, match="more than the format allows"):
        layout([Entry("a", 2**32 - 1, 0)], "0" * 64)


def test_members_without_a_name_or_of_4_gib_are_refused() -> None:
    plan = layout([Entry("", 0, 0)], "0" * 64)
    with pytest.raises(ProgramError, match="a member without a name"):
        archive.parse(memoryview(plan.headers[0] + plan.tail))
    plan = layout([Entry("a", 0, 0)], "0" * 64)
    tail = plan.tail[:20] + b"\xff" * 8 + plan.tail[28:]  # both sizes of the directory's record
    with pytest.raises(ProgramError, match="of 4 GiB or more\nhint: the file is damaged"):
        archive.parse(memoryview(plan.headers[0] + tail))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": []}, "has 0 weight blocks, its code 2"),
        ({"segments": []}, "has 0 ONNX segments, its manifest 1"),
        ({"mapping": {"a": float("nan")}}, "`mapping.json` cannot be written as JSON"),
        ({"origin": {"a": np.int64(1)}}, "`origin.json` cannot be written as JSON"),
        ({"weights": [np.full((12, 4), -128, np.int8)] * 2}, "block 0 holds the code -128"),
        ({"weights": [np.zeros((12, 4), np.int16)] * 2}, "block 0 is int16"),
        ({"weights": [np.zeros((12, 4), np.int8)] * 2}, "block 1 is int8 (12, 4), not int8 (8, 4)"),
    ],
)
def test_wrong_images_are_not_written(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ProgramError) as caught:
        write(dataclasses.replace(sample.image(full=False), **change), tmp_path / "prog.bin")  # type: ignore[arg-type]
    assert reason in caught.value.message
    assert os.listdir(tmp_path) == []


def test_an_empty_program_has_empty_members() -> None:
    image = sample.image(full=False)
    manifest = image.manifest.model_copy(update={"segments": (), "borders": ()})
    empty = Image(manifest, EMPTY, np.zeros(0, np.float16), np.zeros(0, np.float32), [], [], {}, {})
    assert load(image_bytes(empty)) == image_bytes(empty)


def test_blocks_without_cells_and_slices() -> None:
    code = dataclasses.replace(EMPTY, weights=(Weight(0, 4), Weight(1, 2)))
    base = sample.image(full=False)
    image = dataclasses.replace(
        base, code=code, weights=[np.zeros((0, 4), np.int8), np.ones((2, 2), np.int8)[:1]]
    )
    loaded = image_from_bytes(image_bytes(image))
    assert [block.shape for block in loaded.weights[:]] == [(0, 4), (1, 2)]
    assert list(loaded.segments[:]) == [b"onnx"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prog.bin"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        assert len(os.listdir(tmp_path)) == 2, "the new file has another name until it is whole"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProgramError, match="cannot write .*: no space left on device"):
        write(sample.image(full=False), path)
    assert os.listdir(tmp_path) == ["prog.bin"]
    assert path.read_bytes() == b"old"


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(sample.image(full=False), tmp_path / "prog.bin")
    assert os.listdir(tmp_path) == []


def test_a_link_is_followed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "prog.bin")
    write(sample.image(full=False), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "prog.bin").read_bytes() == data


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    image = sample.image(full=False)
    with pytest.raises(ProgramError, match="cannot write .*: it is not a file"):
        write(image, tmp_path)
    with pytest.raises(ProgramError, match="cannot write .*: no such file or directory"):
        write(image, tmp_path / "none" / "prog.bin")
    with pytest.raises(ProgramError, match="cannot write .*: it is not a file"):
        write(image, os.devnull)
    with pytest.raises(ProgramError, match="cannot read .*: no such file or directory"):
        read(tmp_path / "none")
    with pytest.raises(ProgramError, match="cannot read .*: it is not a file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProgramError, match="cannot read .*: it is not a file"):
        read(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    with pytest.raises(ProgramError, match="is empty"):
        read(tmp_path / "empty")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ProgramError, match="no program's end record"):
        read(tmp_path / "text")
