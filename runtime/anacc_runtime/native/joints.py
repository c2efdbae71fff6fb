"""Finds channels whose tokens a reader always puts side by side.

A crossbar that takes its input from several units receives a token of each into one register.  If
token t of all of them lies side by side in memory, nothing needs to be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anacc.program import tokens
from anacc.program.model import Channel, Instr, Loop, Node, Slice, Stream
from anacc.program.walk import Path
from anacc_runtime.native.storage import ITEM


@dataclass(frozen=True)
class Joint:
    """Channels whose tokens of equal number lie side by side, in this order.

    Attributes:
        channels: they.
        offsets: bytes from the start of the joint token to that of each.
        size: bytes of the joint token.
    """

    channels: tuple[int, ...]
    offsets: tuple[int, ...]
    size: int


def find_joints(
    streams: Iterable[Stream], channels: tuple[Channel, ...], counts: tuple[int, ...]
) -> dict[int, Joint]:
    """The joint of each channel that has one.

    Args:
        streams: all readers of the channels.
        channels: of the program.
        counts: tokens per sample of each.
    """
    found: set[tuple[int, ...]] = set()
    alone: set[int] = set()
    for stream in streams:
        for group in _groups(stream):
            if len(set(group)) == len(group) > 1 and len({counts[each] for each in group}) == 1:
                found.add(group)
            else:
                alone.update(group)
    # A channel can be laid out in one way only.
    uses: dict[int, int] = {}
    for group in found:
        for channel in group:
            uses[channel] = uses.get(channel, 0) + 1
    result = {}
    for group in found:
        if all(uses[channel] == 1 and channel not in alone for channel in group):
            sizes = [channels[each].token_size * ITEM[channels[each].format] for each in group]
            offsets = tuple(sum(sizes[:k]) for k in range(len(sizes)))
            joint = Joint(group, offsets, sum(sizes))
            result.update(dict.fromkeys(group, joint))
    return result


def _groups(stream: Stream) -> Iterator[tuple[int, ...]]:
    """Channels of consecutive recvs that fill a register from left to right, token by token."""
    index = tokens.index(stream)
    for body, path in _bodies(stream.body, ()):
        group: list[int] = []
        last: tuple[Slice, tokens.Affine] | None = None
        for position, node in enumerate(body):
            match node:
                case Instr("recv", (Slice() as dst, int(channel))):
                    token = index[(*path, position)]
                    if last is None or not _follows(last, dst, token):
                        yield tuple(group)
                        group = []
                    group.append(channel)
                    last = dst, token
                case _:
                    yield tuple(group)
                    group, last = [], None
        yield tuple(group)


def _follows(last: tuple[Slice, tokens.Affine], dst: Slice, token: tokens.Affine) -> bool:
    before, same = last
    return (
        before.register == dst.register
        and before.offset + before.length == dst.offset
        and same == token
    )


def _bodies(body: tuple[Node, ...], path: Path) -> Iterator[tuple[tuple[Node, ...], Path]]:
    yield body, path
    for position, node in enumerate(body):
        if isinstance(node, Loop):
            yield from _bodies(node.body, (*path, position))
