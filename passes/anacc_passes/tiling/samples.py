"""What drives the crossbars on a few calibration samples.

Ranges of columns and converters are chosen on such vectors.  They are in units of the input's code
and not rounded yet, so that what rounding and clipping the inputs costs can be told too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Module
from anacc.ir.cells import CELLS
from anacc_passes.calibrate import piecewise, some_samples, spread
from anacc_passes.tiling.layout import Layout, Nest

Feed = Mapping[str, npt.NDArray[Any]]
Vectors = npt.NDArray[np.float32]
"""Inputs of a matrix in units of their code, before they are rounded to codes: (n, rows)."""

SAMPLES = 32  # most samples that are looked at
VECTORS = 512  # input vectors of a tile that are looked at


@dataclass(frozen=True)
class Samples:
    """Layer values on a few calibration samples.

    Attributes:
        module: layer level.
        values: what its crossbars take, by name, as ONNX Runtime computed it, in pieces (not put
            together, which would copy them): samples first.
    """

    module: Module
    values: Mapping[str, Sequence[npt.NDArray[np.float32]]]

    @classmethod
    def of(cls, module: Module, feeds: Sequence[Feed]) -> Samples:
        """Run the source model of a layer module on some of the calibration data."""
        taken = [op.operands[0] for op in module.ops if op.kind in ("crossbar", *CELLS)]
        # What a recurrent layer gives is also what it sends back to itself.
        taken += [op.results[0] for op in module.ops if op.kind in CELLS and op.results[0]]
        names = tuple(dict.fromkeys(taken))
        parts = [
            {name: _samples_first(module, name, array) for name, array in values.items()}
            for feed in some_samples(module, feeds, SAMPLES)
            for values in piecewise(module, feed, names)
        ]
        # What ONNX cannot compute (a step within a node, data without samples) is not there.
        known = [name for name in names if parts and name in parts[0]]
        return cls(module, {name: [part[name] for part in parts] for name in known})

    def holds(self, value: str) -> bool:
        """Whether a value is known."""
        return value in self.values

    def tokens(self, value: str, layout: Layout, scale: float) -> Vectors:
        """A value in units of its code, its zero point added: (samples, tokens, token size).

        Args:
            value: its name.
            layout: the order of its elements.
            scale: real value of one code.
        """
        axes = (0, *(axis + 1 for axis in layout.permutation))
        shape = (-1, layout.tokens, layout.token_size)
        pieces = [piece.reshape(-1, *layout.dims) for piece in self.values[value]]
        return np.concatenate(
            [self._codes(value, each.transpose(axes), scale).reshape(shape) for each in pieces]
        )

    def vectors(
        self,
        value: str,
        layout: Layout,
        scale: float,
        factors: npt.NDArray[np.float32] | None = None,
    ) -> Vectors:
        """Some tokens of a value, shape (n, token size), n at most `VECTORS`.

        Args:
            value, layout, scale: as for `tokens`.
            factors: what the elements of a token are divided by before, shape (token size,).
        """
        total = self._samples(value, layout) * layout.tokens
        samples, tokens = np.divmod(spread(total, VECTORS)[:, np.newaxis], layout.tokens)
        elements = tokens * layout.token_size + np.arange(layout.token_size)
        return self._taken(value, layout, scale, factors, samples, elements)

    def windows(
        self,
        value: str,
        layout: Layout,
        scale: float,
        factors: npt.NDArray[np.float32] | None,
        stores: Iterable[Nest],
        load: Nest,
        size: int,
        fill: int = 0,
    ) -> Vectors:
        """Some of the windows that a gather reads, shape (n, window), n at most `VECTORS`.

        Args:
            value, layout, scale, factors: as for `vectors`; the parts of `stores` lie side by side
                in a token.
            stores, load, size, fill: of the gather.
        """
        held = np.full(size, -1)  # which element of the value each place of the buffer holds
        first = 0
        for nest in stores:
            places = addresses(nest)
            last = first + places.shape[1]
            tokens = np.arange(layout.tokens)[:, np.newaxis]
            held[places] = tokens * layout.token_size + np.arange(first, last)
            first = last
        positions = math.prod(load[0])
        total = self._samples(value, layout) * positions
        samples, chosen = np.divmod(spread(total, VECTORS), positions)
        elements = held[addresses(load, chosen)]
        found = self._taken(value, layout, scale, factors, samples[:, np.newaxis], elements)
        return np.where(elements < 0, np.float32(fill), found)

    def _samples(self, value: str, layout: Layout) -> int:
        return sum(piece.size for piece in self.values[value]) // math.prod(layout.dims)

    def _taken(
        self,
        value: str,
        layout: Layout,
        scale: float,
        factors: npt.NDArray[np.float32] | None,
        samples: npt.NDArray[np.int64],
        elements: npt.NDArray[np.int64],
    ) -> Vectors:
        """Elements of a value in units of its code, its zero point added.

        Only what is asked for is computed: a feature map has many more elements than are looked at.

        Args:
            value, layout, scale, factors: as for `vectors`.
            samples: numbers of samples, shape (n, 1).
            elements: of each some elements, shape (n, m): token * token size + place within it.
        """
        pieces, dims = self.values[value], layout.dims
        count = math.prod(dims)
        order = np.arange(count).reshape(dims).transpose(layout.permutation).reshape(-1)
        places, found = order[elements], np.empty(elements.shape, pieces[0].dtype)
        first = 0
        for piece in pieces:
            array = piece.reshape(-1, count)
            inside = np.flatnonzero((first <= samples) & (samples < first + len(array)))
            found[inside] = array[samples[inside] - first, places[inside]]
            first += len(array)
        if factors is not None:
            found = found / factors[elements % layout.token_size]
        return self._codes(value, found, scale)

    def _codes(self, value: str, found: npt.NDArray[Any], scale: float) -> Vectors:
        codes = found / np.float32(scale) + self.module.values[value].zero
        return np.asarray(codes, np.float32)


def _samples_first(
    module: Module, name: str, array: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    axis = module.tensor(name).batch_axis
    return array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)


def chosen_rows(vectors: Vectors | None, rows: tuple[int, int]) -> Vectors | None:
    """What drives the rows (first, last + 1) of a matrix."""
    return None if vectors is None else vectors[:, rows[0] : rows[1]]


def addresses(nest: Nest, chosen: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """The buffer addresses of a nest, or of some of its tokens: (tokens, elements of a token)."""
    counts, base, strides, dims = nest
    outer = _sums(base, zip(counts, strides, strict=True))
    return np.add.outer(outer if chosen is None else outer[chosen], _sums(0, dims))


def _sums(base: int, loops: Iterable[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """The numbers that nested loops (count, stride) go through from a base on, in their order."""
    found = np.full((), base, np.int64)
    for count, stride in loops:
        found = np.add.outer(found, np.arange(count) * stride)
    return found.reshape(-1)
