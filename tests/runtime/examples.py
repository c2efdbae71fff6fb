"""Small programs of every shape that the compiler emits."""

from __future__ import annotations

from typing import Any

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Adc, Buffer, Node
from tests.runtime.builder import (
    BRIDGE,
    CORE,
    F16,
    GDPU,
    I8,
    I16,
    I32,
    Builder,
    at,
    i,
    loop,
    nest,
    r,
)
from tests.runtime.convolutions import convolutions

Array = np.ndarray[Any, Any]


def codes(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-127, 128, shape).astype(np.int8)


def layer(seed: int = 0, phases: int = 4) -> Image:
    """A layer of two row tiles over 3 x 4 positions, with residual, ReLU and requantisation; the
    binary16 value before the requantisation is an output too."""
    rng = np.random.default_rng(seed)
    b = Builder()
    left, right, side = (b.channel(I8, size) for size in (5, 6, 7))
    partial, value, result = b.channel(F16, 7), b.channel(F16, 7), b.channel(I8, 7)
    for name, channel, size in (("left", left, 5), ("right", right, 6), ("side", side, 7)):
        b.input(name, channel, (None, 3, 4, size), scale=0.02)
    adc = b.adc(Adc(phases, 3, 8, 427))
    weights = b.weight(codes(rng, 5, 7)), b.weight(codes(rng, 6, 7))
    factor = b.const16(rng.normal(size=7), 2)
    offset = b.const16(rng.normal(size=7) * 20, 2)
    residual = b.const16([0.5], 2)
    # The output is written before its writer stands in the text, and the second tile before the
    # first: the order of streams does not matter.
    b.output("codes", result, (None, 3, 4, 7), scale=0.25)
    b.output("values", value, (None, 7, 3, 4), permutation=(1, 2, 0), scale=0.5)
    b.stream(
        CORE,
        [(I8, 6), (I16, 7), (F16, 7), (F16, 7), (I8, 7), (F16, 7), (I8, 7)],
        i("program", weights[1], 2, 3),
        nest(
            (3, 4),
            i("recv", r(0, 2), right_half := b.channel(I8, 2)),
            i("recv", r(0, 4, 2), other_half := b.channel(I8, 4)),
            i("mvm", r(1, 7), r(0, 6), 2, 3, adc),
            i("scale", r(2, 7), r(1, 7), factor),
            i("recv", r(3, 7), partial),
            i("add", r(2, 7), r(2, 7), r(3, 7)),
            i("recv", r(4, 7), side),
            i("scale", r(5, 7), r(4, 7), residual),
            i("add", r(2, 7), r(2, 7), r(5, 7)),
            i("relu", r(2, 7), r(2, 7)),
            i("send", value, r(2, 7)),
            i("quantise", r(6, 7), r(2, 7)),
            i("send", result, r(6, 7)),
        ),
    )
    b.stream(
        CORE,
        [(I8, 5), (I16, 7), (F16, 7)],
        i("program", weights[0], 0, 0),
        nest(
            (3, 4),
            i("recv", r(0, 5), left),
            i("mvm", r(1, 7), r(0, 5), 0, 0, adc),
            i("affine", r(2, 7), r(1, 7), factor, offset),
            i("send", partial, r(2, 7)),
        ),
    )
    b.stream(
        BRIDGE,
        [(I8, 6)],
        loop(
            12,
            i("recv", r(0, 6), right),
            i("send", right_half, r(0, 2)),
            i("send", other_half, r(0, 4, 2)),
        ),
    )
    return b.image()


def windows(size: int = 4, channels: int = 3, early: bool = False) -> Image:
    """3 x 3 windows with a border of zeros over a size x size image.  `early`: the load stands in
    the text before the store of the last row."""
    b = Builder()
    pixels, gathered = b.channel(I8, channels), b.channel(I8, 9 * channels)
    b.input("image", pixels, (None, channels, size, size), permutation=(1, 2, 0))
    row = (size + 2) * channels
    fill = nest(
        (size - 1, size),
        i("recv", r(0, channels), pixels),
        i("store", at(row + channels, (row, channels), (channels, 1)), r(0, channels)),
    )
    last = loop(
        size,
        i("recv", r(2, channels), pixels),
        i("store", at(size * row + channels, (channels,), (channels, 1)), r(2, channels)),
    )
    gather = nest(
        (size, size),
        i("load", r(1, 9 * channels), at(0, (row, channels), (3, row), (3 * channels, 1))),
        i("send", gathered, r(1, 9 * channels)),
    )
    b.stream(
        BRIDGE,
        [(I8, channels), (I8, 9 * channels), (I8, channels)],
        fill,
        *((gather, last) if early else (last, gather)),
        buffer=Buffer(I8, (size + 2) * row, 0),
    )
    b.output("windows", gathered, (None, size, size, 9 * channels))
    return b.image()


def pooling() -> Image:
    """2 x 2 maximum and global average of a 4 x 4 image with 3 channels, both from one channel."""
    b = Builder()
    pixels, largest, mean = b.channel(I8, 3), b.channel(I8, 3), b.channel(I8, 3)
    b.input("image", pixels, (None, 4, 4, 3))
    b.stream(
        BRIDGE,
        [(I8, 3), (I8, 12), (I8, 3)],
        loop(16, i("recv", r(0, 3), pixels), i("store", at(0, (3,), (3, 1)), r(0, 3))),
        nest(
            (2, 2),
            i("load", r(1, 12), at(0, (24, 6), (2, 12), (6, 1))),
            i("maximum", r(2, 3), r(1, 12)),
            i("send", largest, r(2, 3)),
        ),
        buffer=Buffer(I8, 48, 0),
    )
    b.stream(
        BRIDGE,
        [(I8, 48), (I32, 3), (F16, 3), (I8, 3)],
        *(i("recv", r(0, 3, 3 * k), pixels) for k in range(16)),
        i("sum", r(1, 3), r(0, 48)),
        i("average", r(2, 3), r(1, 3), b.const32([1 / 16], 0)),
        i("quantise", r(3, 3), r(2, 3)),
        i("send", mean, r(3, 3)),
    )
    b.output("maximum", largest, (None, 2, 2, 3))
    b.output("mean", mean, (None, 3))
    return b.image()


def concatenation() -> Image:
    """Two tensors side by side, the second requantised; tokens of two replicas interleave."""
    b = Builder()
    first, even, odd = b.channel(I8, 2), b.channel(I8, 3), b.channel(I8, 3)
    joined = b.channel(I8, 5)
    b.input("first", first, (None, 6, 2))
    b.input("even", even, (None, 3, 3))
    b.input("odd", odd, (None, 3, 3))
    half = b.const16([0.5], 1)

    def position(source: int) -> tuple[Node, ...]:
        return (
            i("recv", r(0, 2), first),
            i("copy", r(3, 2), r(0, 2)),
            i("recv", r(1, 3), source),
            i("scale", r(2, 3), r(1, 3), half),
            i("quantise", r(3, 3, 2), r(2, 3)),
            i("send", joined, r(3, 5)),
        )

    b.stream(
        BRIDGE, [(I8, 2), (I8, 3), (F16, 3), (I8, 5)], loop(3, *position(even), *position(odd))
    )
    b.output("joined", joined, (None, 6, 5))
    return b.image()


def cell(interpolate: bool = True) -> Image:
    """A chain of GDPU operations on binary16 values."""
    b = Builder()
    values, result = b.channel(F16, 4), b.channel(F16, 4)
    b.input("x", values, (None, 5, 4))
    tanh = b.table(np.tanh(np.linspace(0, 8, 65)), 8.0, interpolate=interpolate)
    soft = b.table(np.exp(np.linspace(-4, 4, 33)), 4.0, odd=False, interpolate=interpolate)
    half = b.const16([0.5] * 4, 1)
    b.stream(
        GDPU,
        [(F16, 4), (F16, 4), (F16, 4)],
        loop(
            5,
            i("recv", r(0, 4), values),
            i("scale", r(1, 4), r(0, 4), half),
            i("lookup", r(1, 4), r(1, 4), tanh),
            i("affine", r(1, 4), r(1, 4), half, half),
            i("lookup", r(2, 4), r(0, 4), soft),
            i("multiply", r(1, 4), r(1, 4), r(2, 4)),
            i("clamp", r(1, 4), r(1, 4), -6.0, 6.0),
            i("send", result, r(1, 4)),
        ),
    )
    b.output("y", result, (None, 5, 4))
    return b.image()


def recurrence(steps: int = 5, units: int = 4, inputs: int = 3, seed: int = 0) -> Image:
    """An LSTM: weights of the input on one core for all steps at once, weights of the state on
    another, which a GDPU feeds; the last state goes round the loop once more and is drained."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x, projected, gates = (
        b.channel(I8, inputs),
        b.channel(F16, 4 * units),
        b.channel(F16, 4 * units),
    )
    state, out = b.channel(I8, units), b.channel(F16, units)
    b.input("x", x, (None, steps, inputs), scale=0.01)
    adc = b.adc()
    w_x, w_h = b.weight(codes(rng, inputs, 4 * units)), b.weight(codes(rng, units, 4 * units))
    factor = b.const16(rng.uniform(0.01, 0.05, 4 * units), 1)
    offset = b.const16(rng.normal(size=4 * units), 1)
    half, full = b.const16([0.5], 1), b.const16([127.0], 1)
    tanh = b.table(np.tanh(np.linspace(0, 6, 129)), 6.0)
    b.stream(
        CORE,
        [(I8, inputs), (I16, 4 * units), (F16, 4 * units)],
        i("program", w_x, 0, 0),
        loop(
            steps,
            i("recv", r(0, inputs), x),
            i("mvm", r(1, 4 * units), r(0, inputs), 0, 0, adc),
            i("affine", r(2, 4 * units), r(1, 4 * units), factor, offset),
            i("send", projected, r(2, 4 * units)),
        ),
    )
    b.stream(
        CORE,
        [(I8, units), (I16, 4 * units), (F16, 4 * units), (F16, 4 * units)],
        i("program", w_h, 0, 0),
        loop(
            steps,
            i("recv", r(0, units), state),
            i("mvm", r(1, 4 * units), r(0, units), 0, 0, adc),
            i("scale", r(2, 4 * units), r(1, 4 * units), factor),
            i("recv", r(3, 4 * units), projected),
            i("add", r(2, 4 * units), r(2, 4 * units), r(3, 4 * units)),
            i("send", gates, r(2, 4 * units)),
            sequential=True,
        ),
        i("recv", r(0, units), state),
    )

    def sigmoid(dst: int, gate: int) -> tuple[Node, ...]:
        return (
            i("scale", r(dst, units), r(0, units, gate * units), half),
            i("lookup", r(dst, units), r(dst, units), tanh),
            i("affine", r(dst, units), r(dst, units), half, half),
        )

    b.stream(
        GDPU,
        # gates, input gate, candidate, forget gate, output gate, cell (state), hidden, code, first
        [
            (F16, 4 * units),
            *[(F16, units)] * 4,
            (F16, units, True),
            (F16, units),
            (I8, units),
            (I8, units, True),
        ],
        i("send", state, r(8, units)),
        loop(
            steps,
            i("recv", r(0, 4 * units), gates),
            *sigmoid(1, 0),
            i("lookup", r(2, units), r(0, units, units), tanh),
            *sigmoid(3, 2),
            *sigmoid(4, 3),
            i("multiply", r(5, units), r(5, units), r(3, units)),
            i("multiply", r(2, units), r(2, units), r(1, units)),
            i("add", r(5, units), r(5, units), r(2, units)),
            i("lookup", r(6, units), r(5, units), tanh),
            i("multiply", r(6, units), r(6, units), r(4, units)),
            i("send", out, r(6, units)),
            i("scale", r(6, units), r(6, units), full),
            i("quantise", r(7, units), r(6, units)),
            i("send", state, r(7, units)),
            sequential=True,
        ),
    )
    b.output("h", out, (None, steps, units))
    return b.image()


ALL = {
    "layer": layer(),
    "layer, 1-phase": layer(phases=1),
    "windows": windows(),
    "pooling": pooling(),
    "concatenation": concatenation(),
    "cell": cell(),
    "cell, nearest sample": cell(interpolate=False),
    "recurrence": recurrence(),
    "convolutions": convolutions(),
}


def feed(image: Image, batch: int, seed: int = 0) -> dict[str, Array]:
    """Normally distributed inputs, wide enough to saturate here and there."""
    rng = np.random.default_rng(seed)
    return {
        port.name: rng.normal(size=[batch if n is None else n for n in port.shape]).astype(
            np.float32
        )
        * 5
        for port in image.manifest.inputs
    }
