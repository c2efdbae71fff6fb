"""Which full scale the converters of a tile take, where the target offers several.

A small full scale resolves small sums and clips large ones.  The tile's matrix is applied to codes
that calibration data produce, and the full scale with the least squared error wins; without such
codes the largest one, which clips least.  The arithmetic is that of docs/numerics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Module
from anacc.targets import Target
from anacc.targets.adc import AdcSettings
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.layout import Layout, Nest

Feed = Mapping[str, npt.NDArray[Any]]
Codes = npt.NDArray[np.int8]
FloatArray = npt.NDArray[Any]

BEST = 100.0  # dB
SAMPLES = 8  # samples of a feed that are looked at
VECTORS = 512  # input vectors of a tile that are looked at


@dataclass(frozen=True)
class Choice:
    """The converter settings of a tile, and how well they serve.

    Attributes:
        adc: the settings.
        snr: signal-to-noise ratio of the converted sums in dB, at most `BEST`; None if there are no
            codes to measure it on.
    """

    adc: AdcSettings
    snr: float | None


def choose(
    target: Target,
    read_mode: str,
    nonnegative: bool,
    codes: npt.NDArray[np.int8],
    vectors: Codes | None,
) -> Choice:
    """The converter settings of a tile.

    Args:
        target: the chip, which offers the full scales.
        read_mode: `4-phase` or `1-phase`.
        nonnegative: no input code can be negative.
        codes: weights of the tile, shape (rows, columns).
        vectors: input codes, shape (n, rows), or None.
    """
    offered = sorted(target.adc.full_scale_cells.value, reverse=True)
    settings = [target.adc_settings(read_mode, cells, nonnegative) for cells in offered]
    if vectors is None:
        return Choice(settings[0], None)
    # Sums of codes are far below 2**53, so that binary64 holds them exactly.
    x, g = vectors.astype(np.float64), codes.astype(np.float64)
    signed = (x @ g).astype(np.int64)
    magnitude = (np.abs(x) @ np.abs(g)).astype(np.int64)
    errors = [float(np.sum((_read(each, signed, magnitude) - signed) ** 2)) for each in settings]
    least, signal = min(errors), float(np.sum(signed.astype(np.float64) ** 2))
    snr = 10.0 * math.log10(signal / least) if least > 0 and signal > 0 else BEST
    return Choice(settings[errors.index(least)], min(snr, BEST))


def _read(
    adc: AdcSettings, signed: npt.NDArray[np.int64], magnitude: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The sums that converters report, in units of the charge."""
    if adc.phases == 4:
        counts = _count(adc, (magnitude + signed) // 2) - _count(adc, (magnitude - signed) // 2)
    else:
        counts = np.sign(signed) * _count(adc, np.abs(signed))
    return np.asarray(counts * (2.0**adc.b / adc.a), np.float64)


def _count(adc: AdcSettings, charge: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    rounded = (charge * adc.a + (1 << (adc.b - 1))) >> adc.b
    return np.asarray(np.minimum(rounded, adc.c_max), np.int64)


@dataclass(frozen=True)
class Samples:
    """Codes of layer values on a few calibration samples.

    Attributes:
        module: layer level.
        values: what its crossbars take, by name, as ONNX Runtime computed it.
    """

    module: Module
    values: Feed

    @classmethod
    def of(cls, module: Module, feed: Feed) -> Samples:
        """Run the source model of a layer module on calibration data."""
        taken = [op.operands[0] for op in module.ops if op.kind in ("crossbar", "lstm")]
        # What an LSTM gives is also what it sends back to itself.
        taken += [op.results[0] for op in module.ops if op.kind == "lstm" and op.results[0]]
        names = tuple(dict.fromkeys(taken))
        return cls(module, module.source.activations(feed, names))

    def tokens(
        self, value: str, layout: Layout, scale: float, factors: FloatArray | None = None
    ) -> Codes:
        """Codes of a value, shape (samples, tokens, token size).

        Args:
            value: its name.
            layout: the order of its elements.
            scale: real value of one code.
            factors: what the elements of a token are divided by before, shape (token size,).
        """
        array = self.values[value]
        axis = self.module.tensor(value).batch_axis
        array = array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)
        array = array[:SAMPLES].reshape(-1, *layout.dims)
        moved = array.transpose(0, *(axis + 1 for axis in layout.permutation))
        shape = (len(moved), layout.tokens, layout.token_size)
        if factors is not None:
            moved = moved / factors
        zero = self.module.values[value].zero
        return np.asarray(
            np.clip(np.rint(moved / scale + zero), -LARGEST_CODE, LARGEST_CODE), np.int8
        ).reshape(shape)

    def vectors(
        self, value: str, layout: Layout, scale: float, factors: FloatArray | None = None
    ) -> Codes:
        """Some tokens of a value, shape (n, token size), n at most about `VECTORS`."""
        codes = self.tokens(value, layout, scale, factors).reshape(-1, layout.token_size)
        return codes[:: max(1, len(codes) // VECTORS)]


def chosen_rows(vectors: Codes | None, rows: tuple[int, int]) -> Codes | None:
    """What drives the rows (first, last + 1) of a matrix."""
    return None if vectors is None else vectors[:, rows[0] : rows[1]]


def addresses(nest: Nest) -> npt.NDArray[np.int64]:
    """The buffer addresses of a nest, shape (tokens, elements of a token)."""
    counts, base, strides, dims = nest
    found = np.full((), base, np.int64)
    for count, stride in (*zip(counts, strides, strict=True), *dims):
        found = np.add.outer(found, np.arange(count) * stride)
    return found.reshape(int(np.prod(counts, dtype=np.int64)), -1)


def windows(codes: Codes, stores: Sequence[Nest], load: Nest, size: int, fill: int = 0) -> Codes:
    """Some of the windows that a gather reads, shape (n, window), n at most about `VECTORS`.

    Args:
        codes: shape (samples, tokens, token size); the parts of `stores` lie side by side in it.
        stores, load, size, fill: of the gather.
    """
    buffer = np.full((len(codes), size), fill, np.int8)
    first = 0
    for nest in stores:
        places = addresses(nest)
        last = first + places.shape[1]
        buffer[:, places] = codes[:, :, first:last]
        first = last
    places = addresses(load)
    step = max(1, len(codes) * len(places) // VECTORS)
    return buffer[:, places[::step]].reshape(-1, places.shape[1])
