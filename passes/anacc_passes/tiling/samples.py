"""What drives the crossbars on a few calibration samples.

Ranges of columns and converters are chosen on such vectors.  They are in units of the input's code
and not rounded yet, so that what rounding and clipping the inputs costs can be told too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Module
from anacc.ir.cells import CELLS
from anacc_passes.calibrate import some_samples, spread
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
        values: what its crossbars take, by name, as ONNX Runtime computed it: samples first.
    """

    module: Module
    values: Feed

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
            for values in [module.source.activations(feed, names)]
        ]
        # What ONNX cannot compute (a step within a node, data without samples) is not there.
        known = [name for name in names if parts and name in parts[0]]
        if len(parts) == 1:
            return cls(module, {name: parts[0][name] for name in known})  # not copied
        return cls(module, {name: np.concatenate([part[name] for part in parts]) for name in known})

    def holds(self, value: str) -> bool:
        """Whether a value is known."""
        return value in self.values

    def tokens(
        self,
        value: str,
        layout: Layout,
        scale: float,
        factors: npt.NDArray[np.float32] | None = None,
    ) -> Vectors:
        """A value in units of its code, its zero point added: (samples, tokens, token size).

        Args:
            value: its name.
            layout: the order of its elements.
            scale: real value of one code.
            factors: what the elements of a token are divided by before, shape (token size,).
        """
        array = self.values[value].reshape(-1, *layout.dims)
        moved = array.transpose(0, *(axis + 1 for axis in layout.permutation))
        shape = (len(moved), layout.tokens, layout.token_size)
        if factors is not None:
            moved = moved / factors
        codes = moved / np.float32(scale) + self.module.values[value].zero
        return np.asarray(codes, np.float32).reshape(shape)

    def vectors(
        self,
        value: str,
        layout: Layout,
        scale: float,
        factors: npt.NDArray[np.float32] | None = None,
    ) -> Vectors:
        """Some tokens of a value, shape (n, token size), n at most `VECTORS`."""
        tokens = self.tokens(value, layout, scale, factors).reshape(-1, layout.token_size)
        return tokens[spread(len(tokens), VECTORS)]


def _samples_first(
    module: Module, name: str, array: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    axis = module.tensor(name).batch_axis
    return array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)


def chosen_rows(vectors: Vectors | None, rows: tuple[int, int]) -> Vectors | None:
    """What drives the rows (first, last + 1) of a matrix."""
    return None if vectors is None else vectors[:, rows[0] : rows[1]]


def addresses(nest: Nest) -> npt.NDArray[np.int64]:
    """The buffer addresses of a nest, shape (tokens, elements of a token)."""
    counts, base, strides, dims = nest
    found = np.full((), base, np.int64)
    for count, stride in (*zip(counts, strides, strict=True), *dims):
        found = np.add.outer(found, np.arange(count) * stride)
    return found.reshape(int(np.prod(counts, dtype=np.int64)), -1)


def windows(
    tokens: Vectors, stores: Iterable[Nest], load: Nest, size: int, fill: int = 0
) -> Vectors:
    """Some of the windows that a gather reads, shape (n, window), n at most `VECTORS`.

    Args:
        tokens: shape (samples, tokens, token size); the parts of `stores` lie side by side in it.
        stores, load, size, fill: of the gather.
    """
    buffer = np.full((len(tokens), size), fill, np.float32)
    first = 0
    for nest in stores:
        places = addresses(nest)
        last = first + places.shape[1]
        buffer[:, places] = tokens[:, :, first:last]
        first = last
    places = addresses(load)
    sample, position = np.divmod(spread(len(tokens) * len(places), VECTORS), len(places))
    return np.asarray(buffer[sample[:, np.newaxis], places[position]], np.float32)
