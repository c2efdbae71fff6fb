"""The trained models of the repository, with their data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.end_to_end.network import Array

MODELS = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        path: of the ONNX file.
        calibration: feed that sets the activation scales.
        test: feed that the model has never seen.
        label: class of each test sample or position.
    """

    path: Path
    calibration: dict[str, Array]
    test: dict[str, Array]
    label: Array


def digits_cnn() -> Trained:
    """Handwritten digits: `image` to `logits`."""
    return _of_repository("digits_cnn")


def char_lstm() -> Trained:
    """The next character: `ids` to `logits`."""
    return _of_repository("char_lstm")


def _of_repository(name: str) -> Trained:
    folder = MODELS / name
    test = arrays(folder / "test.npz")
    label = test.pop("label")
    return Trained(folder / f"{name}.onnx", arrays(folder / "calibration.npz"), test, label)


def resnet20(models: Path, data: Path) -> Trained:
    """CIFAR-10: `input` to `logits`, 256 images for calibration, 1,000 for the test."""
    images = arrays(data / "cifar10_lossless_4k_1k.npz")
    return Trained(
        models / "resnet20_akamaster.onnx",
        {"input": _normalised(images["x_train"][:256])},
        {"input": _normalised(images["x_test"])},
        images["y_test"].astype(np.int64),
    )


def _normalised(images: Array) -> Array:
    """Images (N, 32, 32, 3) uint8 as (N, 3, 32, 32), with mean and deviation of ImageNet."""
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    scaled = (images.astype(np.float64) / 255 - mean) / deviation
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)


def arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file."""
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
