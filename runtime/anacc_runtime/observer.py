"""A look into a run of the reference executor: tokens of channels, and how far converters go."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

import numpy as np
import numpy.typing as npt

from anacc_runtime.registers import Array


class Observer(Protocol):
    """What the reference executor tells of a run.

    Attributes:
        channels: the channels whose tokens are shown.
    """

    @property
    def channels(self) -> Set[int]: ...

    def tokens(self, channel: int, first_sample: int, tokens: Array) -> Array:
        """All tokens of a channel, once they are there.

        Args:
            channel: its number.
            first_sample: index in the batch of the first sample.
            tokens: shape (samples, tokens, token size), or a whole host tensor.

        Returns:
            what goes on to the readers: these tokens, or others of the same shape and type.
        """

    def conversions(self, stream: int, levels: npt.NDArray[np.float64]) -> None:
        """How far the conversions of an mvm go, shape (..., columns); see
        `anacc_runtime.arithmetic.mvm_levels`."""
