"""Arrays that are kept in a file."""

from __future__ import annotations

import mmap
from threading import Thread
from typing import Any

import numpy as np
import pytest

from anacc_passes import spool
from anacc_passes.spool import Spool


def is_mapped(array: Any) -> bool:
    while array is not None and not isinstance(array, (mmap.mmap, memoryview)):
        array = getattr(array, "base", None)
    return array is not None


def test_what_is_kept_is_the_same_and_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_STRETCH", 1 << 16)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-127, 128, (n, 70), np.int8) for n in (1, 40, 300, 2000, 7)]
    keeper = Spool(in_memory=3000)
    kept = [keeper.keep(array) for array in arrays]
    assert [is_mapped(each) for each in kept] == [False, False, True, True, True]
    for array, each in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, each)
        assert each.flags.c_contiguous and not each.flags.writeable


def test_an_array_that_is_not_contiguous() -> None:
    array = np.arange(12, dtype=np.int8).reshape(3, 4).T
    np.testing.assert_array_equal(Spool(in_memory=0).keep(array), array)


def test_an_empty_array() -> None:
    assert Spool(in_memory=0).keep(np.zeros((0, 4), np.int8)).shape == (0, 4)


def test_threads_share_a_spool() -> None:
    keeper, kept = Spool(in_memory=0), {}

    def work(number: int) -> None:
        for step in range(20):
            array = np.full((64, 64), number * 20 + step - 100, np.int8)
            kept[number * 20 + step] = keeper.keep(array)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((kept[value] == value - 100).all() for value in range(80))


def test_without_room_for_a_file_arrays_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    array = np.ones((3, 3), np.int8)
    kept = Spool(in_memory=0).keep(array)
    assert not is_mapped(kept) and (kept == array).all()
