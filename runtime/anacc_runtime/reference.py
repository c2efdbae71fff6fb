"""The reference executor: the definition of what a program means.

Streams communicate only through channels, so the result does not depend on the order in which they
run.  The executor runs them in an order in which each finds all of its tokens; then a loop over
positions can run all its iterations at once, and every sample of the batch with it.  Streams that
wait for each other (a recurrence) take turns, token by token.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anacc.errors import ProgramError
from anacc.program.image import Image
from anacc.program.model import instructions
from anacc_runtime import borders
from anacc_runtime.host import HostSegment
from anacc_runtime.interpreter import Channels, Interpreter, Work
from anacc_runtime.memory import check_sample
from anacc_runtime.network import Component, Network, Phase, network
from anacc_runtime.noise import ConversionNoise, RunNoise, run_noise
from anacc_runtime.observer import Observer
from anacc_runtime.plan import Plan, plan
from anacc_runtime.registers import Array

MEMORY = 256 * 2**20  # bytes that the parts of a batch that are in work should stay below


class Executor:
    """Executes a program; one instance serves many runs, also of several threads at once.

    Args:
        image: a program that the loader has checked.
        memory: bytes that bound the part of a batch that is in work at a time.  The results do
            not depend on it.
        observer: is shown the tokens of some channels and all conversions; None: nobody looks.

    Raises:
        ProgramError: the streams have no order in which they can run, or one sample needs more
            memory than `anacc_runtime.memory.MAX_SAMPLE_BYTES`.
    """

    def __init__(
        self, image: Image, memory: int = MEMORY, observer: Observer | None = None
    ) -> None:
        self.image = image
        self.observer = observer
        self.network: Network = network(image)
        # Samples that run at once in each phase of the chip.
        self.samples = [
            0 if phase.host else max(1, memory // check_sample(image, phase, self.network))
            for phase in self.network.phases
        ]
        self.segments = [HostSegment(k, image.segments) for k in range(len(image.segments))]
        self._plans: dict[int, tuple[Plan, ...]] = {}

    def close(self) -> None:
        """Give back what is held between runs; a later run takes it again."""

    def _interpreter(self, work: Work, stream: int, feedback: frozenset[int]) -> Interpreter:
        """An interpreter for a stream, whose plans are made at its first use."""
        plans = self._plans.get(stream)
        if plans is None:
            # Two threads may both come here; they make the same.
            plans = self._plans[stream] = plan(self.image.code.streams[stream], feedback)
        return Interpreter(work, stream, plans)

    def run(
        self,
        feed: Mapping[str, Array],
        threads: int = 1,
        noise: ConversionNoise | None = None,
        first_sample: int = 0,
    ) -> dict[str, Array]:
        """The outputs of the program, in its order, for a feed of all its inputs.

        Args:
            feed: an array for each input, as `anacc_runtime.borders.check_feed` wants it.
            threads: how many may work; the results do not depend on it.
            noise: of the converters; None: none.
            first_sample: what the first sample of the feed is to the noise, so that a batch that is
                run in parts has the noise of the whole.

        Raises:
            FeedError: the feed is not what the program expects.
            ProgramError: streams wait for each other for ever, or a host segment fails.
            UsageError: the samples' numbers do not fit into 32 bits.
        """
        batch = borders.check_feed(feed, self.image.manifest)
        draws = None if noise is None else run_noise(self.image, noise, first_sample, batch)
        channels = Channels()
        outputs: dict[str, Array] = {}
        for number, phase in enumerate(self.network.phases):
            if phase.host:
                self._run_host(phase, feed, channels, outputs, batch)
            else:
                self._run_chip(phase, self.samples[number], channels, batch, threads, draws)
            later = self.network.phases[number + 1 :]
            for channel in [c for c in channels.tokens if not _is_read(c, later)]:
                channels.drop(channel)
        return {port.name: outputs[port.name] for port in self.image.manifest.outputs}

    def _run_chip(
        self,
        phase: Phase,
        size: int,
        channels: Channels,
        batch: int,
        threads: int,
        noise: RunNoise | None,
    ) -> None:
        """Run streams of the chip, on `size` samples at a time."""
        leaving: dict[int, list[Array]] = {channel: [] for channel in phase.leaving}
        for start in range(0, max(batch, 1), size):
            samples = slice(start, min(start + size, batch))
            part = Channels()
            for channel in phase.entering:
                part.put(channel, channels.tokens[channel][samples])
            count = samples.stop - samples.start
            counts = self.network.token_counts
            first = start if noise is None else noise.first_sample + start
            work = Work(self.image, counts, part, count, threads, first, noise, self.observer)
            for position, component in enumerate(phase.components):
                self._run_component(component, work)
                self._show(component, part, start)
                for channel in [*part.tokens]:
                    last = phase.last_reader.get(channel, -1)
                    if last <= position and channel not in phase.leaving:
                        part.drop(channel)
            for channel, parts in leaving.items():
                parts.append(part.tokens[channel])
        for channel, parts in leaving.items():
            channels.put(channel, parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _show(self, component: Component, channels: Channels, first_sample: int) -> None:
        """Show the observer what a component has sent."""
        if self.observer is None:
            return
        for channel in sorted({c for s in component.streams for c in self.network.ends[s][1]}):
            if channel in self.observer.channels:
                shown = self.observer.tokens(channel, first_sample, channels.tokens[channel])
                channels.tokens[channel] = shown

    def _run_component(self, component: Component, work: Work) -> None:
        """Run streams in turns: each as long as it finds its tokens.

        Raises:
            ProgramError: all that are left wait for a token.
        """
        running = {
            stream: self._interpreter(work, stream, component.feedback).run()
            for stream in component.streams
        }
        waits: dict[int, int] = {}
        sent = work.channels.sent
        while running:
            before = dict(sent), len(running)
            for stream, steps in [*running.items()]:
                channel = next(steps, None)
                if channel is None:
                    del running[stream]
                else:
                    waits[stream] = channel
            if (sent, len(running)) == before:
                name, channel = self.image.code.streams[min(running)].name, waits[min(running)]
                raise ProgramError(
                    f"stream `{name}` waits for ever for a token of channel {channel}"
                )

    def _run_host(
        self,
        phase: Phase,
        feed: Mapping[str, Array],
        channels: Channels,
        outputs: dict[str, Array],
        batch: int,
    ) -> None:
        """Run streams of the host, on whole tensors over the whole batch."""
        manifest, code = self.image.manifest, self.image.code
        ports = {port.name: port for port in manifest.outputs}

        def send(border: int, tensor: Array) -> None:
            entry = manifest.borders[border]
            channel = code.channels[entry.channel]
            tokens = borders.encode(tensor, entry, channel, batch)
            if self.observer is not None and entry.channel in self.observer.channels:
                tokens = self.observer.tokens(entry.channel, 0, tokens)
            channels.tokens[entry.channel] = tokens

        def receive(border: int) -> Array:
            entry = manifest.borders[border]
            channel = code.channels[entry.channel]
            return borders.decode(channels.tokens[entry.channel], entry, channel, batch)

        for component in phase.components:
            for instr in instructions(code.streams[component.streams[0]].body):
                match instr.op, instr.operands:
                    case "input", (int(border),):
                        entry = manifest.borders[border]
                        send(border, borders.typed(feed[entry.name], entry))
                    case "output", (int(border),):
                        name = manifest.borders[border].name
                        outputs[name] = borders.check_output(receive(border), ports[name], batch)
                    case "segment", (int(number),):
                        segment = manifest.segments[number]
                        received = {manifest.borders[b].name: receive(b) for b in segment.inputs}
                        names = [manifest.borders[b].name for b in segment.outputs]
                        results = self.segments[number].run(received, names)
                        for border, tensor in zip(segment.outputs, results, strict=True):
                            entry = manifest.borders[border]
                            channel = code.channels[entry.channel]
                            send(border, borders.check_result(tensor, entry, channel, batch))


def _is_read(channel: int, phases: tuple[Phase, ...]) -> bool:
    """Whether a phase still reads a channel."""
    return any(channel in phase.entering or channel in phase.last_reader for phase in phases)
