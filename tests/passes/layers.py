"""Random layers that slide over space, and what they compute, written the long way round."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from anacc.ir import Level, Module, Op, TensorType, Value, verify
from anacc.ir.module import AttributeValue

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Window:
    """A sliding window over a sample of `channels` channels; for each spatial axis a size of the
    sample, kernel, stride, dilation, and pads before and after."""

    channels: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """Spatial shape of the result."""
        rank = len(self.sizes)
        return tuple(
            (size + self.pads[k] + self.pads[rank + k] - self.dilations[k] * (taps - 1) - 1)
            // self.strides[k]
            + 1
            for k, (size, taps) in enumerate(zip(self.sizes, self.kernel, strict=True))
        )

    def im2col(self, sample: Array, fill: float = 0.0) -> Array:
        """The elements below each window, shape (positions, taps, channels)."""
        rank = len(self.sizes)
        pairs = [(self.pads[k], self.pads[rank + k]) for k in range(rank)]
        padded = np.pad(sample.astype(np.float64), [(0, 0), *pairs], constant_values=fill)
        rows = []
        for position in itertools.product(*map(range, self.positions)):
            taps = []
            for tap in itertools.product(*map(range, self.kernel)):
                place = tuple(
                    p * stride + t * hole
                    for p, stride, t, hole in zip(
                        position, self.strides, tap, self.dilations, strict=True
                    )
                )
                taps.append([channel[place] for channel in padded])
            rows.append(taps)
        return np.array(rows)

    def attributes(self) -> dict[str, AttributeValue]:
        """As a convolution or a pooling has them."""
        return {"strides": self.strides, "pads": self.pads, "dilations": self.dilations}


@st.composite
def windows(draw: st.DrawFn, channels: int, pool: bool = False) -> Window:
    """Any window that fits; a pooling has none that lies in the padding alone."""
    axes = []
    for _ in range(draw(st.integers(1, 2))):
        kernel, hole = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        extent = hole * (kernel - 1)
        before, after = (draw(st.integers(0, extent if pool else 4)) for _ in range(2))
        size = draw(st.integers(max(1, extent + 1 - before - after), 7))
        axes.append((size, kernel, draw(st.integers(1, 3)), hole, before, after))
    sizes, kernel_, strides, holes, befores, afters = zip(*axes, strict=True)
    return Window(channels, sizes, kernel_, strides, holes, befores + afters)


@dataclass(frozen=True)
class Matrix:
    """The weight (M, C/group, *K) of a convolution, or (out, in) of a product, in one piece."""

    weight: Array
    group: int

    def dense(self) -> Array:
        """Shape (rows in the order (group, tap, channel of the group), columns)."""
        outputs, channels = self.weight.shape[:2]
        taps = self.weight.reshape(outputs, channels, -1)
        rows, columns = channels * taps.shape[2], outputs // self.group
        whole = np.zeros((self.group * rows, outputs))
        for m, c, k in itertools.product(range(outputs), range(channels), range(taps.shape[2])):
            whole[m // columns * rows + k * channels + c, m] = taps[m, c, k]
        return whole

    def vectors(self, columns: Array) -> Array:
        """What im2col gives (positions, taps, channels), in the order of the rows of `dense`."""
        positions, taps, channels = columns.shape
        split = columns.reshape(positions, taps, self.group, channels // self.group)
        return split.transpose(0, 2, 1, 3).reshape(positions, -1)


def distinct_weights(shape: tuple[int, ...]) -> Array:
    """Weights of both signs, no two alike, none zero."""
    count = int(np.prod(shape))
    signs = 1 - 2 * (np.arange(count) % 2)
    return ((np.arange(count) * 7 % count + 1) * signs).reshape(shape).astype(np.float32)


def layer_module(
    kind: str,
    shapes: Mapping[str, tuple[int, ...]],
    operands: tuple[str, ...],
    constants: dict[str, Array],
    attributes: dict[str, AttributeValue],
) -> Module:
    """A layer module of one op with result %y; `shapes` are those of samples, batch in front."""
    values = {
        name: Value(name, TensorType("float32", ("N", *shape)), 0.5)
        for name, shape in shapes.items()
    }
    values["%y"] = replace(values["%y"], scale=2.0)
    inputs = tuple(name for name in shapes if name != "%y")
    op = Op(kind, operands, ("%y",), attributes, ("node",))
    module = Module(Level.LAYER, "m", None, inputs, (("y", "%y"),), values, constants, (op,))
    verify(module)
    return module
