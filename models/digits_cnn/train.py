"""Train the digits network and write its ONNX model and data files.

Run from the root of the repository::

    python -m models.digits_cnn.train

The script writes three files into ``--output``:

* ``digits_cnn.onnx``: the trained network, batch normalisation not folded;
* ``calibration.npz``: training images (``image`` [200, 1, 8, 8] float32);
* ``test.npz``: held-back images and labels (``image`` [400, 1, 8, 8] float32,
  ``label`` [400] int64).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from models.digits_cnn.evaluate import accuracy, run_onnx
from models.digits_cnn.model import CLASSES, IMAGE_SIZE, DigitsCnn

OPSET = 17
IR_VERSION = 8

SPLIT_SEED = 0  # Fixed, so that --seed changes the training and never the test set.
TEST_IMAGES = 400
CALIBRATION_IMAGES = 200

BATCH_SIZE = 32
PEAK_LEARNING_RATE = 1e-2
WEIGHT_DECAY = 1e-2

TOLERANCE = 1e-4  # Largest accepted difference of logits between PyTorch and onnxruntime.

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Images [count, 1, 8, 8] float32 in 0..1 and their labels [count] int64."""

    image: FloatArray
    label: IntArray


def load_data() -> tuple[Split, Split]:
    """Return the training and the test split, stratified by digit."""
    digits = load_digits()
    image = (digits.images / 16.0).astype(np.float32)[:, np.newaxis]
    label = digits.target.astype(np.int64)
    train_index, test_index = train_test_split(
        np.arange(len(label)), test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=label
    )
    return (
        Split(image[train_index], label[train_index]),
        Split(image[test_index], label[test_index]),
    )


def train(data: Split, epochs: int, seed: int) -> DigitsCnn:
    """Train a new network on `data` and return it in evaluation mode."""
    torch.manual_seed(seed)
    model = DigitsCnn()
    image, label = torch.from_numpy(data.image), torch.from_numpy(data.label)
    # The last, incomplete batch of each epoch is dropped; the images are shuffled anew each time.
    steps = len(label) // BATCH_SIZE
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_LEARNING_RATE, total_steps=epochs * steps
    )
    loss_function = nn.CrossEntropyLoss()

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(label))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
            loss: Tensor = loss_function(model(image[batch]), label[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:3d}  training loss {total / steps:.4f}", flush=True)
    return model.eval()


def build_onnx(model: DigitsCnn) -> onnx.ModelProto:
    """Express the trained network as ONNX: `image` [N, 1, 8, 8] to `logits` [N, 10]."""
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []

    def parameter(name: str, value: Tensor) -> str:
        array = value.detach().numpy().astype(np.float32)
        initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(op_type: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node whose only output bears the node's name."""
        nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def conv(name: str, layer: nn.Conv2d, x: str) -> str:
        """Add a convolution that keeps height and width."""
        weight = parameter(f"{name}.weight", layer.weight)
        height, width = layer.kernel_size
        return node(
            "Conv",
            name,
            [x, weight],
            kernel_shape=[height, width],
            strides=[1, 1],
            pads=[height // 2, width // 2, height // 2, width // 2],
        )

    def batch_norm(name: str, layer: nn.BatchNorm2d, x: str) -> str:
        statistics = {
            "scale": layer.weight,
            "bias": layer.bias,
            "mean": layer.running_mean,
            "variance": layer.running_var,
        }
        inputs = [x]
        for key, value in statistics.items():
            assert value is not None  # The optional parts of BatchNorm2d are all in use here.
            inputs.append(parameter(f"{name}.{key}", value))
        return node("BatchNormalization", name, inputs, epsilon=layer.eps)

    x = conv("stem_conv", model.stem_conv, "image")
    x = batch_norm("stem_bn", model.stem_bn, x)
    stem = node("Relu", "stem_relu", [x])

    x = conv("block1_conv1", model.block1_conv1, stem)
    x = batch_norm("block1_bn1", model.block1_bn1, x)
    x = node("Relu", "block1_relu1", [x])
    x = conv("block1_conv2", model.block1_conv2, x)
    x = batch_norm("block1_bn2", model.block1_bn2, x)
    x = node("Add", "block1_add", [x, stem])
    x = node("Relu", "block1_relu2", [x])

    pooled = node("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])

    x = conv("block2_conv1", model.block2_conv1, pooled)
    x = batch_norm("block2_bn1", model.block2_bn1, x)
    x = node("Relu", "block2_relu1", [x])
    x = conv("block2_conv2", model.block2_conv2, x)
    x = batch_norm("block2_bn2", model.block2_bn2, x)
    shortcut = conv("block2_shortcut_conv", model.block2_shortcut_conv, pooled)
    shortcut = batch_norm("block2_shortcut_bn", model.block2_shortcut_bn, shortcut)
    x = node("Add", "block2_add", [x, shortcut])
    x = node("Relu", "block2_relu2", [x])

    x = node("GlobalAveragePool", "global_average_pool", [x])
    x = node("Flatten", "flatten", [x], axis=1)
    weight = parameter("classifier.weight", model.classifier.weight)
    bias = parameter("classifier.bias", model.classifier.bias)
    nodes.append(
        helper.make_node("Gemm", [x, weight, bias], ["logits"], name="classifier", transB=1)
    )

    image_shape: list[str | int] = ["N", 1, IMAGE_SIZE, IMAGE_SIZE]
    graph = helper.make_graph(
        nodes,
        "digits_cnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image_shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        initializers,
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="anacc example models",
        doc_string="Residual CNN for the 8x8 handwritten digits of scikit-learn.",
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def check_against_torch(path: Path, model: DigitsCnn, image: FloatArray) -> float:
    """Return the largest difference of logits between `path` and `model` on `image`.

    Raises:
        RuntimeError: the difference is larger than `TOLERANCE`.
    """
    with torch.no_grad():
        expected = model(torch.from_numpy(image)).numpy()
    difference = float(np.max(np.abs(run_onnx(path, image) - expected)))
    if difference > TOLERANCE:
        raise RuntimeError(f"onnxruntime differs from PyTorch by {difference:.2e}")
    return difference


def main() -> None:
    """Train, export, check and evaluate the network."""
    parser = argparse.ArgumentParser(description="Train the digits CNN and write its files.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="initial weights and batch order")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    training, test = load_data()
    model = train(training, arguments.epochs, arguments.seed)

    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    path = output / "digits_cnn.onnx"
    onnx.save(build_onnx(model), path)
    np.savez_compressed(output / "calibration.npz", image=training.image[:CALIBRATION_IMAGES])
    np.savez_compressed(output / "test.npz", image=test.image, label=test.label)

    difference = check_against_torch(path, model, test.image)
    print(f"largest difference to PyTorch {difference:.1e}, onnxruntime {ort.__version__}")
    for name, split in {"training": training, "test": test}.items():
        print(f"{name} accuracy {100 * accuracy(run_onnx(path, split.image), split.label):.2f} %")


if __name__ == "__main__":
    main()
