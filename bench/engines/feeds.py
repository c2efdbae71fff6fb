"""Inputs of the engines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.cases import Case, feed_path
from bench.networks import RecurrentNetwork


def feed(case: Case) -> dict[str, npt.NDArray[np.float32]]:
    """The inputs of a run by name, of the batch size of the case."""
    axis = 1 if isinstance(case.layers, RecurrentNetwork) else 0
    with np.load(feed_path(case.network), allow_pickle=False) as arrays:
        return {
            name: np.ascontiguousarray(array.take(range(case.batch), axis))
            for name, array in arrays.items()
        }
