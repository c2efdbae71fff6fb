"""Data sets: arrays named as a program's inputs, with the samples along the first axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.errors import FeedError
from anacc.feeds import Array, Arrays, Port


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of a data set.

    Attributes:
        feed: what the program takes, of the program's batch size.
        start: number of the first sample.
        count: number of samples; the feed repeats the last one where it needs more.
    """

    feed: Arrays
    start: int
    count: int

    @property
    def samples(self) -> slice:
        """The samples' range in the arrays of the data set."""
        return slice(self.start, self.start + self.count)


def sample_count(data: Mapping[str, Array], ports: Sequence[Port], label: str | None) -> int:
    """Return the number of samples of a data set.

    Args:
        data: arrays named as the inputs; others are ignored.
        ports: the inputs; one without a batch axis may have an array of exactly its shape, which
            is then the same for all samples and does not count.
        label: name of one more array that must have as many samples, or None.

    Raises:
        FeedError: an array is missing, is a scalar, has another number of samples, or there are
            none.
    """
    counts: dict[str, int] = {}
    for name in [port.name for port in ports] + ([label] if label else []):
        if name not in data:
            held = ", ".join(f"`{key}`" for key in data) or "nothing"
            raise FeedError(f"the data set holds no array `{name}`", f"it holds {held}")
        counts[name] = len(data[name]) if data[name].ndim else 0
    for port in ports:
        if _is_constant(data[port.name], port):
            del counts[port.name]
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of `{name}`" for name, count in counts.items())
        raise FeedError(f"the arrays of the data set differ in their number of samples: {listed}")
    count = next(iter(counts.values()), 1)
    if count == 0:
        raise FeedError("the data set holds no samples")
    return count


def batches(
    data: Mapping[str, Array], ports: Sequence[Port], size: int, label: str | None = None
) -> Iterator[Batch]:
    """Split a data set into feeds.

    Samples lie along the first axis of each array, wherever the input has its batch axis.  An
    input without a batch axis takes one sample as it is.

    Args:
        data: arrays named as the inputs, shape (samples, ...).
        ports: the inputs.
        size: samples in a feed; the program's batch where that is fixed.
        label: see `sample_count`.

    Raises:
        FeedError: as `sample_count`, or `size` is not 1 and an input without a batch axis has
            more than one array to take.
    """
    total = sample_count(data, ports, label)
    fixed = any(port.batch_axis is not None and port.shape[port.batch_axis] for port in ports)
    for start in range(0, total, size):
        count = min(size, total - start)
        taken = np.arange(start, start + (size if fixed else count)).clip(max=total - 1)
        feed = {port.name: _take(data[port.name], port, taken) for port in ports}
        yield Batch(feed, start, count)


def _take(array: Array, port: Port, samples: npt.NDArray[np.int64]) -> Array:
    if _is_constant(array, port):
        return array
    if port.batch_axis is None:
        if len(samples) != 1:
            raise FeedError(
                f"input `{port.name}` has no batch axis, so it can take one sample at a time only",
                "set the batch size to 1",
            )
        return np.ascontiguousarray(array[samples[0]])
    return np.ascontiguousarray(np.moveaxis(array[samples], 0, port.batch_axis))


def _is_constant(array: Array, port: Port) -> bool:
    return port.batch_axis is None and array.shape == port.shape
