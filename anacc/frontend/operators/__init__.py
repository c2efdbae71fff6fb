"""The importers of ONNX operators, grouped by theme; importing this package fills the table."""

from anacc.frontend.operators import (
    activations,
    convolution,
    elementwise,
    extrema,
    functions,
    linear,
    movement,
    pooling,
    recurrent,
)

__all__ = [
    "activations",
    "convolution",
    "elementwise",
    "extrema",
    "functions",
    "linear",
    "movement",
    "pooling",
    "recurrent",
]
