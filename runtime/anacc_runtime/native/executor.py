"""The native executor: streams lowered to operations on memory, which the engine in C executes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Float16Array, Float32Array, Format, Table
from anacc_runtime import _kernel
from anacc_runtime.interpreter import Channels
from anacc_runtime.native.capacity import bytes_per_sample, capacity
from anacc_runtime.native.encode import encode
from anacc_runtime.native.lower import lower
from anacc_runtime.native.support import Unsupported
from anacc_runtime.native.tiles import TileSpec
from anacc_runtime.network import Phase
from anacc_runtime.noise import RunNoise, UInt32Array, charge_deviation
from anacc_runtime.reference import MEMORY, Executor
from anacc_runtime.registers import DTYPE, Array
from anacc_runtime.threads import Threads

# With fewer samples for each thread, and not the same number for each, threads share the positions
# of a layer rather than the batch; also where samples are so large that one for each is too much.
FEW = 4

# Work, in multiply-adds, that a phase must be for each thread that takes part: it takes about as
# long as to wake one.
LEAST_WORK = 8_000_000

# Work that a thread does between two looks at whether the user has interrupted it: about a tenth of
# a second, in portable C a second.
TURN = 4_000_000_000


@dataclass(frozen=True)
class _Prepared:
    """A phase of the chip, ready to run.

    Attributes:
        engine: executes it.
        channels: the channels in the order in which the engine takes their arrays.
        tiles: the crossbar tiles in the engine's order.
        capacity: samples that a thread has in work at a time.
        sample_bytes: memory of each.
    """

    engine: _kernel.Engine
    channels: tuple[int, ...]
    tiles: tuple[TileSpec, ...]
    capacity: int
    sample_bytes: int


class NativeExecutor(Executor):
    """Executes a program in C; gives the bits of the reference.

    A phase for which there are no native operations runs like in the reference, and so does one
    with noise on a crossbar of more rows than the kernel has noise for.

    Args:
        image: a program that the loader has checked.
        memory: see `anacc_runtime.reference.Executor`.
        isa: the instruction set, one of `anacc_runtime._kernel.isas()`; None: the fastest.
        least_work: multiply-adds for which another thread is woken, or given a block; 0: any.
            None: as many as are worth it.  The results do not depend on it.

    Raises:
        ProgramError: the streams have no order in which they can run.
    """

    def __init__(
        self,
        image: Image,
        memory: int = MEMORY,
        isa: str | None = None,
        least_work: int | None = None,
    ) -> None:
        super().__init__(image, memory)
        self.isa = isa
        self.least_work = least_work
        self.memory = memory
        # By the position of the phase; None where the reference has to run it.
        self._prepared: dict[int, _Prepared | None] = {}
        self._threads = Threads()

    def close(self) -> None:
        """End the threads; a later run starts them again."""
        self._threads.close()

    def prepared(self, phase: Phase) -> _Prepared | None:
        """A phase ready to run, made at its first use; None if the reference has to run it."""
        number = next(k for k, other in enumerate(self.network.phases) if other is phase)
        if number not in self._prepared:
            # Two threads may both come here: they make the same, and one of the two is kept.
            self._prepared.setdefault(number, self._prepare(phase))
        return self._prepared[number]

    def _prepare(self, phase: Phase) -> _Prepared | None:
        image = self.image
        try:
            lowered = lower(image, self.network, phase)
        except Unsupported:
            return None
        engine = _kernel.Engine(
            encode(lowered.schedule),
            tuple(_tile(spec, self.isa) for spec in lowered.tiles),
            np.ascontiguousarray(image.constants16),
            np.ascontiguousarray(image.constants32),
            tuple(_curve(table, image) for table in image.code.tables),
            self.isa,
        )
        samples = capacity(lowered.schedule, lowered.tiles, self.memory)
        size = bytes_per_sample(lowered.schedule)
        return _Prepared(engine, lowered.channels, lowered.tiles, samples, size)

    def _run_chip(
        self,
        phase: Phase,
        size: int,
        channels: Channels,
        batch: int,
        threads: int,
        noise: RunNoise | None,
    ) -> None:
        prepared = self.prepared(phase)
        if prepared is None or noise is not None and _is_tall(prepared.tiles):
            super()._run_chip(phase, size, channels, batch, threads, noise)
            return
        arrays = tuple(
            self._array(phase, channel, channels, batch) for channel in prepared.channels
        )
        self._run(prepared, arrays, batch, threads, noise)
        for channel, array in zip(prepared.channels, arrays, strict=True):
            if channel in phase.leaving:
                channels.put(channel, array)

    def _array(self, phase: Phase, channel: int, channels: Channels, batch: int) -> Array:
        """The tokens of a channel that enters, or an array for those of one that leaves."""
        if channel in phase.entering:
            return np.ascontiguousarray(channels.tokens[channel])
        kind = self.image.code.channels[channel]
        count = self.network.token_counts[channel]
        return np.empty((batch, count, kind.token_size), DTYPE[kind.format])

    def _run(
        self,
        prepared: _Prepared,
        arrays: tuple[Array, ...],
        batch: int,
        threads: int,
        noise: RunNoise | None,
    ) -> None:
        """Execute a phase for all samples, on several threads where there are enough of them."""
        engine = prepared.engine
        first_sample = 0 if noise is None else noise.first_sample
        draws = None if noise is None else _draws(prepared.tiles, noise)
        threads = self._worth_waking(threads, engine.work * batch)
        # What all threads have in work should stay below the limit.
        samples_fit = self.memory // (threads * prepared.sample_bytes)
        samples = max(1, min(prepared.capacity, samples_fit))
        # Python sees signals only between two calls; fewer samples than a block would be slow.
        turn = max(min(samples, _kernel.BLOCK), int(TURN // max(engine.work, 1)))
        samples = min(samples, turn)
        interrupted = threading.Event()

        def run(part: slice) -> None:
            for start in range(part.start, part.stop, turn):
                if interrupted.is_set():
                    return
                stop = min(start + turn, part.stop)
                engine.run(arrays, start, stop, samples, first_sample, draws)

        def share(start: int, stop: int) -> None:
            capacity = min(prepared.capacity, stop - start)
            least = () if self.least_work is None else (self.least_work,)
            crew = _kernel.Crew(engine, threads, *least)
            try:
                self._threads.start(crew.help, threads - 1)
                engine.run(arrays, start, stop, capacity, first_sample, draws, crew)
            finally:
                crew.close()

        if threads == 1 or batch == 0:
            run(slice(0, batch))
        elif samples_fit and (batch % threads == 0 or batch >= FEW * threads):
            cuts = [batch * k // threads for k in range(threads + 1)]
            parts = [slice(*cuts[k : k + 2]) for k in range(threads)]
            self._threads.map(run, parts, interrupted.set)
        else:
            for start in range(0, batch, turn):
                share(start, min(start + turn, batch))

    def _worth_waking(self, threads: int, work: float) -> int:
        """How many of `threads` should take part in so much work; at least 1."""
        least = LEAST_WORK if self.least_work is None else self.least_work
        return max(1, min(threads, int(work // least))) if least else threads


def _is_tall(tiles: tuple[TileSpec, ...]) -> bool:
    """Whether a tile has more rows than the kernel has noise for."""
    return any(len(spec.codes) > _kernel.MAX_NOISY_ROWS for spec in tiles)


def _draws(tiles: tuple[TileSpec, ...], noise: RunNoise) -> tuple[UInt32Array, Float32Array]:
    """The key and the deviation of each tile: (tiles, 2) and (tiles,)."""
    keys = [noise.keys[spec.stream, spec.path] for spec in tiles]
    deviations = [charge_deviation(noise.settings, spec.adc) for spec in tiles]
    return np.array(keys, np.uint32).reshape(-1, 2), np.array(deviations, np.float32)


FORMATS: Mapping[Format, str] = {Format.INT8: "int8", Format.BINARY16: "binary16"}


def _tile(spec: TileSpec, isa: str | None) -> _kernel.Tile:
    """A tile with its weights packed."""
    return _kernel.Tile(
        spec.codes,
        (spec.adc.phases, spec.adc.multiplier, spec.adc.shift, spec.adc.maximum),
        spec.scale,
        spec.offset,
        tuple((FORMATS[kind], scale) for kind, scale in spec.addends),
        spec.activation,
        spec.runs,
        spec.nonnegative,
        isa,
    )


def _curve(table: Table, image: Image) -> tuple[Float16Array, float, bool, bool]:
    """A function table with its samples."""
    samples = image.constants16[table.base : table.base + table.entries]
    return np.ascontiguousarray(samples), table.limit, table.odd, table.interpolate
