"""The demo: compile the digit network, run it on the simulated chip, compare with ONNX Runtime.

Run it with `make demo`.  It uses only what `models/` holds and needs no network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console

import anacc

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "build" / "demo"


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers in percent; logits (n, classes), labels (n,)."""
    return 100.0 * float(np.mean(np.argmax(logits, axis=1) == labels))


def main() -> None:
    """Compile, save, run and compare the digit network."""
    console = Console()
    folder = HERE / "digits_cnn"
    model = folder / "digits_cnn.onnx"
    test = np.load(folder / "test.npz", allow_pickle=False)
    images, labels = test["image"], test["label"]

    with np.load(folder / "calibration.npz", allow_pickle=False) as calibration:
        program = anacc.compile(model, calibration=dict(calibration))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    program.save(OUTPUT / "digits_cnn.bin")
    report = OUTPUT / "digits_cnn.report.json"
    report.write_text(json.dumps(program.report(), indent=1, sort_keys=True), encoding="utf-8")

    on_chip = program.run({"image": images})["logits"]
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    in_float = session.run(None, {"image": images})[0]

    console.print(f"{model.name} on the simulated chip, {len(labels)} held-back digits:")
    console.print(f"  chip, no device noise  {accuracy(on_chip, labels):6.2f} % right")
    console.print(f"  ONNX Runtime, float32  {accuracy(in_float, labels):6.2f} % right")
    shown = OUTPUT.relative_to(HERE.parent)
    console.print(f"program         {shown / 'digits_cnn.bin'}")
    console.print(f"mapping report  {shown / report.name}")
    console.print(f"look at it with .venv/bin/anacc inspect {shown / 'digits_cnn.bin'}")


if __name__ == "__main__":
    main()
