"""Random weights, made piece by piece, so that a model larger than memory can be written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

PIECE = 1 << 22
"""Weights that are made at once."""


@dataclass(frozen=True)
class Parameter:
    """A tensor of random float32 numbers.

    Attributes:
        name: of the initialiser.
        shape: of the tensor.
        deviation: standard deviation of the normal distribution that the numbers come from.
        mean: its mean.
        positive: whether the numbers are the magnitudes of those drawn: variances.
        trained: whether publications count it: the statistics of a batch normalisation are not.
    """

    name: str
    shape: tuple[int, ...]
    deviation: float
    mean: float = 0.0
    positive: bool = False
    trained: bool = True

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    def pieces(self, seed: int, index: int) -> Iterator[Floats]:
        """The numbers in order of storage, in arrays of up to PIECE.

        Args:
            seed: of the network.
            index: of this tensor in the network, so that no two tensors hold the same numbers.
        """
        random = np.random.default_rng([seed, index])
        for start in range(0, self.count, PIECE):
            values = random.standard_normal(min(PIECE, self.count - start), np.float32)
            values *= np.float32(self.deviation)
            values += np.float32(self.mean)
            yield np.abs(values) if self.positive else values
