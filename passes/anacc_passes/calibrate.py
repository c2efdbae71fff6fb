"""Give each float32 value the scale of its int8 codes, from calibration data.

The ONNX model runs in ONNX Runtime on the calibration feeds; a value's scale is its clipping range
divided by 127.  `anacc_passes.ranges` says how a range is chosen.  What no tensor of the model
holds, being a step on the way to one, gets the largest range that its operands allow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import CompileError
from anacc.ir import Module, TensorType
from anacc_passes.parallel import cpus
from anacc_passes.ranges import LARGEST_CODE, METHODS, Magnitudes
from anacc_passes.reach import reach

Feed = Mapping[str, npt.NDArray[Any]]
Noise = Callable[[Module], Mapping[str, float]]
"""The variance of the error that each value of a module gets behind its rounding, in squares of its
code's unit; `anacc_passes.converter_noise`."""

GOLDEN = (math.sqrt(5) - 1) / 2
AT_ONCE = 64  # most samples of a feed whose values are held at once,
MEMORY = 2**29  # and bytes that all of them together should stay below
PIECES = 4  # that these are computed in, where they are more than
LEAST_PIECE = 2  # samples


def _bytes_per_sample(module: Module) -> int:
    """Size of one sample of all float32 values together."""
    kinds = [value.type for value in module.values.values()]
    return sum(
        4 * math.prod(kind.dims)
        for kind in kinds
        if isinstance(kind, TensorType) and kind.shape is not None
    )


def slices(module: Module, feed: Feed) -> Iterable[Feed]:
    """The feed, in pieces of at most `AT_ONCE` samples that fit the memory, where the model's batch
    is symbolic."""
    size = _batch_size(module, feed)
    if size is None:
        yield feed
        return
    at_once = _fitting(module, AT_ONCE)
    for start in range(0, size, at_once):
        yield _taken(module, feed, range(start, min(start + at_once, size)))


def activations(
    module: Module, feeds: Iterable[Feed], names: Iterable[str]
) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    """Values on all calibration data, piece by piece: names, as far as ONNX Runtime can compute
    them, and arrays."""
    wanted = tuple(names)
    if not wanted:
        return
    for feed in feeds:
        for part in slices(module, feed):
            for values in piecewise(module, part, wanted):
                yield from values.items()


def piecewise(
    module: Module, feed: Feed, names: tuple[str, ...]
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Values on a feed that fits the memory, some samples after the others where the model's batch
    is symbolic.

    ONNX Runtime computes on one thread, but several pieces at once.  The pieces do not depend on
    how many threads there are, for its sums may depend on how many samples it sees at once.
    """
    size = _batch_size(module, feed)
    most = max(LEAST_PIECE, _fitting(module, AT_ONCE) // PIECES)
    if size is None or size <= most:
        yield module.source.activations(feed, names)
        return
    pieces = [
        _taken(module, feed, range(start, min(start + most, size)))
        for start in range(0, size, most)
    ]
    with ThreadPoolExecutor(cpus()) as pool:
        pending = deque(pool.submit(module.source.activations, each, names) for each in pieces)
        while pending:
            yield pending.popleft().result()


def some_samples(module: Module, feeds: Sequence[Feed], most: int) -> Iterable[Feed]:
    """At most `most` samples that fit the memory, from all over the feeds: parts of feeds where the
    model's batch is symbolic, else whole ones.  At least one, where there is one."""
    sizes = [_batch_size(module, feed) for feed in feeds]
    ends = np.cumsum([1 if size is None else size for size in sizes])
    total = int(ends[-1]) if len(ends) else 0
    chosen = spread(total, _fitting(module, most))
    for feed, size, end in zip(feeds, sizes, ends.tolist(), strict=True):
        first = end - (1 if size is None else size)
        inside = [number - first for number in chosen.tolist() if first <= number < end]
        if inside:
            yield feed if size is None else _taken(module, feed, inside)


def spread(total: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the numbers 0 to total - 1, in ascending order.

    One of each of `most` equal parts, at a place that the golden ratio moves about: equal steps
    would see but a few columns of an image, or the same phase of every period.
    """
    if total <= most:
        return np.arange(total)
    part = np.arange(most)
    return np.asarray((part + part * GOLDEN % 1.0) * (total / most), np.int64)


def _fitting(module: Module, most: int) -> int:
    """How many samples, at most `most` and at least one, fit the memory together."""
    return max(1, min(most, MEMORY // max(1, _bytes_per_sample(module))))


def _batch_axes(module: Module, feed: Feed) -> dict[str, int]:
    """The batch axis of each array of a feed that has one."""
    kinds = {name: module.values[f"%{name}"].type for name in feed if f"%{name}" in module.inputs}
    return {
        name: kind.batch_axis
        for name, kind in kinds.items()
        if isinstance(kind, TensorType) and kind.batch_axis is not None
    }


def _batch_size(module: Module, feed: Feed) -> int | None:
    """How many samples a feed holds where the model's batch is symbolic; else None."""
    axes = _batch_axes(module, feed)
    if module.batch is not None or not axes:
        return None
    name, axis = next(iter(axes.items()))
    return int(feed[name].shape[axis])


def _taken(module: Module, feed: Feed, samples: Sequence[int]) -> Feed:
    """Some samples of a feed."""
    axes = _batch_axes(module, feed)
    return {
        name: np.take(array, samples, axis=axes[name]) if name in axes else array
        for name, array in feed.items()
    }


def _binary32(scale: float) -> float:
    """The scale as borders divide by it; what was always zero gets one all the same."""
    rounded = float(np.float32(scale))
    return rounded if rounded > 0 else 1.0 / LARGEST_CODE


def scale_of(limit: float) -> float:
    """The scale of values whose clipping range is known."""
    return _binary32(limit / LARGEST_CODE)


@dataclass(frozen=True)
class Calibrate:
    """Graph to graph: every float32 value that the chip holds gets a scale, if it has none yet.

    Attributes:
        feeds: calibration data; read once, or twice for a method that needs a histogram.
        method: a key of `anacc_passes.ranges.METHODS`.
        noise: the error behind the rounding, which `mse` counts; None: there is none.
    """

    feeds: Sequence[Feed]
    method: str = "minmax"
    noise: Noise | None = None
    name = "calibrate"

    def __call__(self, module: Module) -> Module:
        """Run the model on the feeds and set the scales.

        Raises:
            CompileError: if the data has no samples, or a value is not finite on it.
        """
        touched = {
            name for op in module.ops if op.kind != "host" for name in (*op.operands, *op.results)
        }
        names = [
            name
            for name, value in module.values.items()
            if name in touched
            and isinstance(value.type, TensorType)
            and value.type.dtype == "float32"
            and value.type.shape is not None
            and value.scale is None  # a quantised model has its own
        ]
        noise = self.noise(module) if self.noise is not None else {}
        seen = {name: Magnitudes(noise=noise.get(name, 0.0)) for name in names}
        for name, array in activations(module, self.feeds, seen):
            seen[name].widen(array)
        if seen and not any(magnitudes.elements for magnitudes in seen.values()):
            raise CompileError("the calibration data has no samples", "give at least one")
        for name, magnitudes in seen.items():
            if not np.isfinite(magnitudes.maximum):
                raise CompileError(
                    f"tensor `{name[1:]}` is not finite on the calibration data",
                    "calibrate with data that the model was made for",
                )
        if self.method != "minmax":
            for name, array in activations(module, self.feeds, seen):
                seen[name].count(array)
        values = dict(module.values)
        scales = {
            name: METHODS[self.method](magnitudes) / LARGEST_CODE
            for name, magnitudes in seen.items()
        }
        for op in module.ops:
            for result in op.results:
                if result in seen and not seen[result].elements:
                    scales[result] = reach(module, op, scales)
                # What was zero throughout (behind a relu, say) is measured like what it comes from.
                if scales.get(result) == 0.0:
                    scales[result] = scales.get(op.operands[0], 0.0) if op.operands else 0.0
        for name, scale in scales.items():
            values[name] = replace(values[name], scale=_binary32(scale))
        return replace(module, values=values)
