"""Inputs for models of which nothing is known but their shapes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx


def random_feed(
    model: onnx.ModelProto, samples: int = 1, seed: int = 0
) -> dict[str, npt.NDArray[np.float32]]:
    """Numbers between 0 and 1 for each input, all of which are float32.

    Args:
        model: its inputs may have symbolic sizes.
        samples: the value of all symbolic sizes.
        seed: of the numbers.
    """
    random = np.random.default_rng(seed)
    return {
        port.name: random.random(
            [size.dim_value or samples for size in port.type.tensor_type.shape.dim], np.float32
        )
        for port in model.graph.input
    }
