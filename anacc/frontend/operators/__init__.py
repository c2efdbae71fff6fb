"""The importers of ONNX operators, grouped by theme; importing this package fills the table."""

from anacc.frontend.operators import (
    convolution,
    elementwise,
    linear,
    movement,
    pooling,
    quantised,
    quantised_nodes,
    recurrent,
)

__all__ = [
    "convolution",
    "elementwise",
    "linear",
    "movement",
    "pooling",
    "quantised",
    "quantised_nodes",
    "recurrent",
]
