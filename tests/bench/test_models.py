"""The networks of the benchmark are those of the publication, as models that anacc takes."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import anacc
from bench import models
from bench.networks import (
    CAPTION,
    LSTM,
    RESNET9,
    Convolution,
    ConvolutionalNetwork,
    RecurrentNetwork,
)

CONVOLUTIONAL = ConvolutionalNetwork(
    (
        Convolution(3, 4, 8),
        Convolution(4, 8, 8, pool=2),
        Convolution(8, 8, 4),
        Convolution(8, 8, 4, skip=True, pool=4),
    ),
    classes=5,
)
RECURRENT = RecurrentNetwork(inputs=6, hidden=8, steps=3)
RECURRENT_AND_DENSE = RecurrentNetwork(inputs=6, hidden=8, steps=3, outputs=5)


def test_weights_are_those_of_the_publication() -> None:
    assert RESNET9.weights == 1_866_536
    # 1,299,312 with the output layer of 504x50.
    assert LSTM.weights == 1_299_312 - 504 * 50
    assert CAPTION.weights == 4_080_384


def weights_of(model: onnx.ModelProto) -> int:
    """Elements of all matrices and kernels of a model."""
    sizes = [
        tensor.dims for tensor in model.graph.initializer if tensor.name not in {"B", "direction"}
    ]
    return sum(int(np.prod(dims)) for dims in sizes if len(dims) > 1)


@pytest.mark.parametrize("network", [CONVOLUTIONAL, RESNET9])
def test_convolutional_models_have_the_weights(network: ConvolutionalNetwork) -> None:
    assert weights_of(models.convolutional_model(network)) == network.weights


@pytest.mark.parametrize("network", [RECURRENT, RECURRENT_AND_DENSE, LSTM, CAPTION])
def test_recurrent_models_have_the_weights(network: RecurrentNetwork) -> None:
    assert weights_of(models.recurrent_model(network)) == network.weights


@pytest.mark.parametrize("weights", ["u8u8", "u8s8"])
def test_convolutional_models_run_quantised(weights: str, tmp_path: Path) -> None:
    feed = models.convolutional_feed(CONVOLUTIONAL, 4)
    model, target = tmp_path / "model.onnx", tmp_path / "quantised.onnx"
    onnx.save(models.convolutional_model(CONVOLUTIONAL), model)
    models.quantise_statically(model, feed, weights, target)
    assert run(target, feed).shape == (4, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "quantised.onnx"]


@pytest.mark.parametrize("weights", ["u8u8", "u8s8"])
def test_recurrent_models_run_quantised(weights: str, tmp_path: Path) -> None:
    model, target = tmp_path / "model.onnx", tmp_path / "quantised.onnx"
    onnx.save(models.recurrent_model(RECURRENT), model)
    models.quantise_dynamically(model, weights, target)
    assert run(target, models.recurrent_feed(RECURRENT, 2)).shape == (3, 1, 2, 8)


def run(model: Path, feed: models.Feed) -> models.Floats:
    """The output of a model in ONNX Runtime."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, feed)
    assert isinstance(output, np.ndarray)
    return output


def test_anacc_takes_the_models() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of how accurate random weights are
        feed = models.convolutional_feed(CONVOLUTIONAL, 2)
        program = anacc.compile(models.convolutional_model(CONVOLUTIONAL), calibration=feed)
        assert program.run(feed)["logits"].shape == (2, 5)
        feed = models.recurrent_feed(RECURRENT_AND_DENSE, 2)
        program = anacc.compile(models.recurrent_model(RECURRENT_AND_DENSE), calibration=feed)
        assert program.run(feed)["y"].shape == (3, 2, 5)
