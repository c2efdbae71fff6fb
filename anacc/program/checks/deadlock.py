"""Freedom from deadlock with unbounded channels.

Streams that do not depend on their own output cannot block each other for ever: only cycles of the
stream graph (a recurrence fed back) need a proof.  Inside a cycle's streams, the channels of the
cycle may be touched only at top level and in one sequential loop at top level, of the same count T
in each stream, and each iteration must take from each channel what an iteration of its writer
appends.  Then what can block is the same in each iteration, shifted, and it suffices to run the
streams token by token for a few iterations.  How many: a shortest circle of waits enters each
stream once, for events of one stream are ordered; entering it through a channel leads back by at
most one iteration and one for each token that the stream takes before its loop.  So a circle spans
at most as many iterations as there are streams and accesses before loops; three more are run, or
fewer where two iterations in a row end in the same state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from anacc.program.checks.fault import place_fault, stream_fault
from anacc.program.graph import cycles, stream_graph, traffic
from anacc.program.image import Image
from anacc.program.model import Instr, Loop, Stream
from anacc.program.tokens import Access, totals
from anacc.program.walk import walk

# Accesses that are run, about a second; a recurrent layer needs two iterations of its streams.
MAX_STEPS = 10**6


@dataclass(frozen=True)
class _Outline:
    """What a stream does to a cycle's channels: before its loop, in one iteration, and after."""

    before: tuple[Access, ...]
    count: int | None  # of the loop; None without one
    iteration: tuple[Access, ...]
    after: tuple[Access, ...]


def check_deadlock(image: Image) -> None:
    """No stream can wait for ever for a token.

    Raises:
        ProgramError: streams wait for each other, or in a way that cannot be analysed.
    """
    streams = image.code.streams
    graph = stream_graph(traffic(image.code, image.manifest))
    for members in cycles(graph):
        for member in members:
            if streams[member].unit.kind == "host":
                # It runs on whole tensors, so it would wait for its own output.
                raise stream_fault(member, streams[member], "a host stream is part of a cycle")
        inner: set[int] = set()
        for source, sink in graph.subgraph(members).edges:
            inner.update(graph.edges[source, sink]["channels"])
        outlines = {member: _outline(member, streams[member], inner) for member in members}
        _check_rates(streams, outlines, inner)
        _run(streams, outlines)


def _outline(position: int, stream: Stream, inner: set[int]) -> _Outline:
    before: list[Access] = []
    after: list[Access] = []
    found: Loop | None = None
    for node in stream.body:
        if not isinstance(node, Loop):
            (after if found else before).extend(_accesses(node, inner))
        elif any(channel in inner for _, channel in totals(node.body)):
            if not node.sequential:
                reason = "a parallel loop moves tokens of a cycle of streams"
                raise stream_fault(position, stream, reason)
            if found is not None:
                reason = "two loops move tokens of a cycle of streams"
                raise stream_fault(position, stream, reason)
            found = node
    for place in walk(stream.body):
        if len(place.loops) > 1 and any(_accesses(place.instr, inner)):
            reason = "a nested loop moves tokens of a cycle of streams"
            raise place_fault(position, stream, place, reason)
    iteration = [
        access
        for node in (found.body if found else ())
        if isinstance(node, Instr)
        for access in _accesses(node, inner)
    ]
    count = found.count if found else None
    return _Outline(tuple(before), count, tuple(iteration), tuple(after))


def _accesses(instr: Instr, inner: set[int]) -> list[Access]:
    return [access for access in totals((instr,)) if access[1] in inner]


def _check_rates(
    streams: tuple[Stream, ...], outlines: dict[int, _Outline], inner: set[int]
) -> None:
    """Loops have one count, and an iteration takes of each channel what one appends."""
    counts = sorted({each.count for each in outlines.values() if each.count is not None})
    if len(counts) > 1:
        member = next(member for member, each in outlines.items() if each.count == counts[1])
        raise stream_fault(
            member,
            streams[member],
            f"its loop has {counts[1]} iterations, another of the same cycle {counts[0]}",
        )
    made: Counter[int] = Counter()
    for outline in outlines.values():
        made.update(channel for kind, channel in outline.iteration if kind == "send")
    for member, outline in outlines.items():
        taken = Counter(channel for kind, channel in outline.iteration if kind == "recv")
        # A reader outside the loop takes none in it, which must then be what is made.
        read = {channel for kind, channel in _all(outline) if kind == "recv"}
        for channel in sorted(read & inner):
            if taken[channel] != made[channel]:
                raise stream_fault(
                    member,
                    streams[member],
                    f"an iteration takes {taken[channel]} tokens of channel {channel}, but one "
                    f"of its writer puts in {made[channel]}",
                )


def _all(outline: _Outline) -> tuple[Access, ...]:
    return outline.before + outline.iteration + outline.after


class _TooLong(Exception):
    """More than `MAX_STEPS` accesses were run."""


class _Cycle:
    """Runs the streams of a cycle token by token; a token is never taken out, each reader counts
    its own."""

    def __init__(self, outlines: dict[int, _Outline]) -> None:
        self.running = {member: self._stream(member, each) for member, each in outlines.items()}
        self.sent: Counter[int] = Counter()
        self.taken: Counter[tuple[int, int]] = Counter()  # of each stream and channel
        self.waiting: dict[int, list[int]] = {}  # by channel
        self.ready: list[int] = []
        self.steps = 0
        self.iterations, self.after = 0, False

    def advance(self, iterations: int, after: bool = False) -> None:
        """Run each stream until it waits or has done `iterations`, counted from its first, and with
        `after` what comes after its loop.

        Raises:
            _TooLong: this takes too many steps.
        """
        self.iterations, self.after = iterations, after
        self.waiting, self.ready = {}, list(self.running)
        while self.ready:
            member = self.ready.pop()
            channel = next(self.running[member], None)
            if channel is not None:
                self.waiting.setdefault(channel, []).append(member)

    def _stream(self, member: int, outline: _Outline) -> Iterator[int | None]:
        """Run a stream; yields a channel each time that it waits, None where it may not go on."""
        yield from self._touch(member, outline.before)
        done = 0
        while True:
            if outline.iteration and done < self.iterations:
                yield from self._touch(member, outline.iteration)
                done += 1
            elif self.after:
                break
            else:
                yield None
        yield from self._touch(member, outline.after)

    def _touch(self, member: int, accesses: tuple[Access, ...]) -> Iterator[int]:
        for kind, channel in accesses:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise _TooLong
            if kind == "send":
                self.sent[channel] += 1
                self.ready += self.waiting.pop(channel, ())
            else:
                while self.taken[member, channel] == self.sent[channel]:
                    yield channel
                self.taken[member, channel] += 1


def _run(streams: tuple[Stream, ...], outlines: dict[int, _Outline]) -> None:
    """Run the streams of a cycle for as many iterations as a deadlock could take to show.

    Once all streams can end an iteration, and then the next one, the channels hold as many tokens
    after it as before, and so it goes on to the last.
    """
    try:
        waiting = _waits(outlines)
    except _TooLong:
        member = min(outlines)
        reason = "is part of a cycle of streams with too many accesses to analyse"
        raise stream_fault(member, streams[member], reason) from None
    for channel in sorted(waiting):
        member = waiting[channel][0]
        reason = f"waits for ever for a token of channel {channel}: deadlock"
        raise stream_fault(member, streams[member], reason)


def _waits(outlines: dict[int, _Outline]) -> dict[int, list[int]]:
    """The streams that wait for ever, by the channel that they wait for."""
    cycle = _Cycle(outlines)
    repeats = sum(len(outline.before) for outline in outlines.values()) + len(outlines) + 3
    count = max(outline.count or 0 for outline in outlines.values())
    ended = False
    for iterations in range(min(count, repeats) + 1):
        cycle.advance(iterations)
        if ended and not cycle.waiting:
            break
        ended = not cycle.waiting
    cycle.advance(iterations, after=True)
    return cycle.waiting
