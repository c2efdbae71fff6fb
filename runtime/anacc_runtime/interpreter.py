"""Executes one stream: each instruction is one function of `anacc_runtime.arithmetic`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from anacc.errors import ProgramError
from anacc.program.image import Image
from anacc.program.model import Access, Const, Slice, Table
from anacc_runtime import arithmetic
from anacc_runtime.crossbar import Crossbar, Region
from anacc_runtime.noise import Int32Array, RunNoise, charge_deviation, conversion_noise
from anacc_runtime.observer import Observer
from anacc_runtime.plan import Affine, Plan, Step
from anacc_runtime.registers import DTYPE, Array, Nest, Registers, window


@dataclass
class Channels:
    """The tokens of channels for one part of the batch.

    Attributes:
        tokens: for each channel, (batch, tokens, token size) in the channel's format.
        sent: how many tokens, in order, are there to be received.
    """

    tokens: dict[int, Array] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)

    def put(self, channel: int, tokens: Array) -> None:
        """Set all tokens of a channel."""
        self.tokens[channel] = tokens
        self.sent[channel] = tokens.shape[1]

    def drop(self, channel: int) -> None:
        """Forget a channel that nobody reads any more."""
        self.tokens.pop(channel, None)
        self.sent.pop(channel, None)


@dataclass(frozen=True)
class Work:
    """What the streams have in common that run on one part of the batch.

    Attributes:
        image: the program.
        token_counts: tokens per sample of each channel.
        channels: the tokens so far.
        batch: samples in this part.
        threads: how many threads may work on it.
        first_sample: index in the whole batch of the first sample of this part.
        noise: of the conversions of this run, or None.
        observer: is shown the conversions, or None.
    """

    image: Image
    token_counts: tuple[int, ...]
    channels: Channels
    batch: int
    threads: int
    first_sample: int = 0
    noise: RunNoise | None = None
    observer: Observer | None = None


class Interpreter:
    """Executes a stream of the chip on one part of the batch.

    Args:
        work: the part of the batch.
        number: the stream.
        plans: what to execute, see `anacc_runtime.plan.plan`.
    """

    def __init__(self, work: Work, number: int, plans: tuple[Plan, ...]) -> None:
        self.work = work
        self.image = work.image
        self.number = number
        self.stream = stream = work.image.code.streams[number]
        self.plans = plans
        self.channels = work.channels
        self._reset()
        self.crossbar = Crossbar()
        if stream.buffer is not None:
            shape = (work.batch, stream.buffer.size)
            self.buffer = np.full(shape, stream.buffer.fill, DTYPE[stream.buffer.format])

    def run(self) -> Iterator[int]:
        """Execute the stream; yields a channel each time that it has to wait for a token of it."""
        for plan in self.plans:
            # A later plan computes again what it needs of an earlier one; only the buffer is kept.
            self._reset()
            yield from self._run(plan, Nest())

    def _reset(self) -> None:
        """Make all registers those of a stream that has not begun."""
        self.registers = Registers(self.stream.registers, self.work.batch)

    def _run(self, plan: Plan, nest: Nest) -> Iterator[int]:
        for node in plan:
            if isinstance(node, Step):
                if node.instr.op == "recv":
                    yield from self._receive(node, nest)
                else:
                    self.execute(node, nest)
            elif node.iterate:
                for index in range(node.count):
                    yield from self._run(
                        node.body, nest.enter_iteration(node.count, index, node.sequential)
                    )
            else:
                yield from self._run(node.body, nest.enter_axis(node.count, node.path))

    def execute(self, step: Step, nest: Nest) -> None:
        """Execute any instruction but a recv, in all iterations that are axes of `nest`."""
        match step.instr.op, step.instr.operands:
            case "send", (int(channel), Slice() as src):
                self._send(channel, self.registers.read(src, nest), step, nest)
            case "load", (Slice() as dst, Access() as access):
                value = self._access(access, nest)
                lead = value.shape[: 1 + len(nest.axes)]
                self.registers.write(dst, value.reshape(*lead, dst.length), nest)
            case "store", (Access() as access, Slice() as src):
                value = self.registers.read(src, nest)
                counts = tuple(count for count, _ in access.dims)
                self._access(access, nest)[...] = value.reshape(*value.shape[:-1], *counts)
            case "program", (int(weight), int(row), int(column)):
                self.crossbar.program(self.image, weight, row, column)
            case _, (Slice() as dst, *_):
                self.registers.write(dst, self._value(step, nest), nest)
            case op, _:
                raise ProgramError(f"stream `{self.stream.name}` cannot execute `{op}`")

    def _value(self, step: Step, nest: Nest) -> Array:
        """The result of an instruction that computes its register from registers."""
        instr = step.instr
        read, const16 = self.registers.read, self.image.constants16
        match instr.op, instr.operands:
            case "copy", (_, Slice() as src):
                return read(src, nest)
            case "mvm", (Slice() as dst, Slice() as src, int(row), int(column), int(adc)):
                region = Region(row, column, src.length, dst.length)
                codes = self.crossbar.codes(self.image, region)
                noise = self._noise(step, adc, dst.length, nest)
                x, settings = read(src, nest), self.image.code.adcs[adc]
                if self.work.observer is not None:
                    levels = arithmetic.mvm_levels(x, codes, settings)
                    self.work.observer.conversions(self.number, levels)
                return arithmetic.mvm(x, codes, settings, noise)
            case "scale", (_, Slice() as src, Const() as factor):
                return arithmetic.scale(read(src, nest), constant(const16, factor, nest))
            case "affine", (_, Slice() as src, Const() as factor, Const() as offset):
                factors, offsets = (constant(const16, c, nest) for c in (factor, offset))
                return arithmetic.affine(read(src, nest), factors, offsets)
            case "add", (_, Slice() as left, Slice() as right):
                return arithmetic.add(read(left, nest), read(right, nest))
            case "multiply", (_, Slice() as left, Slice() as right):
                return arithmetic.multiply(read(left, nest), read(right, nest))
            case "relu", (_, Slice() as src):
                return arithmetic.relu(read(src, nest))
            case "clamp", (_, Slice() as src, float() | int() as low, float() | int() as high):
                return arithmetic.clamp(read(src, nest), low, high)
            case "lookup", (_, Slice() as src, int(table)):
                curve = self._curve(self.image.code.tables[table])
                return arithmetic.lookup(read(src, nest), curve)
            case "quantise", (_, Slice() as src):
                return arithmetic.quantise(read(src, nest))
            case "maximum", (Slice() as dst, Slice() as src):
                return arithmetic.maximum(read(src, nest), dst.length)
            case "sum", (Slice() as dst, Slice() as src):
                return arithmetic.total(read(src, nest), dst.length)
            case "average", (_, Slice() as src, Const() as factor):
                factors = constant(self.image.constants32, factor, nest)
                return arithmetic.average(read(src, nest), factors)
            case op, _:
                raise ProgramError(f"stream `{self.stream.name}` cannot execute `{op}`")

    def _noise(
        self, step: Step, adc: int, columns: int, nest: Nest
    ) -> Callable[[int], Int32Array] | None:
        """The noise of an mvm's conversions by phase, (batch, *axes, columns); None: none."""
        noise = self.work.noise
        if noise is None:
            return None
        deviation = charge_deviation(noise.settings, self.image.code.adcs[adc])
        if deviation == 0:
            return None
        position, time = nest.positions()
        samples = self.work.first_sample + np.arange(self.work.batch)
        sample = samples.reshape(-1, *[1] * position.ndim)
        key = noise.keys[self.number, step.path]

        def draw(phase: int) -> Int32Array:
            return conversion_noise(
                key, deviation, phase, sample, position, time, first=0, count=columns
            )

        return draw

    def _curve(self, table: Table) -> arithmetic.Curve:
        samples = self.image.constants16[table.base : table.base + table.entries]
        return arithmetic.Curve(samples, table.limit, table.odd, table.interpolate)

    def _access(self, access: Access, nest: Nest) -> Array:
        """A view of the buffer: (batch, *axes, *counts of the access)."""
        start, strides = nest.address(access.base, access.strides)
        counts = tuple(count for count, _ in access.dims)
        steps = tuple(stride for _, stride in access.dims)
        return window(self.buffer, start, (*strides, *steps), (*nest.axes, *counts))

    def _receive(self, step: Step, nest: Nest) -> Iterator[int]:
        dst, channel = step.instr.operands
        if not isinstance(dst, Slice) or not isinstance(channel, int):
            raise ProgramError(f"stream `{self.stream.name}` has a malformed recv")
        start, strides = _token_address(step.token, nest)
        last = start + sum(s * (n - 1) for s, n in zip(strides, nest.axes, strict=True))
        while self.channels.sent.get(channel, 0) <= last:
            yield channel
        tokens = self.channels.tokens[channel]
        value = window(tokens, start, strides, nest.axes) if nest.axes else tokens[:, start]
        self.registers.write(dst, value, nest)

    def _send(self, channel: int, value: Array, step: Step, nest: Nest) -> None:
        start, strides = _token_address(step.token, nest)
        count, axes = self.work.token_counts[channel], nest.axes
        tokens = self.channels.tokens.get(channel)
        if tokens is None and strides == _dense(axes) and int(np.prod(axes)) == count:
            # The register holds the tokens in their order: it becomes the channel.
            full = np.broadcast_to(value, (self.work.batch, *axes, value.shape[-1]))
            tokens = np.ascontiguousarray(full).reshape(self.work.batch, count, value.shape[-1])
            self.channels.put(channel, tokens)
            return
        if tokens is None:
            tokens = np.empty((self.work.batch, count, value.shape[-1]), value.dtype)
            self.channels.tokens[channel] = tokens
        if axes:
            window(tokens, start, strides, axes)[...] = value
        else:
            tokens[:, start] = value
        # Where axes interleave with other sends, tokens count only from the last send on; nobody
        # looks before: only streams without such loops are run while others wait.
        written = int(np.prod(axes))
        self.channels.sent[channel] = self.channels.sent.get(channel, 0) + written


def constant(pool: Array, const: Const, nest: Nest) -> Array:
    """Constants of a pool as (1, *axes, length); an axis that changes nothing has length 1."""
    start, strides = nest.address(const.base, const.strides)
    counts = tuple(n if s else 1 for n, s in zip(nest.axes, strides, strict=True))
    return window(pool[np.newaxis], start, (*strides, 1), (*counts, const.length))


def _token_address(token: Affine | None, nest: Nest) -> tuple[int, tuple[int, ...]]:
    if token is None:
        raise ProgramError("a recv or send has no token index")
    return nest.address(*token)


def _dense(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a row-major array of shape `axes`."""
    return tuple(int(np.prod(axes[k + 1 :], dtype=np.int64)) for k in range(len(axes)))
