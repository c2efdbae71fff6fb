"""Give each float32 value the scale of its int8 codes, from calibration data.

The ONNX model runs in ONNX Runtime on the calibration feeds; a value's scale is its clipping range
divided by 127.  Methods for the range:

- `minmax`: the largest magnitude seen;
- `percentile`: the magnitude that 99.99 % of the elements stay below;
- `mse`: of 64 candidate ranges, the one with the least mean squared error of quantisation [1]_.

.. [1] Migacz, 8-bit inference with TensorRT, GTC 2017, describes choosing the range from a
   histogram of magnitudes; here the error, not the entropy, is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import CompileError, UsageError
from anacc.ir import Module, TensorType

Feed = Mapping[str, npt.NDArray[Any]]

CODES = 127  # the largest code; design of the int8 format, the same for every chip
BINS = 4096
CANDIDATES = 64
KEPT = 0.9999  # share of the elements that `percentile` does not clip
AT_ONCE = 64  # most samples of a feed that ONNX Runtime sees at once,
MEMORY = 2**29  # and bytes that all their values together should stay below


@dataclass
class Magnitudes:
    """What is known of the magnitudes of one value: their maximum and a histogram up to it."""

    maximum: float = 0.0
    elements: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def widen(self, array: npt.NDArray[Any]) -> None:
        """First round: the maximum."""
        if array.size:
            self.elements += array.size
            # Not the built-in function, which loses NaN.
            self.maximum = float(np.maximum(self.maximum, np.max(np.abs(array))))

    def count(self, array: npt.NDArray[Any]) -> None:
        """Second round: the histogram."""
        if self.maximum > 0:
            edges = (0.0, self.maximum)
            self.counts += np.histogram(np.abs(array), bins=BINS, range=edges)[0]

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Magnitude of the middle of each bin, shape (BINS,)."""
        return np.asarray((np.arange(BINS) + 0.5) * (self.maximum / BINS), np.float64)


def _minmax(seen: Magnitudes) -> float:
    return seen.maximum


def _percentile(seen: Magnitudes) -> float:
    total = int(seen.counts.sum())
    if total == 0:
        return seen.maximum
    last = int(np.searchsorted(np.cumsum(seen.counts), KEPT * total))
    return seen.maximum * min(last + 1, BINS) / BINS


def _least_error(seen: Magnitudes) -> float:
    best, least = seen.maximum, np.inf
    for step in range(CANDIDATES, 0, -1):
        candidate = seen.maximum * step / CANDIDATES
        lsb = candidate / CODES
        error = seen.centres - np.clip(np.rint(seen.centres / max(lsb, 1e-300)), 0, CODES) * lsb
        total = float(np.sum(seen.counts * error**2))
        if total < least:
            best, least = candidate, total
    return best


METHODS: dict[str, Callable[[Magnitudes], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _least_error,
}


def _bytes_per_sample(module: Module) -> int:
    """Size of one sample of all float32 values together."""
    kinds = [value.type for value in module.values.values()]
    return sum(
        4 * math.prod(kind.dims)
        for kind in kinds
        if isinstance(kind, TensorType) and kind.shape is not None
    )


def slices(module: Module, feed: Feed) -> Iterable[Feed]:
    """The feed, in pieces that fit the memory where the model's batch is symbolic."""
    axes = {
        name[1:]: value.type.batch_axis
        for name, value in module.values.items()
        if name in module.inputs and isinstance(value.type, TensorType)
    }
    batched = [name for name in feed if axes.get(name) is not None]
    if module.batch is not None or not batched:
        yield feed
        return
    size = feed[batched[0]].shape[axes[batched[0]] or 0]
    at_once = max(1, min(AT_ONCE, MEMORY // max(1, _bytes_per_sample(module))))
    for start in range(0, size, at_once):
        yield {
            name: np.take(array, range(start, min(start + at_once, size)), axis=axes[name] or 0)
            if name in batched
            else array
            for name, array in feed.items()
        }


@dataclass(frozen=True)
class Calibrate:
    """Graph to graph: every float32 value gets a scale.

    Attributes:
        feeds: calibration data; read once, or twice for a method that needs a histogram.
        method: a key of `METHODS`.
    """

    feeds: Sequence[Feed]
    method: str = "minmax"
    name = "calibrate"

    def __call__(self, module: Module) -> Module:
        """Run the model on the feeds and set the scales.

        Raises:
            UsageError: if the method is unknown.
            CompileError: if the data has no samples, or a value is not finite on it.
        """
        if self.method not in METHODS:
            known = ", ".join(sorted(METHODS))
            raise UsageError(f"calibration method `{self.method}` is unknown", f"use {known}")
        names = [
            name
            for name, value in module.values.items()
            if isinstance(value.type, TensorType)
            and value.type.dtype == "float32"
            and value.type.shape is not None
        ]
        seen = {name: Magnitudes() for name in names}
        self._visit(module, seen, Magnitudes.widen)
        if seen and not any(magnitudes.elements for magnitudes in seen.values()):
            raise CompileError("the calibration data has no samples", "give at least one")
        for name, magnitudes in seen.items():
            if not np.isfinite(magnitudes.maximum):
                raise CompileError(
                    f"tensor `{name[1:]}` is not finite on the calibration data",
                    "calibrate with data that the model was made for",
                )
        if self.method != "minmax":
            self._visit(module, seen, Magnitudes.count)
        values = dict(module.values)
        for name, magnitudes in seen.items():
            limit = METHODS[self.method](magnitudes)
            scale = float(np.float32(limit / CODES)) if limit > 0 else 0.0
            values[name] = replace(values[name], scale=scale if scale > 0 else 1.0 / CODES)
        return replace(module, values=values)

    def _visit(
        self,
        module: Module,
        seen: dict[str, Magnitudes],
        visit: Callable[[Magnitudes, npt.NDArray[Any]], None],
    ) -> None:
        names = tuple(seen)
        for feed in self.feeds:
            for part in slices(module, feed):
                for name, array in module.source.activations(part, names).items():
                    visit(seen[name], array)
