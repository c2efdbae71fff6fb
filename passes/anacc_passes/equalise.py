"""Give each channel a range of its own where depthwise convolutions alone read it.

One scale for a whole tensor leaves a channel of small range only a few codes, and the sums of a
depthwise convolution, of a few rows each, only a few counts.  Between two crossbar layers a scale
for each channel costs nothing [1]_: the first layer's LDPU has a scale for each column anyway, and
a column of a depthwise convolution reads one channel, so that its own scale undoes it.  A value is
equalised if

1. a convolution without residual operand gives it (the columns of a product are its last axis, no
   channels), whose activation is none, a relu, or a clamp from zero (which then is a relu: what
   exceeds the range saturates, as codes do), and
2. depthwise convolutions alone read it, it is an ONNX tensor (not derived from one), and it does
   not keep the scale that a quantised model gives it.

Channel i then holds its values divided by factor i, the channel's largest magnitude on calibration
data over that of all channels.

References:
    .. [1] M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through
       weight equalization and bias correction", ICCV 2019, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Level, Module, Op
from anacc_passes.calibrate import Feed, Noise, activations, scale_of
from anacc_passes.ranges import METHODS, Magnitudes
from anacc_passes.rewrite import rebuild

Array = npt.NDArray[Any]

LEAST = 2.0**-8
"""The least factor: a channel of less than this share of the largest range hardly counts, and
binary16 constants must hold what is divided by it."""


def _reads_channels_apart(module: Module, op: Op, name: str) -> bool:
    """Whether an op is a depthwise convolution of a value."""
    if op.kind != "crossbar" or name in op.operands[1:]:
        return False
    weight = module.constants[op.operands[1]]
    return weight.ndim > 2 and weight.shape[1] == 1


def _scales_with_columns(module: Module, op: Op) -> bool:
    """Whether a factor of a column of a layer is a factor of a channel of its result: rule 1."""
    if op.kind != "crossbar" or op.operands[4]:
        return False
    if module.constants[op.operands[1]].ndim == 2:
        return False
    activation = op.attributes["activation"]
    return activation in ("none", "relu") or (activation == "clamp" and op.number("low") == 0.0)


def _keeps_scale(module: Module, name: str) -> bool:
    """Whether the scale of a value is the quantised model's own."""
    return name in module.grids and module.values[name].scale == np.float32(module.grids[name][1])


def _equalisable(module: Module) -> list[str]:
    """The values that the rules allow, in order."""
    # What is no ONNX tensor itself may come in another shape from the one that it stands for.
    excluded = {*module.source.stands_for, *(name for _, name in module.outputs)}
    producers = module.producers()
    return [
        name
        for name, readers in module.consumers().items()
        if readers
        and name not in excluded
        and not _keeps_scale(module, name)
        and name in producers
        and _scales_with_columns(module, producers[name])
        and all(_reads_channels_apart(module, reader, name) for reader in readers)
    ]


def _factors(largest: Array) -> Array | None:
    """The factor of each channel, in [LEAST, 1], from their magnitudes; None: they are equal.

    A channel that was always zero says nothing of its range; it keeps the tensor's.
    """
    limit = float(largest.max())
    if limit == 0.0:
        return None
    share = np.where(largest > 0, np.maximum(largest / limit, LEAST), 1.0)
    return None if bool(np.all(share == 1)) else share.astype(np.float32)


def _along_channels(factors: Array, rank: int) -> Array:
    """Factors (C,) as they are broadcast to a tensor (N, C, *S)."""
    return factors.reshape(-1, *(1,) * (rank - 2))


@dataclass(frozen=True)
class Equalise:
    """Layer to layer: values that the rules allow are divided by a factor for each channel.

    The layer that gives such a value divides its `scale` and `offset` by the factors, those that
    read it have them as operand `factors`.

    Attributes:
        feeds: calibration data.
        method: a key of `anacc_passes.ranges.METHODS`, for the scale of what was equalised.
        noise: as for `anacc_passes.calibrate.Calibrate`.
    """

    feeds: Sequence[Feed]
    method: str = "minmax"
    noise: Noise | None = None
    name = "equalise"

    def __call__(self, module: Module) -> Module:
        """Apply the rules."""
        producers = module.producers()
        largest = {
            name: np.zeros(module.constants[producers[name].operands[1]].shape[0])
            for name in _equalisable(module)
        }

        for name, array in activations(module, self.feeds, largest):
            others = (0, *range(2, array.ndim))
            largest[name] = np.maximum(largest[name], np.abs(array).max(axis=others, initial=0.0))
        factors = {
            name: found for name, each in largest.items() if (found := _factors(each)) is not None
        }
        constants = {f"@{name[1:]}.factors": array for name, array in factors.items()}
        ops = []
        for op in module.ops:
            if op.operands and op.operands[0] in factors:
                op = replace(op, operands=(*op.operands[:5], f"@{op.operands[0][1:]}.factors"))
            if op.results and op.results[0] in factors:
                op, divided = _divided(module, op, factors[op.results[0]])
                constants |= divided
            ops.append(op)
        values = [
            replace(module.values[name], scale=scale)
            for name, scale in self._scales(module, factors, largest).items()
        ]
        return rebuild(module, ops, values=values, constants=constants, level=Level.LAYER)

    def _scales(
        self, module: Module, factors: Mapping[str, Array], largest: Mapping[str, Array]
    ) -> dict[str, float]:
        """The scales of the equalised values; the largest magnitude, and so minmax, stays."""
        if self.method == "minmax" or not factors:
            return {}
        noise = self.noise(module) if self.noise is not None else {}
        seen = {
            name: Magnitudes(_maximum(largest[name], factor), noise=noise.get(name, 0.0))
            for name, factor in factors.items()
        }
        for name, array in activations(module, self.feeds, seen):
            seen[name].count(array / _along_channels(factors[name], array.ndim))
        return {name: scale_of(METHODS[self.method](each)) for name, each in seen.items()}


def _maximum(largest: Array, factors: Array) -> float:
    """The largest magnitude of what is divided: divided as the values are, in binary32."""
    return float((largest.astype(np.float32) / factors).max())


def _divided(module: Module, op: Op, factors: Array) -> tuple[Op, dict[str, Array]]:
    """A layer whose result is divided by factors for each column, and its new constants."""
    names = [f"{operand}.equalised" for operand in op.operands[2:4]]
    arrays = [
        (module.constants[operand] / factors).astype(np.float32) for operand in op.operands[2:4]
    ]
    attributes = dict(op.attributes)
    if attributes["activation"] == "clamp":
        del attributes["low"], attributes["high"]
        attributes["activation"] = "relu"
    operands = (*op.operands[:2], *names, *op.operands[4:])
    return replace(op, operands=operands, attributes=attributes), dict(
        zip(names, arrays, strict=True)
    )
