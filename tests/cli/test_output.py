"""Output files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from anacc.atomic import write_atomically
from anacc.cli import output
from anacc.errors import UsageError


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written: permission denied"):
        output.check_output(tmp_path / "out.npz")


def test_a_killed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.txt"
    write_atomically(path, [b"old"])
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, [b"new"])
    assert [file.name for file in tmp_path.iterdir()] == ["out.txt"]
    assert path.read_bytes() == b"old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", [b"content"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_any_output_name_can_be_written(tmp_path: Path) -> None:
    """`np.savez` would take `file` for its own argument."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "file": np.ones(2),
        "a/b:0": np.zeros((0, 3), np.int8),
        "": np.array(True),
    }
    output.write_npz(tmp_path / "a.npz", arrays)
    output.write_npz(tmp_path / "b.npz", arrays)
    with np.load(tmp_path / "a.npz") as read:
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
