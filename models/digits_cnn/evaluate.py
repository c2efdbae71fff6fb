"""Accuracy of the digits network on its held-back test images.

Run from the root of the repository::

    python -m models.digits_cnn.evaluate

It prints the accuracy of the ONNX model under onnxruntime and, where anacc can be imported, of
the program that anacc compiles from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

FOLDER = Path(__file__).parent


def accuracy(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the share of rows whose largest logit is the label's.

    Args:
        logits: class scores, [N, C].
        labels: class numbers, [N].
    """
    return float(np.mean(np.argmax(np.asarray(logits), axis=-1) == np.asarray(labels)))


def run_onnx(path: Path, image: FloatArray) -> FloatArray:
    """Return the logits [N, 10] of the ONNX model for images [N, 1, 8, 8]."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"image": image})[0], dtype=np.float32)


def run_compiled(path: Path, image: FloatArray, calibration: FloatArray) -> FloatArray:
    """Return the logits [N, 10] of the program compiled from the ONNX model."""
    import anacc

    program = anacc.compile(str(path), calibration={"image": calibration})
    return np.asarray(program.run({"image": image})["logits"], dtype=np.float32)


def main() -> None:
    """Print the test accuracy of the ONNX model and of the compiled program."""
    parser = argparse.ArgumentParser(description="Test accuracy of the digits CNN.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="output of train.py")
    parser.add_argument("--count", type=int, default=None, help="first test images only")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    model = folder / "digits_cnn.onnx"

    with np.load(folder / "test.npz") as test:
        image, label = test["image"][: arguments.count], test["label"][: arguments.count]
    percent = 100 * accuracy(run_onnx(model, image), label)
    print(f"onnxruntime float32: {percent:.2f} % of {len(label)} images")

    with np.load(folder / "calibration.npz") as data:
        calibration = data["image"]
    try:
        logits = run_compiled(model, image, calibration)
    except ImportError as error:
        print(f"compiled program:    not measured ({error})")
        return
    percent = 100 * accuracy(logits, label)
    print(f"compiled program:    {percent:.2f} % of {len(label)} images")


if __name__ == "__main__":
    main()
