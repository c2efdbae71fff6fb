"""Where partial sums come from, through streams that only cut tokens anew.

Where a row tile is cut between other columns than the one before it, a stream of the bridge joins
the partial sums of a token and cuts them anew.  What it does is found from its instructions: which
elements of which token it takes each element of its own from.
"""

from __future__ import annotations

from dataclasses import dataclass

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.verification.structure import Ends, moved, slices, steps


@dataclass(frozen=True)
class Part:
    """Neighbouring elements of the tokens of a channel.

    Attributes:
        stream: what computes them.
        channel: that they leave it by.
        begin, end: of its tokens.
    """

    stream: int
    channel: int
    begin: int
    end: int


_Pieces = tuple[tuple[int, int, int], ...]  # channel, begin, end


class PartialSums:
    """Finds what tokens are made of."""

    def __init__(self, image: Image, ends: Ends) -> None:
        self.image, self.ends = image, ends
        self._cut: dict[int, dict[int, set[_Pieces]]] = {}

    def parts(self, channel: int) -> list[Part]:
        """What the tokens of a channel are made of, side by side."""
        found = self._made_of(channel)
        if len(found) != 1:  # computed, or in turn from different tokens
            size = self.image.code.channels[channel].token_size
            return [Part(self.ends.writer[channel], channel, 0, size)]
        (pieces,) = found
        return [Part(self.ends.writer[each], each, begin, end) for each, begin, end in pieces]

    def sources(self, channel: int) -> frozenset[int]:
        """A channel, and all channels of which it takes tokens or parts of them, in turn too."""
        found, left = {channel}, [channel]
        while left:
            for pieces in self._made_of(left.pop()):
                new = {each for each, _, _ in pieces} - found
                found |= new
                left += new
        return frozenset(found)

    def _made_of(self, channel: int) -> set[_Pieces]:
        writer = self.ends.writer[channel]
        if writer not in self._cut:
            self._cut[writer] = _cut(self.image, writer) if writer >= 0 else {}
        return self._cut[writer].get(channel, set())


def _cut(image: Image, number: int) -> dict[int, set[_Pieces]]:
    """For each channel that a stream sends, (channel, begin, end) of what its tokens are made of;
    nothing if the stream does more than to receive and send."""
    registers: dict[int, list[tuple[int, int, int]]] = {}  # begin, end; channel
    found: dict[int, set[_Pieces]] = {}
    for step in steps(image.code.streams[number].body):
        access = moved(step.instr)
        if access is None:
            return {}
        way, channel = access
        if way == "recv":
            (target,) = slices(step.instr, Role.WRITE)
            begin, end = target.offset, target.offset + target.length
            before = registers.get(target.register, [])
            kept = [each for each in before if each[1] <= begin or end <= each[0]]
            registers[target.register] = [*kept, (begin, end, channel)]
            continue
        (source,) = slices(step.instr, Role.READ)
        begin, end = source.offset, source.offset + source.length
        parts = (
            (of, max(begin, low) - low, min(end, high) - low)
            for low, high, of in sorted(registers.get(source.register, []))
            if low < end and begin < high
        )
        found.setdefault(channel, set()).add(tuple(parts))
    return found
