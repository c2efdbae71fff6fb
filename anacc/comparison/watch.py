"""A run of a program under observation: its tensors, and the conversions that clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from anacc.comparison.tensors import Array, HeldTensor


@dataclass
class Watch:
    """Notes what a run tells; see `anacc_runtime.observer.Observer`.

    Attributes:
        channels: the channels whose tokens are noted.
        exact: what goes on instead of the tokens of a channel, over the whole batch.
        seen: the tokens of each channel, part by part of the batch.
        clipped, converted: for each stream, how many conversions of each column exceeded the
            converter, and how many there were.
        peak: for each stream, the largest level of a conversion (above 1: it clips).
    """

    channels: frozenset[int]
    exact: Mapping[int, Array] = field(default_factory=dict)
    seen: dict[int, list[Array]] = field(default_factory=lambda: defaultdict(list))
    clipped: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    converted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    peak: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    @classmethod
    def of(cls, tensors: Iterable[HeldTensor]) -> Watch:
        """Watches all channels of some tensors."""
        return cls(
            frozenset(c for held in tensors for part in held.channels.values() for c in part)
        )

    def tokens(self, channel: int, first_sample: int, tokens: Array) -> Array:
        """Note the tokens; what is exact goes on instead."""
        self.seen[channel].append(tokens)
        if channel not in self.exact:
            return tokens
        return self.exact[channel][first_sample : first_sample + len(tokens)]

    def conversions(self, stream: int, levels: npt.NDArray[np.float64]) -> None:
        """Count what clips."""
        rows = levels.reshape(-1, levels.shape[-1])
        counts = (rows > 1).sum(axis=0, dtype=np.int64)
        self.peak[stream] = max(self.peak[stream], float(rows.max(initial=0.0)))
        self.clipped[stream] = self.clipped.get(stream, np.zeros_like(counts)) + counts
        self.converted[stream] += len(rows)

    def held(self) -> dict[int, Array]:
        """The tokens of each channel over the whole batch."""
        return {channel: np.concatenate(parts) for channel, parts in self.seen.items()}

    def shares(self, stream: int) -> npt.NDArray[np.float64]:
        """The share of conversions of each column that clipped; empty for a stream without any."""
        if stream not in self.clipped:
            return np.zeros(0)
        return np.asarray(self.clipped[stream] / max(1, self.converted[stream]), np.float64)
