"""Programs of real models have no fault, and all of their multiply-adds are proven."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import anacc
from anacc.verification.check import verify

MODELS = Path(__file__).resolve().parent.parent.parent / "models"
REAL = [
    "bert_toy_optimized",
    "dtln_1",
    "fastestdet",
    "gonnx_ndm",
    "kws_DNN_L",
    "micro_kws_qdq",
    "mlperf_kws_ref_model",
    "mlperf_kws_ref_model_float32",
    "mnist_12_cntk",
    "ptb_lstm_lm",
    "resnet20_akamaster",
    "superres_pytorch",
    "ultraface_slim320",
]


def check(path: Path, feed: Path) -> None:
    """Compile a model and prove its program."""
    with np.load(feed) as data, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays = {name.removeprefix("in:"): data[name] for name in data if "out:" not in name}
        image = anacc.compile(path, calibration=arrays).image
    findings = verify(image, path)
    assert [fault.message for fault in findings.faults] == []
    products = findings.figures["multiply_adds"]
    assert products["program"] == products["model"] == image.mapping["macs"]["crossbar"] > 0


@pytest.mark.parametrize("name", ["digits_cnn", "char_lstm"])
def test_own_models(name: str) -> None:
    check(MODELS / name / f"{name}.onnx", MODELS / name / "calibration.npz")


@pytest.mark.parametrize("name", REAL)
def test_real_models(anacc_models: Path, name: str) -> None:
    check(anacc_models / f"{name}.onnx", anacc_models / f"{name}.rand.npz")
