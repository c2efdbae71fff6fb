"""A program of two convolutions."""

from __future__ import annotations

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Buffer
from tests.runtime.builder import BRIDGE, CORE, F16, I8, I16, Builder, at, i, loop, nest, r


def convolutions(size: int = 5, channels: int = 3, filters: int = 4, seed: int = 0) -> Image:
    """Two padded 3 x 3 convolutions with ReLU and requantisation; the second has two row tiles."""
    rng = np.random.default_rng(seed)
    b = Builder()
    adc = b.adc()
    pixels = b.channel(I8, channels)
    b.input("image", pixels, (None, channels, size, size), permutation=(1, 2, 0), scale=0.05)

    def windows(source: int, depth: int, parts: tuple[int, ...]) -> list[int]:
        """Channels with consecutive parts of the windows of an image."""
        row, length = (size + 2) * depth, 9 * depth
        made = [b.channel(I8, part) for part in parts]
        starts = np.cumsum([0, *parts])[:-1].tolist()
        pad = row + depth
        b.stream(
            BRIDGE,
            [(I8, depth), (I8, length)],
            nest(
                (size, size),
                i("recv", r(0, depth), source),
                i("store", at(pad, (row, depth), (depth, 1)), r(0, depth)),
            ),
            nest(
                (size, size),
                i("load", r(1, length), at(0, (row, depth), (3, row), (3, depth), (depth, 1))),
                *(
                    i("send", channel, r(1, part, start))
                    for channel, part, start in zip(made, parts, starts, strict=True)
                ),
            ),
            buffer=Buffer(I8, (size + 2) * row, 0),
        )
        return made

    def tile(source: int, rows: int, partial: int | None, last: bool) -> int:
        """A row tile; returns the channel of its result."""
        result = b.channel(I8 if last else F16, filters)
        weight = b.weight(rng.integers(-127, 128, (rows, filters)))
        factor = b.const16(rng.uniform(0.05, 0.2, filters), 1)
        add = (
            (
                i("recv", r(3, filters), partial),
                i("add", r(2, filters), r(2, filters), r(3, filters)),
            )
            if partial is not None
            else ()
        )
        finish = (
            (
                i("relu", r(2, filters), r(2, filters)),
                i("quantise", r(4, filters), r(2, filters)),
                i("send", result, r(4, filters)),
            )
            if last
            else (i("send", result, r(2, filters)),)
        )
        b.stream(
            CORE,
            [(I8, rows), (I16, filters), (F16, filters), (F16, filters), (I8, filters)],
            i("program", weight, 0, 0),
            loop(
                size * size,
                i("recv", r(0, rows), source),
                i("mvm", r(1, filters), r(0, rows), 0, 0, adc),
                i("scale", r(2, filters), r(1, filters), factor),
                *add,
                *finish,
            ),
        )
        return result

    (first,) = windows(pixels, channels, (9 * channels,))
    hidden = tile(first, 9 * channels, None, last=True)
    upper, lower = windows(hidden, filters, (20, 9 * filters - 20))
    partial = tile(upper, 20, None, last=False)
    b.output("y", tile(lower, 9 * filters - 20, partial, last=True), (None, size, size, filters))
    return b.image()
