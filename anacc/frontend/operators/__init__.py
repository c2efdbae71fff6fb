"""The importers of ONNX operators, grouped by theme; importing this package fills the table."""

from anacc.frontend.operators import (
    convolution,
    elementwise,
    extrema,
    functions,
    linear,
    movement,
    pooling,
    rectifiers,
    recurrent,
)

__all__ = [
    "convolution",
    "elementwise",
    "extrema",
    "functions",
    "linear",
    "movement",
    "pooling",
    "rectifiers",
    "recurrent",
]
