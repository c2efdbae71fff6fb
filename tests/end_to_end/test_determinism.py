"""The same inputs give the same bytes, and a program survives its file and its assembly text."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anacc
from anacc.program.assembly import assemble
from anacc.program.container import image_bytes
from anacc.program.disassemble import disassemble
from anacc.program.encode import encode
from tests.end_to_end.checks import assert_equal, assert_same_bits
from tests.end_to_end.network import Network
from tests.end_to_end.trained import Trained, char_lstm, digits_cnn

COMPILE = """\
import hashlib, sys
import numpy as np
import anacc
from anacc.program.container import image_bytes
model, feed = sys.argv[1:]
with np.load(feed, allow_pickle=False) as arrays:
    program = anacc.compile(model, calibration=dict(arrays))
print(hashlib.sha256(image_bytes(program.image)).hexdigest())
"""


def mixed() -> Network:
    """Convolutions with a residual, a part for the host, a product, an LSTM, two outputs."""
    net = Network(3)
    x = net.input("N", 3, 6, 6)
    y = net.node("Relu", net.node("Conv", x, net.weight(40, 3, 3, 3, sums=27)))
    z = net.node("Conv", y, net.weight(40, 40, 3, 3, sums=360), pads=[1, 1, 1, 1])
    y = net.node("Abs", net.node("Add", y, z))
    rows = net.node("Reshape", y, net.integers(0, 40, 16), shape=("N", 40, 16))
    steps = net.node("Transpose", rows, perm=[2, 0, 1])
    weights = (net.weight(2, 280, 40, sums=10), net.weight(2, 280, 70, sums=70))
    hidden, last, _ = net.nodes("LSTM", (steps, *weights), 3, direction="bidirectional",
                                hidden_size=70)  # fmt: skip
    net.outputs += [net.node("MatMul", hidden, net.weight(70, 5, sums=70)), last]
    return net


def test_compiling_twice_gives_the_same_bytes() -> None:
    net = mixed()
    model, feed = net.model(), net.feed(3, seed=1)
    first, second = (anacc.compile(model, calibration=feed) for _ in range(2))
    assert image_bytes(first.image) == image_bytes(second.image)


@pytest.mark.parametrize("trained", [digits_cnn, char_lstm])
def test_processes_with_other_hash_seeds_give_the_same_bytes(
    tmp_path: Path, trained: Callable[[], Trained]
) -> None:
    model = trained()
    feed = tmp_path / "calibration.npz"
    np.savez(feed, allow_pickle=False, **model.calibration)
    digests = []
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, str(model.path), str(feed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(done.stdout.strip())
    here = anacc.compile(model.path, calibration=model.calibration)
    assert set(digests) == {hashlib.sha256(image_bytes(here.image)).hexdigest()}


def test_assembling_the_disassembly_gives_the_same_code() -> None:
    net = mixed()
    feed = net.feed(3, seed=1)
    image = anacc.compile(net.model(), calibration=feed).image
    again = assemble(disassemble(image.code))
    assert encode(again) == encode(image.code)
    expected = assert_same_bits(image, feed)
    assert_equal(anacc.Program(replace(image, code=again)).run(feed), expected, "assembled")


def test_saved_program_gives_the_same_results(tmp_path: Path) -> None:
    net = mixed()
    feed = net.feed(3, seed=1)
    program = anacc.compile(net.model(), calibration=feed)
    path = tmp_path / "program.bin"
    program.save(path)
    loaded = anacc.load(path)
    expected = assert_same_bits(program.image, feed)
    assert_equal(assert_same_bits(loaded.image, feed), expected, "loaded")
    loaded.save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()
