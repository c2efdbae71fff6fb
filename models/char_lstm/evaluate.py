"""Bits per character of the LSTM on its held-back test text.

Run from the root of the repository::

    python -m models.char_lstm.evaluate

It prints the figure of the ONNX model under onnxruntime and, where anacc can be imported, of the
program that anacc compiles from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

FOLDER = Path(__file__).parent


def bits_per_character(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean cross entropy of the labels under softmax(logits), in bits.

    A lower figure is better; log2(V) is that of a model that finds all characters equally likely.

    Args:
        logits: scores of the next character, [..., V].
        labels: ids of the characters that did follow, [...].
    """
    scores = np.asarray(logits, dtype=np.float64)
    scores = scores - scores.max(axis=-1, keepdims=True)
    log_partition = np.log(np.exp(scores).sum(axis=-1))
    chosen = np.take_along_axis(scores, np.asarray(labels)[..., np.newaxis], axis=-1)[..., 0]
    return float(np.mean(log_partition - chosen) / np.log(2.0))


def run_onnx(path: Path, ids: IntArray) -> FloatArray:
    """Return the logits [N, T, V] of the ONNX model for character ids [N, T]."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"ids": ids})[0], dtype=np.float32)


def run_compiled(path: Path, ids: IntArray, calibration: IntArray) -> FloatArray:
    """Return the logits [N, T, V] of the program compiled from the ONNX model."""
    import anacc

    program = anacc.compile(str(path), calibration={"ids": calibration})
    return np.asarray(program.run({"ids": ids})["logits"], dtype=np.float32)


def main() -> None:
    """Print the bits per character of the ONNX model and of the compiled program."""
    parser = argparse.ArgumentParser(description="Bits per character of the LSTM on test text.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="output of train.py")
    parser.add_argument("--count", type=int, default=None, help="first test sequences only")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    model = folder / "char_lstm.onnx"

    with np.load(folder / "test.npz") as test:
        ids, label = test["ids"][: arguments.count], test["label"][: arguments.count]
    bits = bits_per_character(run_onnx(model, ids), label)
    print(f"onnxruntime float32: {bits:.4f} bits per character of {label.size} characters")

    with np.load(folder / "calibration.npz") as data:
        calibration = data["ids"]
    try:
        logits = run_compiled(model, ids, calibration)
    except ImportError as error:
        print(f"compiled program:    not measured ({error})")
        return
    bits = bits_per_character(logits, label)
    print(f"compiled program:    {bits:.4f} bits per character of {label.size} characters")


if __name__ == "__main__":
    main()
