"""Trained networks keep their accuracy on the chip, and all executors agree on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anacc
from anacc.metrics import snr_db, top1
from models.char_lstm.evaluate import bits_per_character
from tests.end_to_end.checks import assert_equal, assert_same_bits, onnx_results
from tests.end_to_end.network import Array
from tests.end_to_end.trained import Trained, arrays, char_lstm, digits_cnn, resnet20

READ_MODES = ["4-phase", "1-phase"]


def first(feed: dict[str, Array], count: int) -> dict[str, Array]:
    """The first samples of a feed whose arrays have the batch first."""
    return {name: array[:count] for name, array in feed.items()}


@pytest.mark.parametrize("read_mode", READ_MODES)
def test_digits(read_mode: str) -> None:
    model = digits_cnn()
    program = anacc.compile(model.path, calibration=model.calibration, read_mode=read_mode)
    found = assert_same_bits(program.image, first(model.test, 64))
    logits = program.run(model.test)["logits"]
    assert logits[:64].tobytes() == found["logits"].tobytes()
    exact = onnx_results(model.path, model.test)["logits"]
    assert top1(logits, model.label) >= top1(exact, model.label) - 0.005


def check_characters(target: str | Path, read_mode: str) -> None:
    model = char_lstm()
    program = anacc.compile(
        model.path, target=target, calibration=model.calibration, read_mode=read_mode
    )
    found = assert_same_bits(program.image, first(model.test, 2))
    logits = program.run(model.test)["logits"]
    assert logits[:2].tobytes() == found["logits"].tobytes()
    exact = onnx_results(model.path, model.test)["logits"]
    lost = bits_per_character(logits, model.label) - bits_per_character(exact, model.label)
    assert lost <= 0.02


def test_characters() -> None:
    check_characters("hermes", "4-phase")


def test_characters_in_one_phase(tmp_path: Path) -> None:
    """Sums of this network exceed 12 cells, where the only phase of this mode clips."""
    target = tmp_path / "wide.toml"
    target.write_text('inherit = "hermes"\nadc.full_scale_cells = [12.0, 24.0]\n', "utf-8")
    check_characters(target, "1-phase")


@pytest.fixture(scope="module")
def resnet(anacc_models: Path, anacc_data: Path) -> tuple[anacc.Program, Trained]:
    model = resnet20(anacc_models, anacc_data)
    return anacc.compile(model.path, calibration=model.calibration, read_mode="4-phase"), model


def test_resnet_bits(resnet: tuple[anacc.Program, Trained]) -> None:
    program, model = resnet
    feed = first(model.test, 8)
    expected = program.run(feed, executor="reference")
    for threads in (1, 2):
        assert_equal(program.run(feed, threads=threads), expected, f"{threads} threads")


@pytest.mark.slow
def test_resnet_accuracy(resnet: tuple[anacc.Program, Trained]) -> None:
    """float32: 91.5 % of the 1,000 images."""
    program, model = resnet
    found = program.run(model.test)
    assert top1(found["logits"], model.label) >= 0.905
    assert_equal(found, program.run(model.test, executor="reference"), "native")


LEAST_SNR = {
    "kws_DNN_L": 15.0,
    "mnist_12_cntk": 20.0,
    "dtln_1": 15.0,
    "ptb_lstm_lm": 15.0,
}
"""Least signal-to-noise ratio of each output against ONNX Runtime, in dB: modest, for what matters
is that nothing is out of order, which would leave 0 dB."""


@pytest.mark.parametrize("read_mode", READ_MODES)
@pytest.mark.parametrize("name", LEAST_SNR)
def test_public_model(anacc_models: Path, name: str, read_mode: str) -> None:
    stored = arrays(anacc_models / f"{name}.rand.npz")
    feed = {key.removeprefix("in:"): stored[key] for key in stored if key.startswith("in:")}
    program = anacc.compile(anacc_models / f"{name}.onnx", calibration=feed, read_mode=read_mode)
    found = assert_same_bits(program.image, feed)
    for output, array in found.items():
        reference = stored[f"out:{output}"]
        assert array.shape == reference.shape and np.isfinite(array).all()
        assert snr_db(reference, array) >= LEAST_SNR[name], output
