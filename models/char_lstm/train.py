"""Train the character LSTM on Python's own help texts and write its files.

Run from the root of the repository::

    python -m models.char_lstm.train

The script writes three files into ``--output``:

* ``char_lstm.onnx``: the trained network, with the vocabulary in its metadata;
* ``calibration.npz``: sequences of the training text (``ids`` [128, 64] int64);
* ``test.npz``: sequences of the held-back text and the characters that follow
  (``ids`` and ``label`` [400, 64] int64).
"""

from __future__ import annotations

import argparse
import hashlib
import platform
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.char_lstm.evaluate import bits_per_character, run_onnx
from models.char_lstm.model import (
    HIDDEN,
    SEQUENCE_LENGTH,
    VOCABULARY,
    CharLstm,
    encode,
    reorder_gates,
)

OPSET = 17
IR_VERSION = 8

# The help texts differ between releases of Python: this is the text of the trained model.
TEXT_PYTHON = "3.11.7"
TEXT_SHA256 = "f784d6fb39bdb407417b39889b74209e5327a12c530ac010595a0cb3719c903b"

VALIDATION_SEQUENCES = 200
TEST_SEQUENCES = 400
CALIBRATION_SEQUENCES = 128

BATCH_SIZE = 32
PEAK_LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
DROPOUT = 0.2
GRADIENT_NORM = 1.0

TOLERANCE = 1e-4  # Largest accepted difference of logits between PyTorch and onnxruntime.

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Corpus(NamedTuple):
    """Character ids, [count] int64 each, of three consecutive parts of the text."""

    training: IntArray
    validation: IntArray
    test: IntArray


def load_text() -> str:
    """Return the help topics in alphabetical order, every paragraph once.

    Many topics quote each other in full. Only the first occurrence of a paragraph is kept, so
    that no paragraph of the held-back end of the text can be found in the training text.
    """
    seen: set[str] = set()
    paragraphs: list[str] = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                paragraphs.append(paragraph.strip("\n"))
    return "\n\n".join(paragraphs)


def split_text(text: str) -> Corpus:
    """Encode `text` and split off its end: first the test part, then the validation part."""
    ids = np.array(encode(text), dtype=np.int64)
    # Each part ends with one character more, the label of its last input.
    test_start = len(ids) - (TEST_SEQUENCES * SEQUENCE_LENGTH + 1)
    validation_start = test_start - (VALIDATION_SEQUENCES * SEQUENCE_LENGTH + 1)
    return Corpus(ids[:validation_start], ids[validation_start:test_start], ids[test_start:])


def cut(ids: IntArray, start: int = 0) -> tuple[IntArray, IntArray]:
    """Cut text from `start` into consecutive sequences: inputs and next characters, [N, T]."""
    count = (len(ids) - start - 1) // SEQUENCE_LENGTH
    stop = start + count * SEQUENCE_LENGTH
    shape = (count, SEQUENCE_LENGTH)
    return ids[start:stop].reshape(shape), ids[start + 1 : stop + 1].reshape(shape)


def train(corpus: Corpus, epochs: int, seed: int) -> CharLstm:
    """Train a new network on the training part and return it in evaluation mode.

    Each epoch cuts the text at another offset. The validation part is only watched: nothing is
    chosen by it during a run.
    """
    torch.manual_seed(seed)
    model = CharLstm(DROPOUT)
    # One sequence fewer than in the whole text fits behind any offset below the sequence length.
    steps = (len(corpus.training) // SEQUENCE_LENGTH - 1) // BATCH_SIZE
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_LEARNING_RATE, total_steps=epochs * steps
    )
    loss_function = nn.CrossEntropyLoss()
    validation_ids, validation_label = cut(corpus.validation)

    for epoch in range(epochs):
        model.train()
        offset = int(torch.randint(SEQUENCE_LENGTH, ()))
        ids, label = map(torch.from_numpy, cut(corpus.training, offset))
        total = 0.0
        for batch in torch.randperm(len(ids))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
            loss: Tensor = loss_function(model(ids[batch]).flatten(0, 1), label[batch].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            total += loss.item()
        bits = bits_per_character(predict(model, validation_ids), validation_label)
        print(
            f"epoch {epoch + 1:3d}  training {total / steps / np.log(2):.3f}  "
            f"validation {bits:.3f} bits per character",
            flush=True,
        )
    return model.eval()


def predict(model: CharLstm, ids: IntArray) -> FloatArray:
    """Return the logits [N, T, V] of the network in evaluation mode."""
    model.eval()
    with torch.no_grad():
        logits: Tensor = model(torch.from_numpy(ids))
    return logits.numpy()


def build_onnx(model: CharLstm) -> onnx.ModelProto:
    """Express the trained network as ONNX: `ids` [N, T] to `logits` [N, T, V]."""
    lstm = {name: reorder_gates(value) for name, value in model.lstm.named_parameters()}
    parameters = {
        "embedding.weight": model.embedding.weight,  # [V, E]
        "lstm.W": lstm["weight_ih_l0"].unsqueeze(0),  # [1, 4 * H, E]
        "lstm.R": lstm["weight_hh_l0"].unsqueeze(0),  # [1, 4 * H, H]
        "lstm.B": torch.cat([lstm["bias_ih_l0"], lstm["bias_hh_l0"]]).unsqueeze(0),  # [1, 8 * H]
        "output.weight": model.output.weight.T,  # [H, V]
        "output.bias": model.output.bias,  # [V]
    }
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(value.detach().numpy()), name)
        for name, value in parameters.items()
    ]
    initializers.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "direction_axis"))

    nodes = [
        # [N, T] -> [N, T, E] -> [T, N, E]
        helper.make_node("Gather", ["embedding.weight", "ids"], ["embedded"], "embedding", axis=0),
        helper.make_node("Transpose", ["embedded"], ["steps"], "time_first", perm=[1, 0, 2]),
        # [T, N, E] -> [T, 1, N, H]; the absent initial states are zero.
        helper.make_node(
            "LSTM", ["steps", "lstm.W", "lstm.R", "lstm.B"], ["states"], "lstm", hidden_size=HIDDEN
        ),
        # [T, 1, N, H] -> [T, N, H] -> [N, T, H] -> [N, T, V]
        helper.make_node("Squeeze", ["states", "direction_axis"], ["hidden"], "drop_direction"),
        helper.make_node("Transpose", ["hidden"], ["features"], "batch_first", perm=[1, 0, 2]),
        helper.make_node("MatMul", ["features", "output.weight"], ["scores"], "output"),
        helper.make_node("Add", ["scores", "output.bias"], ["logits"], "output_bias"),
    ]
    logits_shape: list[str | int] = ["N", SEQUENCE_LENGTH, len(VOCABULARY)]
    graph = helper.make_graph(
        nodes,
        "char_lstm",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", SEQUENCE_LENGTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits_shape)],
        initializers,
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="anacc example models",
        doc_string="Character LSTM language model of Python's help texts.",
    )
    helper.set_model_props(proto, {"vocabulary": VOCABULARY})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def check_against_torch(path: Path, model: CharLstm, ids: IntArray) -> float:
    """Return the largest difference of logits between `path` and `model` on `ids`.

    Raises:
        RuntimeError: the difference is larger than `TOLERANCE`.
    """
    difference = float(np.max(np.abs(run_onnx(path, ids) - predict(model, ids))))
    if difference > TOLERANCE:
        raise RuntimeError(f"onnxruntime differs from PyTorch by {difference:.2e}")
    return difference


def main() -> None:
    """Train, export, check and evaluate the network."""
    parser = argparse.ArgumentParser(description="Train the character LSTM and write its files.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="initial weights and batch order")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    text = load_text()
    if hashlib.sha256(text.encode()).hexdigest() != TEXT_SHA256:
        print(
            f"note: the help texts of Python {platform.python_version()} are not those of "
            f"{TEXT_PYTHON}: the split and the figures will differ from the model card"
        )
    corpus = split_text(text)
    print("characters: " + ", ".join(f"{k} {len(v)}" for k, v in corpus._asdict().items()))
    model = train(corpus, arguments.epochs, arguments.seed)

    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    path = output / "char_lstm.onnx"
    onnx.save(build_onnx(model), path)
    training_ids, _ = cut(corpus.training)
    # Spread over the whole training text.
    chosen = np.linspace(0, len(training_ids) - 1, CALIBRATION_SEQUENCES).astype(np.int64)
    np.savez_compressed(output / "calibration.npz", ids=training_ids[chosen])
    ids, label = cut(corpus.test)
    np.savez_compressed(output / "test.npz", ids=ids, label=label)

    difference = check_against_torch(path, model, ids)
    print(f"largest difference to PyTorch {difference:.1e}, onnxruntime {ort.__version__}")
    for name, part in corpus._asdict().items():
        ids, label = cut(part)
        bits = bits_per_character(run_onnx(path, ids), label)
        print(f"{name} {bits:.4f} bits per character")


if __name__ == "__main__":
    main()
