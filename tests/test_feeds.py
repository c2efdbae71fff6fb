"""Feeds from files, from damaged files, and made up."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc import feeds
from anacc.errors import FeedError, UsageError
from anacc.feeds import load_feed, load_feeds, load_pairs, load_stored, synthetic_feed


@dataclass(frozen=True)
class Port:
    """An input, as a manifest states it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    batch_axis: int | None = 0


def npz(**arrays: Any) -> bytes:
    """The bytes of an `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy_member(content: bytes, name: str = "x.npy") -> bytes:
    """The bytes of an archive with one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npy_header(text: str, data: bytes = b"") -> bytes:
    """An NPY stream with any header."""
    encoded = text.encode()
    return b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + data


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 4), np.int8),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.arange(12).reshape(3, 4)[:, ::2],
    ],
)
def test_arrays_come_back(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    np.savez(tmp_path / "stored.npz", x=array)
    np.savez_compressed(tmp_path / "packed.npz", x=array)
    np.save(tmp_path / "x.npy", array)
    for read in (
        load_feed(tmp_path / "stored.npz"),
        load_feed(tmp_path / "packed.npz"),
        load_pairs([f"x={tmp_path / 'x.npy'}"]),
    ):
        np.testing.assert_array_equal(read["x"], array)
        assert read["x"].dtype == array.dtype.newbyteorder("=")
        assert read["x"].flags.writeable


@pytest.mark.parametrize("strings", [["a", "", "Zoë"], [["x"], ["yy"]], []])
def test_strings_come_back_as_objects_and_are_never_pickled(
    tmp_path: Path, strings: list[Any]
) -> None:
    np.savez(tmp_path / "x.npz", allow_pickle=False, x=np.array(strings, np.str_))
    found = load_feed(tmp_path / "x.npz")["x"]
    assert found.dtype == object
    assert found.tolist() == strings


def test_prefixes_part_inputs_from_references(tmp_path: Path) -> None:
    path = tmp_path / "feed.npz"
    path.write_bytes(npz(**{"in:a:0": [1], "b/c": [2], "out:y": [3]}))
    stored = load_stored(path)
    assert sorted(stored.feed) == ["a:0", "b/c"]
    assert list(stored.reference) == ["y"]


def test_a_folder_is_a_feed_for_each_file_in_order(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        np.savez(tmp_path / f"{number:02d}.npz", x=[number])
    (tmp_path / "notes.txt").write_text("not a feed")
    assert [int(feed["x"][0]) for feed in load_feeds(tmp_path)] == [1, 2, 10]
    assert [int(feed["x"][0]) for feed in load_feeds(tmp_path / "10.npz")] == [10]


def test_pairs(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [1.0])
    assert list(load_pairs([f"name=with=signs={tmp_path / 'a.npy'}"])) == ["name=with=signs"]


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello, this is no archive",
    "bare npy": npy_header("{'descr':'<f4','fortran_order':False,'shape':(1,)}", b"\0" * 4),
    "truncated": npz(x=np.arange(100))[:300],
    "no npy inside": npy_member(b"hello"),
    "objects": npz(x=np.array([{}, None], dtype=object)),
    "no characters": npz(x=np.array([0x7FFFFFFF], np.uint32).view("<U1")),
    "strings of no size": npy_member(
        npy_header("{'descr':'<U0','fortran_order':False,'shape':(99999999999,)}")
    ),
    "records": npz(x=np.zeros(2, dtype=[("a", "i4"), ("b", "f4")])),
    "complex": npz(x=np.zeros(2, np.complex64)),
    "huge shape": npy_member(
        npy_header("{'descr':'<f4','fortran_order':False,'shape':(99999999999,)}")
    ),
    "negative shape": npy_member(
        npy_header("{'descr':'<f4','fortran_order':False,'shape':(-1,)}", b"\0" * 8)
    ),
    "short data": npy_member(
        npy_header("{'descr':'<f4','fortran_order':False,'shape':(3,)}", b"\0" * 8)
    ),
    "bad dtype": npy_member(npy_header("{'descr':'<q9','fortran_order':False,'shape':(1,)}")),
    "bad header": npy_member(npy_header("{'descr': (")),
    "code in header": npy_member(npy_header("__import__('os')")),
    "unknown version": npy_member(b"\x93NUMPY\x09\x00" + b"\0" * 64),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "feed.npz"
    path.write_bytes(content)
    with pytest.raises(FeedError) as caught:
        load_feed(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_flipped_bits(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    """A flipped bit is found, or changes nothing but a name or what no reader looks at."""
    content = bytearray(npz(x=np.arange(8, dtype=np.int16)))
    content[position % len(content)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.npz"
    path.write_bytes(content)
    try:
        feed = load_feed(path)
    except FeedError as error:
        assert "\n" not in error.message
    else:
        for array in feed.values():
            np.testing.assert_array_equal(array, np.arange(8))


def test_archives_that_expand_too_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_BYTES", 1000)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1000))
    with pytest.raises(FeedError, match="holds more than"):
        load_feed(tmp_path / "x.npz")


def test_an_array_that_is_too_large_is_named(tmp_path: Path) -> None:
    header = "{'descr':'<f4','fortran_order':False,'shape':(1099511627776,)}"
    (tmp_path / "x.npz").write_bytes(npy_member(npy_header(header), "a.npy"))
    with pytest.raises(FeedError, match=r"`a` of `.*x.npz` of shape \(.*would need 4,096 GiB"):
        load_feed(tmp_path / "x.npz")


def test_more_than_the_file_holds_is_named(tmp_path: Path) -> None:
    header = "{'descr':'<f4','fortran_order':False,'shape':(9999,)}"
    (tmp_path / "x.npz").write_bytes(npy_member(npy_header(header), "a.npy"))
    with pytest.raises(FeedError, match=r"`a` of `.*x.npz` of shape \(9999,\) needs 39996 bytes"):
        load_feed(tmp_path / "x.npz")


def test_a_large_array_takes_its_own_size(tmp_path: Path) -> None:
    """Not twice as much while it is read."""
    np.save(tmp_path / "x.npy", np.zeros(1 << 22, np.float64))
    tracemalloc.start()
    feed = load_pairs([f"x={tmp_path / 'x.npy'}"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert feed["x"].nbytes <= peak < 1.5 * feed["x"].nbytes


def test_two_keys_for_one_input(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(npz(**{"in:x": [1], "x": [2]}))
    with pytest.raises(FeedError, match="both `x` and `in:x`"):
        load_feed(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda folder: load_feed(folder / "absent.npz"), "cannot be read: no such file"),
        (lambda folder: load_feeds(folder / "absent"), "no such file or folder"),
        (lambda folder: load_feed(folder), "cannot be read: is a directory"),
        (lambda folder: load_feeds(folder), "holds no `.npz` file"),
        (lambda folder: load_pairs(["x"]), "`x` is not of the form"),
        (lambda folder: load_pairs(["=a.npy"]), "`=a.npy` is not of the form"),
        (lambda folder: load_pairs([f"x={folder}/a.npy"]), "no such file"),
    ],
)
def test_wrong_paths(tmp_path: Path, load: Callable[[Path], object], message: str) -> None:
    with pytest.raises((FeedError, UsageError), match=message):
        load(tmp_path)


def test_an_input_given_twice(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [1.0])
    with pytest.raises(UsageError, match="input `x` is given twice"):
        load_pairs([f"x={tmp_path / 'a.npy'}"] * 2)


PORTS = (
    Port("image", "float32", (None, 3, 4)),
    Port("half", "float16", (2,), None),
    Port("ids", "int64", (5, None), 1),
    Port("mask", "bool", (None,)),
    Port("words", "object", (None,)),
)


def test_synthetic_feed_fits_the_ports() -> None:
    feed = synthetic_feed(PORTS, batch=7, seed=3)
    assert {name: (array.dtype.name, array.shape) for name, array in feed.items()} == {
        "image": ("float32", (7, 3, 4)),
        "half": ("float16", (2,)),
        "ids": ("int64", (5, 7)),
        "mask": ("bool", (7,)),
        "words": ("object", (7,)),
    }
    assert set(feed["words"]) == {"0", "1"}
    assert set(feed["ids"].ravel().tolist()) == {0, 1}


def test_no_sequence_is_made_up() -> None:
    with pytest.raises(FeedError, match="`s` is of type sequence_int8, of which nothing is made"):
        synthetic_feed([Port("s", "sequence_int8", (), None)], 1, 0)


def test_synthetic_feed_of_an_absurd_size() -> None:
    with pytest.raises(FeedError, match=r"input `x` of shape \(1099511627776, 8\) .* 32,768 GiB"):
        synthetic_feed([Port("x", "float32", (2**40, 8))], 1, 0)
    with pytest.raises(FeedError, match="input `x`"):
        synthetic_feed([Port("x", "int64", (None, 2**62))], 1, 0)


def test_synthetic_feed_depends_on_the_seed_alone() -> None:
    one, same, other = (synthetic_feed(PORTS, 7, seed) for seed in (3, 3, 4))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
    assert not np.array_equal(one["image"], other["image"])


def test_synthetic_floats_are_normal() -> None:
    values = synthetic_feed([Port("x", "float32", (None, 100))], 1000, 0)["x"]
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02


@pytest.mark.parametrize("name", ["pipe.npz", "link.npz"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, name: str) -> None:
    """A pipe waits for somebody who writes; a device has no end."""
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to("/dev/zero")
    with pytest.raises(FeedError, match="not a regular file"):
        load_feed(tmp_path / name)
    with pytest.raises(FeedError, match="not a regular file"):
        load_pairs([f"x={tmp_path / name}"])
