"""Run some streams counting tokens only, with the capacities of their channels.

A stream becomes a tree of loops over its receives and sends of the channels in question.  Streams
run in turns, each as far as it can.  Two short cuts keep the time from growing with feature maps:

1. An innermost loop does at once all iterations for which tokens and room are at hand.
2. The state of a run is where each stream stands and how full each channel is.  If a state comes
   again but for one loop index of each stream (the innermost, or the outermost), then what happened
   in between happens again until one of these loops ends: whole repeats are skipped, all but one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anacc.program.image import Image
from anacc.program.model import Loop, Node
from anacc.verification.structure import moved, transfers

MAX_STEPS = 10_000_000  # of all components of a program, about half a minute
HISTORY = 10**6  # numbers of the states that are remembered

Access = tuple[str, int]


@dataclass
class _Repeat:
    """A loop of accesses; `totals`, the accesses of one iteration if no loop is inside."""

    count: int
    body: list[Access | _Repeat]
    totals: Counter[Access] | None


@dataclass
class _Level:
    repeat: _Repeat
    index: int = 0  # iteration
    place: int = 0  # node of the body


@dataclass
class Waits:
    """How a run ended.

    Attributes:
        waiting: for each stream that waits: "recv" or "send", the channel, the other stream.
        finished: whether all streams reached their ends.
        steps: accesses and batches that were executed.
    """

    waiting: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    finished: bool = False
    steps: int = 0


def run(
    image: Image,
    members: Iterable[int],
    channels: set[int],
    tokens: Sequence[int],
    limit: int = MAX_STEPS,
) -> Waits:
    """Run `members` over `channels`; all other channels always have tokens and room.

    Args:
        image: the program.
        members: streams, among which are the writers and some readers of the channels.
        channels: the channels that can make a member wait.
        tokens: of each channel per sample.
        limit: steps after which it ends undecided.
    """
    return _Run(image, sorted(members), channels, tokens, limit).run()


def _tree(count: int, body: tuple[Node, ...], channels: set[int]) -> _Repeat:
    nodes: list[Access | _Repeat] = []
    for node in body:
        if isinstance(node, Loop):
            if any(channel in channels for _, channel in transfers(node.body)):
                nodes.append(_tree(node.count, node.body, channels))
        elif (access := moved(node)) is not None and access[1] in channels:
            nodes.append(access)
    flat = [node for node in nodes if not isinstance(node, _Repeat)]
    return _Repeat(count, nodes, Counter(flat) if len(flat) == len(nodes) else None)


class _Run:
    def __init__(
        self,
        image: Image,
        members: Sequence[int],
        channels: set[int],
        tokens: Sequence[int],
        limit: int,
    ) -> None:
        self.members, self.limit = members, limit
        self.tokens = tokens
        self.stacks = {
            member: [_Level(_tree(1, image.code.streams[member].body, channels))]
            for member in members
        }
        self.capacity = {
            channel: image.code.channels[channel].capacity for channel in sorted(channels)
        }
        self.sent = dict.fromkeys(self.capacity, 0)
        self.taken: dict[int, dict[int, int]] = {channel: {} for channel in self.capacity}
        self.writer: dict[int, int] = {}
        for member in members:
            for way, channel in transfers(image.code.streams[member].body):
                if channel in channels and way == "recv":
                    self.taken[channel][member] = 0
                elif channel in channels:
                    self.writer[channel] = member
        self.waits = Waits()
        self.seen: list[dict[object, tuple[dict[int, int], dict[int, int]]]] = [{}, {}]

    def run(self) -> Waits:
        while self.waits.steps < self.limit:
            self.waits.steps += len(self.members)
            moved_ = False
            for member in self.members:
                moved_ |= self._advance(member)
            if not moved_:
                break
            self._skip()
        left = [member for member in self.members if self.stacks[member]]
        self.waits.finished = not left
        if left and self.waits.steps < self.limit:
            self.waits.waiting = {member: self._waits_for(member) for member in left}
        return self.waits

    def _room(self, member: int, access: Access) -> int:
        """Tokens that a stream can take or put in now."""
        way, channel = access
        taken = self.taken[channel]
        if way == "recv":
            if channel not in self.writer:  # its writer is no member
                return self.tokens[channel] - taken[member]
            return self.sent[channel] - taken[member]
        slowest = min(taken.values(), default=self.sent[channel])
        return self.capacity[channel] - (self.sent[channel] - slowest)

    def _move(self, member: int, access: Access, times: int) -> None:
        way, channel = access
        if way == "recv":
            self.taken[channel][member] += times
        else:
            self.sent[channel] += times

    def _advance(self, member: int) -> bool:
        """Run a stream until it waits or ends; whether it moved a token."""
        stack, moved_ = self.stacks[member], False
        while stack and self.waits.steps < self.limit:
            self.waits.steps += 1
            level = stack[-1]
            repeat = level.repeat
            if level.place == 0 and repeat.totals is not None:
                times = min(
                    (self._room(member, a) // n for a, n in repeat.totals.items()),
                    default=repeat.count,
                )
                times = min(times, repeat.count - level.index)
                if times > 0:
                    for access, number in repeat.totals.items():
                        self._move(member, access, number * times)
                    level.index += times
                    moved_ = True
            if level.index == repeat.count:
                stack.pop()
                if stack:
                    self._next(stack[-1])
                continue
            if not repeat.body:
                level.index = repeat.count
                continue
            node = repeat.body[level.place]
            if isinstance(node, _Repeat):
                stack.append(_Level(node))
                continue
            if self._room(member, node) < 1:
                return moved_
            self._move(member, node, 1)
            moved_ = True
            self._next(level)
        return moved_

    @staticmethod
    def _next(level: _Level) -> None:
        level.place += 1
        if level.place == len(level.repeat.body):
            level.place, level.index = 0, level.index + 1

    def _waits_for(self, member: int) -> tuple[str, int, int]:
        level = self.stacks[member][-1]
        node = level.repeat.body[level.place]
        if isinstance(node, _Repeat):
            raise TypeError("a stream waits at an access, not at a loop")
        way, channel = node
        if way == "recv":
            return way, channel, self.writer.get(channel, member)
        taken = self.taken[channel]
        return way, channel, min(sorted(taken), key=lambda reader: taken[reader], default=member)

    def _skip(self) -> None:
        """Skip repeats of what happened since the same state, but for one loop of each stream."""
        fills = tuple(
            self.sent[channel] - count
            for channel, each in self.taken.items()
            for count in each.values()
        )
        for innermost in (False, True):
            free = {m: self._free(stack, innermost) for m, stack in self.stacks.items() if stack}
            key = (
                fills,
                tuple(
                    tuple(
                        (id(each.repeat), each.place, -1 if each is free[m] else each.index)
                        for each in stack
                    )
                    for m, stack in self.stacks.items()
                    if stack
                ),
            )
            seen = self.seen[innermost]
            counts = {m: level.index for m, level in free.items()}
            before = seen.get(key)
            if len(seen) * (len(fills) + len(free)) > HISTORY:
                seen.clear()
            seen[key] = counts, dict(self.sent)
            if before is not None and self._repeat(free, *before):
                self.seen = [{}, {}]
                return

    @staticmethod
    def _free(stack: list[_Level], innermost: bool) -> _Level:
        """The level whose index may differ between two states that count as the same."""
        return stack[-1] if innermost else stack[min(1, len(stack) - 1)]

    def _repeat(
        self, free: dict[int, _Level], counts: dict[int, int], sent: dict[int, int]
    ) -> bool:
        """Skip what can be skipped; whether anything was."""
        gains = {m: level.index - counts[m] for m, level in free.items()}
        if min(gains.values(), default=0) < 0:
            return False
        # Before the last iteration begins, nothing differs from the repeat before.
        times = min(
            (
                (free[m].repeat.count - 1 - free[m].index) // gain - 1
                for m, gain in gains.items()
                if gain
            ),
            default=0,
        )
        if times < 1:
            return False
        for m, gain in gains.items():
            free[m].index += gain * times
        for channel, number in self.sent.items():
            moved_ = (number - sent[channel]) * times
            self.sent[channel] += moved_
            for reader in self.taken[channel]:
                self.taken[channel][reader] += moved_
        return True
