"""The importers of ONNX operators, grouped by theme; importing this package fills the table."""

from anacc.frontend.operators import (
    control,
    convolution,
    elementwise,
    extrema,
    functions,
    linear,
    movement,
    pooling,
    quantised,
    quantised_nodes,
    rearranging,
    rectifiers,
    recurrent,
    reduction,
    transposed,
)

__all__ = [
    "control",
    "convolution",
    "elementwise",
    "extrema",
    "functions",
    "linear",
    "movement",
    "pooling",
    "quantised",
    "quantised_nodes",
    "rearranging",
    "rectifiers",
    "recurrent",
    "reduction",
    "transposed",
]
