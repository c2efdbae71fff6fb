"""A program token by token, with channels that hold no more than they say: whether it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from anacc.program.graph import traffic
from anacc.program.image import Image
from anacc.program.model import Loop, Node

Move = tuple[str, int]


def stalled(image: Image) -> list[str]:
    """The names of the streams that wait for ever in one sample, in order."""
    code, moved = image.code, traffic(image.code, image.manifest)
    readers: dict[int, list[int]] = {}
    for stream, taken in enumerate(moved.received):
        for channel in taken:
            readers.setdefault(channel, []).append(stream)
    steps = [
        _on_host(moved.received[number], moved.sent[number])
        if stream.unit.kind == "host"
        else _moves(stream.body)
        for number, stream in enumerate(code.streams)
    ]
    sent: Counter[int] = Counter()
    got: Counter[tuple[int, int]] = Counter()
    now = [next(each, None) for each in steps]
    going = True
    while going:
        going = False
        for number, each in enumerate(steps):
            while now[number] is not None:
                kind, channel = now[number] or ("", 0)
                if kind == "recv":
                    if got[number, channel] == sent[channel]:
                        break
                    got[number, channel] += 1
                else:
                    least = min(got[reader, channel] for reader in readers[channel])
                    if sent[channel] - least >= code.channels[channel].capacity:
                        break
                    sent[channel] += 1
                now[number], going = next(each, None), True
    return [code.streams[number].name for number, move in enumerate(now) if move is not None]


def _moves(body: tuple[Node, ...]) -> Iterator[Move]:
    for node in body:
        if isinstance(node, Loop):
            for _ in range(node.count):
                yield from _moves(node.body)
        elif node.op == "recv" and isinstance(node.operands[1], int):
            yield "recv", node.operands[1]
        elif node.op == "send" and isinstance(node.operands[0], int):
            yield "send", node.operands[0]


def _on_host(received: Mapping[int, int], sent: Mapping[int, int]) -> Iterator[Move]:
    """The host takes all of a sample, and then gives all."""
    for channel, count in received.items():
        yield from [("recv", channel)] * count
    for channel, count in sent.items():
        yield from [("send", channel)] * count
