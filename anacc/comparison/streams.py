"""Which streams make a tensor of which other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anacc.comparison.tensors import HeldTensor
from anacc.program.graph import traffic, writers
from anacc.program.image import Image


@dataclass(frozen=True)
class Making:
    """How a tensor is made.

    Attributes:
        streams: those that work on it alone, in rising order.
        sources: positions of the tensors that it is made of, in rising order.
    """

    streams: tuple[int, ...]
    sources: tuple[int, ...]


def makings(image: Image, tensors: Sequence[HeldTensor]) -> list[Making]:
    """For each tensor, the streams back to the nearest other tensors."""
    moved = traffic(image.code, image.manifest)
    writer = [streams[0] if streams else -1 for streams in writers(moved)]
    givers = [
        {writer[channel] for part in held.channels.values() for channel in part} for held in tensors
    ]
    owners: dict[int, list[int]] = {}
    for position, streams in enumerate(givers):
        for stream in streams:
            owners.setdefault(stream, []).append(position)
    found = []
    for own in givers:
        sources: set[int] = set()
        reached, pending = set(own), list(own)
        while pending:
            stream = pending.pop()
            for channel in moved.received[stream]:
                before = writer[channel]
                if before in reached:
                    continue
                if before in owners:
                    sources.update(owners[before])
                else:
                    reached.add(before)
                    pending.append(before)
        found.append(Making(tuple(sorted(reached)), tuple(sorted(sources))))
    return found
