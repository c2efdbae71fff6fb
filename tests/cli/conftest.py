"""A command line to call, and files for it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from click.testing import CliRunner, Result

from anacc.cli.commands import anacc
from tests.cli import sample


class Call(Protocol):
    """Runs the command line in this process."""

    def __call__(self, *arguments: object) -> Result: ...


@pytest.fixture
def call() -> Call:
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(anacc, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with program.bin, batch2.bin, model.onnx, feed.npz and set.npz.

    The data set has 5 samples, of which the last label is wrong.
    """
    sample.write_program(tmp_path, batch=2).rename(tmp_path / "batch2.bin")
    sample.write_program(tmp_path)
    sample.write_model(tmp_path)
    x = sample.inputs(5)
    y = x @ sample.WEIGHT + sample.BIAS
    label = np.argmax(y, axis=1)
    label[-1] = (label[-1] + 1) % 3
    np.savez(tmp_path / "feed.npz", **{"in:x": x, "out:y": y})  # type: ignore[arg-type]
    np.savez(tmp_path / "set.npz", x=x, label=label)
    np.save(tmp_path / "x.npy", x)
    return tmp_path
