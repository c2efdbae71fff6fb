"""Sliding windows by ONNX's definition: convolution and pooling, on fingerprints."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anacc.verification.algebra import Prints, mixed


@dataclass(frozen=True)
class Window:
    """A sliding window; `pads`: begins, then ends.  Padding has the fingerprint 0."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil: bool = False

    def outputs(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Positions along each axis."""
        found = []
        for axis, size in enumerate(sizes):
            rank = len(sizes)
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            free = size + self.pads[axis] + self.pads[rank + axis] - reach
            count = -(-free // self.strides[axis]) if self.ceil else free // self.strides[axis]
            if self.ceil and count * self.strides[axis] >= size + self.pads[axis]:
                count -= 1  # no window starts in the padding behind
            found.append(count + 1)
        return tuple(found)

    def taps(self, x: Prints) -> Iterator[Prints]:
        """For each kernel position in row-major order, the element of each output position.

        Args:
            x: shape (batch, channels, *spatial).

        Yields:
            Arrays (batch, channels, *outputs), views.
        """
        rank = len(self.kernel)
        outputs = self.outputs(x.shape[2:])
        width = [(0, 0), (0, 0)]
        for axis in range(rank):
            last = (outputs[axis] - 1) * self.strides[axis]
            last += (self.kernel[axis] - 1) * self.dilations[axis] + 1
            behind = max(0, last - self.pads[axis] - x.shape[2 + axis])
            width.append((self.pads[axis], behind))
        padded = np.pad(x, width)
        for tap in itertools.product(*map(range, self.kernel)):
            index: list[slice] = [slice(None), slice(None)]
            for axis in range(rank):
                first = tap[axis] * self.dilations[axis]
                last = first + (outputs[axis] - 1) * self.strides[axis] + 1
                index.append(slice(first, last, self.strides[axis]))
            yield padded[tuple(index)]


def window_of(attributes: dict[str, Any], kernel: Sequence[int], sizes: Sequence[int]) -> Window:
    """The window of a node.

    Args:
        attributes: of the node.
        kernel: its sizes.
        sizes: of the spatial axes of its input, which `auto_pad` needs.
    """
    rank = len(kernel)
    strides = tuple(attributes.get("strides", [1] * rank))
    dilations = tuple(attributes.get("dilations", [1] * rank))
    pads = tuple(attributes.get("pads", [0] * 2 * rank))
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        needed = [
            max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
            for size, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)
        ]
        small = [each // 2 for each in needed]
        large = [each - half for each, half in zip(needed, small, strict=True)]
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    elif auto == "VALID":
        pads = (0,) * (2 * rank)
    return Window(tuple(kernel), strides, pads, dilations, bool(attributes.get("ceil_mode", 0)))


def pool(kind: str, attributes: dict[str, Any]) -> Callable[[Prints], Prints] | None:
    """What a pooling operator does, or None for another operator."""
    maximum = "Max" in kind
    if kind in ("GlobalAveragePool", "GlobalMaxPool", "QLinearGlobalAveragePool"):
        return lambda x: _reduced(
            x,
            Window(x.shape[2:], (1,) * (x.ndim - 2), (0,) * (2 * x.ndim - 4), (1,) * (x.ndim - 2)),
            maximum,
        )
    if kind in ("MaxPool", "AveragePool", "QLinearAveragePool"):
        kernel = attributes["kernel_shape"]
        return lambda x: _reduced(x, window_of(attributes, kernel, x.shape[2:]), maximum)
    return None


def _reduced(x: Prints, window: Window, maximum: bool) -> Prints:
    """The sum of each window, or its maximum; see `algebra.largest`."""
    single = all(size == 1 for size in window.kernel)
    found = np.zeros((*x.shape[:2], *window.outputs(x.shape[2:])), np.uint64)
    for tap in window.taps(x):
        found += mixed(np.ascontiguousarray(tap), (29, 32)) if maximum and not single else tap
    return found
