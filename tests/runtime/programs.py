"""Random valid programs, also of kinds that the compiler does not emit.

Each stream is written instruction by instruction; the writer knows what holds a value, so that
almost all programs pass the loader's checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from random import Random

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Access, Slice
from tests.runtime.builder import BRIDGE, CORE, F16, GDPU, I8, Builder
from tests.runtime.random_registers import Tokens
from tests.runtime.random_streams import COUNTS, Writer


@dataclass
class _Edge:
    """A channel of a cycle: the first `lag` tokens are sent before the loop, of which `taken` are
    received before it."""

    tokens: Tokens
    lag: int
    taken: int


def _value(writer: Writer, tokens: Tokens) -> Slice:
    """Something to be sent."""
    found = writer.value(tokens.format, length=tokens.size)
    return found or writer.register(tokens.format, tokens.size, state=True)


def _cycle(b: Builder, rng: Random, channels: list[Tokens]) -> list[Tokens]:
    """Add streams that pass tokens round; returns the channels that leave the cycle."""
    members, steps = rng.choice([2, 2, 3]), rng.choice(COUNTS)
    edges: list[list[_Edge]] = []
    for number in range(members):
        edges.append([])
        for _ in range(rng.choice([1, 1, 2])):
            format, size = rng.choice([I8, I8, F16]), rng.choice([1, 3, 8, 33])
            # Where the cycle closes, all tokens are sent an iteration ahead.
            lag = rng.choice([1, 1, 2, 3]) if number == members - 1 else rng.choice([0, 0, 1, 2])
            taken = rng.randint(0, lag - 1) if lag else 0
            channel = b.channel(format, size)
            edges[-1].append(_Edge(Tokens(channel, format, size, steps + lag), lag, taken))
    made = []
    for number in range(members):
        received, sent = edges[number - 1], edges[number]
        outside = rng.sample(channels, rng.randint(0 if number else 1, min(2, len(channels))))
        for each in outside:
            each.unread = False
        writer = Writer(b, rng, rng.choice([CORE, GDPU, BRIDGE]), outside)
        writer.early = False
        if rng.random() < 0.4:
            writer.section(rng.randint(1, 2), 6)
        for edge in sent:
            for _ in range(edge.lag):
                writer.emit("send", edge.tokens.channel, writer.read(_value(writer, edge.tokens)))
        for edge in received:
            for _ in range(edge.taken):
                dst = writer.target(edge.tokens.format, edge.tokens.size)
                writer.emit("recv", writer.write(dst), edge.tokens.channel)
        with writer.loop(steps, True):
            for edge in received:
                dst = writer.target(edge.tokens.format, edge.tokens.size)
                writer.emit("recv", writer.write(dst), edge.tokens.channel)
                writer.filler()
            nested = rng.random() < 0.3
            if nested:
                writer.section(1, 6)
            writer.steps(rng.randint(1, 5), leaf=not nested)
            for edge in sent:
                writer.emit("send", edge.tokens.channel, writer.read(_value(writer, edge.tokens)))
        for edge in received:
            for _ in range(edge.lag - edge.taken):
                dst = writer.target(edge.tokens.format, edge.tokens.size)
                writer.emit("recv", writer.write(dst), edge.tokens.channel)
                writer.steps(1, leaf=False)
        writer.drain()
        writer.finish()
        made += writer.sent
    return made


def _shape(rng: Random, count: int) -> list[int]:
    """Counts of nested loops with `count` iterations."""
    counts: list[int] = []
    while count > 1 and len(counts) < 2:
        counts.append(rng.choice([k for k in range(1, count + 1) if count % k == 0]))
        count //= counts[-1]
    return [*counts, count]


@contextmanager
def _nest(writer: Writer, count: int) -> Iterator[None]:
    """Loops with `count` iterations in all; mostly parallel ones."""
    with ExitStack() as stack:
        for inner in _shape(writer.rng, count):
            stack.enter_context(writer.loop(inner, writer.rng.random() < 0.06))
        yield


def _windows(b: Builder, rng: Random, source: Tokens) -> list[Tokens]:
    """Windows of a tensor that a bridge stores in any layout, in parts."""
    writer = Writer(b, rng, BRIDGE, [source])
    writer.buffer_format, writer.early = source.format, rng.random() < 0.2
    first = rng.choice([source.count, source.count, rng.randint(1, source.count)])
    for count in (first, source.count - first):
        if count:
            with _nest(writer, count):
                token = writer.register(source.format, source.size)
                writer.recv(source.channel, token)
                writer.emit("store", writer.room(source.size), writer.read(token))
    rows, run = rng.choice([1, 2, 3]), rng.choice([1, 4, 5, 8, 12])
    length = rows * run
    cut = rng.choice([0, length // 2, run, rng.randint(0, length - 1)])
    sizes = [size for size in (cut, length - cut) if size]
    parts = [Tokens(b.channel(source.format, size), source.format, size, 0) for size in sizes]
    limit = writer.top + 40
    step = rng.randint(1, (limit - run) // rows)
    for _ in range(rng.choice([1, 1, 2])):
        with _nest(writer, rng.choice(COUNTS)):
            room = (limit - (rows - 1) * step - run) // (len(writer.counts) + 1)
            strides = [rng.randint(0, room // count) for count in writer.counts]
            signs = [rng.choice([1, 1, -1]) for _ in strides]
            backwards = zip(strides, writer.counts, signs, strict=True)
            base = sum(s * (c - 1) for s, c, sign in backwards if sign < 0)
            whole = writer.register(source.format, length)
            strides = [stride * sign for stride, sign in zip(strides, signs, strict=True)]
            access = Access(base, tuple(strides), ((rows, step), (run, 1)))
            writer.emit("load", writer.write(whole), access)
            offset = 0
            for part in parts:
                writer.emit("send", part.channel, Slice(whole.register, offset, part.size))
                part.count += prod(writer.counts)
                offset += part.size
    writer.top = limit
    writer.drain()
    writer.finish()
    return [part for part in parts if part.count] + writer.sent


def _tiles(b: Builder, rng: Random, parts: list[Tokens]) -> list[Tokens]:
    """Row tiles of one layer, each of which takes a part of its input."""
    columns, count = rng.choice([1, 3, 16, 33, 70]), parts[0].count
    partial: Tokens | None = None
    made: list[Tokens] = []
    together = rng.random() < 0.4 and all(each.count == count for each in parts)
    for group in [parts] if together else [[part] for part in parts if part.count == count]:
        result = Tokens(b.channel(F16, columns), F16, columns, count)
        inputs = group if partial is None else [*group, partial]
        writer = Writer(b, rng, CORE, inputs)
        with _nest(writer, count):
            x = writer.register(I8, sum(part.size for part in group))
            offset = 0
            for part in group:
                writer.recv(part.channel, Slice(x.register, offset, part.size))
                offset += part.size
            added = None
            if partial is not None:
                added = writer.register(F16, columns)
                writer.recv(partial.channel, added)
            writer.tile(x, columns, added)
            y = writer.value(F16, length=columns) or writer.register(F16, columns, state=True)
            writer.emit("send", result.channel, writer.read(y))
        writer.drain()
        writer.finish()
        for each in inputs:
            each.unread = False
        made += [result, *writer.sent]
        partial = result
    return made


def pipeline(rng: Random, layers: int = 2) -> Image:
    """Layers of windows and row tiles."""
    b = Builder()
    size, count = rng.choice([1, 3, 4, 8]), rng.choice(COUNTS)
    last = [Tokens(b.channel(I8, size), I8, size, count)]
    b.input("x", last[0].channel, (None, count, size), scale=0.05)
    channels = [*last]
    for _ in range(layers):
        source = rng.choice([each for each in last if each.format is I8] or channels[:1])
        source.unread = False
        parts = _windows(b, rng, source)
        channels += parts
        if not parts or parts[0].format is not I8:
            break
        last = _tiles(b, rng, parts[: rng.randint(1, 2)])
        channels += last
    for tokens in channels:
        if tokens.unread or rng.random() < 0.1:
            b.output(f"y{tokens.channel}", tokens.channel, (None, tokens.count, tokens.size))
    return b.image()


def program(rng: Random, streams: int = 4, cycle: bool | None = None) -> Image:
    """A random program.

    Args:
        rng: decides everything.
        streams: at most so many, apart from those of a cycle.
        cycle: whether streams pass tokens round.
    """
    b = Builder()
    b.table(np.tanh(np.linspace(0, 4, 17)), 4.0)
    b.table(np.exp(np.linspace(-2, 2, 9)), 2.0, odd=False, interpolate=False)
    channels: list[Tokens] = []
    for number in range(rng.randint(1, 3)):
        format, size = rng.choice([I8, I8, I8, F16]), rng.choice([1, 2, 3, 8, 17, 40])
        count = rng.choice(COUNTS)
        channels.append(Tokens(b.channel(format, size), format, size, count))
        b.input(f"x{number}", channels[-1].channel, (None, count, size), scale=0.05)
    if rng.random() < 0.2 if cycle is None else cycle:
        channels += _cycle(b, rng, channels)
    for _ in range(rng.randint(1, streams)):
        kind = rng.choice([CORE, CORE, BRIDGE, BRIDGE, GDPU])
        recent = channels[-4:]
        inputs = rng.sample(recent, rng.randint(1, min(3, len(recent))))
        writer = Writer(b, rng, kind, inputs)
        writer.section(rng.randint(1, 3), rng.choice([6, 12, 24]))
        writer.drain()
        writer.finish()
        for each in inputs:
            each.unread = False
        channels += writer.sent
    for tokens in channels:
        if tokens.unread or rng.random() < 0.2:
            shape = None, tokens.count, tokens.size
            b.output(f"y{tokens.channel}", tokens.channel, shape, scale=0.5)
    return b.image()
