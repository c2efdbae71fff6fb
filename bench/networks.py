"""The networks that are measured: those of the HERMES chip's publication, as sizes of layers.

Le Gallo et al., Nature Electronics 6, 680-693 (2023): ResNet-9 (Fig. 3a), LSTM (Fig. 4a) and the
captioning network (Fig. 5a).  Weights are random: time does not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution, padded to keep the size, with ReLU.

    Attributes:
        inputs: channels before it.
        outputs: channels after it.
        size: side of the square that it is applied to, in positions.
        skip: whether the input of the layer before is added after the ReLU.
        pool: side of the windows of the maximum pooling behind it; 1: none.
    """

    inputs: int
    outputs: int
    size: int
    skip: bool = False
    pool: int = 1

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return 9 * self.inputs * self.outputs


@dataclass(frozen=True)
class ConvolutionalNetwork:
    """Convolutions, then one dense layer; the input is (N, channels, size, size) float32."""

    convolutions: tuple[Convolution, ...]
    classes: int

    @property
    def features(self) -> int:
        """Inputs of the dense layer."""
        return self.convolutions[-1].outputs

    @property
    def weights(self) -> int:
        """Weights of all layers."""
        return sum(layer.weights for layer in self.convolutions) + self.features * self.classes

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one image."""
        convolutions = sum(layer.weights * layer.size**2 for layer in self.convolutions)
        return convolutions + self.features * self.classes

    @property
    def passes(self) -> int:
        """How often a run uses all weights, at least."""
        return 1


@dataclass(frozen=True)
class RecurrentNetwork:
    """An LSTM and, where `outputs` is not 0, a dense layer behind every step; the input is (steps,
    N, inputs) float32."""

    inputs: int
    hidden: int
    steps: int
    outputs: int = 0

    @property
    def weights(self) -> int:
        """Weights of all layers."""
        return 4 * self.hidden * (self.inputs + self.hidden) + self.hidden * self.outputs

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sequence."""
        return self.weights * self.steps

    @property
    def passes(self) -> int:
        """How often a run uses all weights: a step waits for the one before."""
        return self.steps


@dataclass(frozen=True)
class DenseLayer:
    """A layer of `rows` inputs and `columns` outputs; the input is (N, rows) int8."""

    rows: int
    columns: int

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return self.rows * self.columns

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one input vector."""
        return self.weights

    @property
    def passes(self) -> int:
        """How often a run uses all weights, at least."""
        return 1


Network = ConvolutionalNetwork | RecurrentNetwork | DenseLayer

RESNET9 = ConvolutionalNetwork(
    (
        Convolution(3, 56, 32),
        Convolution(56, 112, 32, pool=2),
        Convolution(112, 112, 16),
        Convolution(112, 112, 16, skip=True),
        Convolution(112, 224, 16, pool=2),
        Convolution(224, 224, 8, pool=2),
        Convolution(224, 224, 4),
        Convolution(224, 224, 4, skip=True, pool=4),
    ),
    classes=10,
)
LSTM = RecurrentNetwork(inputs=128, hidden=504, steps=100)
CAPTION = RecurrentNetwork(inputs=504, hidden=504, steps=20, outputs=4064)
CROSSBAR = DenseLayer(2048, 2048)

NETWORKS: dict[str, Network] = {
    "resnet9": RESNET9,
    "lstm": LSTM,
    "caption": CAPTION,
    "crossbar": CROSSBAR,
}
