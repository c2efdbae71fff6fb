"""Give each float32 value the scale of its int8 codes, from calibration data.

The ONNX model runs in ONNX Runtime on the calibration feeds; a value's scale is its clipping range
divided by 127.  `anacc_passes.ranges` says how a range is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import CompileError
from anacc.ir import Module, TensorType
from anacc_passes.ranges import LARGEST_CODE, METHODS, Magnitudes

Feed = Mapping[str, npt.NDArray[Any]]

AT_ONCE = 64  # most samples of a feed that ONNX Runtime sees at once,
MEMORY = 2**29  # and bytes that all their values together should stay below


def _bytes_per_sample(module: Module) -> int:
    """Size of one sample of all float32 values together."""
    kinds = [value.type for value in module.values.values()]
    return sum(
        4 * math.prod(kind.dims)
        for kind in kinds
        if isinstance(kind, TensorType) and kind.shape is not None
    )


def slices(module: Module, feed: Feed, most: int = AT_ONCE) -> Iterable[Feed]:
    """The feed, in pieces of at most `most` samples that fit the memory, where the model's batch is
    symbolic."""
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
    at_once = max(1, min(most, MEMORY // max(1, _bytes_per_sample(module))))
    for start in range(0, size, at_once):
        yield {
            name: np.take(array, range(start, min(start + at_once, size)), axis=axes[name] or 0)
            if name in batched
            else array
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
    """

    feeds: Sequence[Feed]
    method: str = "minmax"
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
        scales = {
            name: METHODS[self.method](magnitudes) / LARGEST_CODE
            for name, magnitudes in seen.items()
        }
        for op in module.ops:
            for result in op.results:
                # What was zero throughout (behind a relu, say) is measured like what it comes from.
                if scales.get(result) == 0.0:
                    scales[result] = scales.get(op.operands[0], 0.0) if op.operands else 0.0
        for name, scale in scales.items():
            values[name] = replace(values[name], scale=_binary32(scale))
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
