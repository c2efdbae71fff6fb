"""Which stream writes and reads which channel, and how many tokens.

These functions expect that declarations, operands and borders were checked (`anacc.program.check`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from anacc.program.manifest import Border, Manifest
from anacc.program.model import Code, Format, Instr, Stream, UnitKind, instructions
from anacc.program.tokens import totals


@dataclass(frozen=True)
class Traffic:
    """Tokens per sample that each stream moves.

    Attributes:
        channels: their number.
        sent: for each stream, the tokens that it appends to each channel that it writes.
        received: for each stream, the tokens that it takes from each channel that it reads.
    """

    channels: int
    sent: tuple[dict[int, int], ...]
    received: tuple[dict[int, int], ...]


def traffic(code: Code, manifest: Manifest) -> Traffic:
    """Tokens per sample of each stream and channel; a tensor channel holds one token."""
    sent: list[dict[int, int]] = []
    received: list[dict[int, int]] = []
    for stream in code.streams:
        counts = totals(stream.body)
        for direction, border in stream_borders(stream, manifest):
            channel = manifest.borders[border].channel
            tokens = border_tokens(manifest.borders[border], code)
            counts[direction, channel] += tokens
        sent.append({channel: n for (kind, channel), n in counts.items() if kind == "send"})
        received.append({channel: n for (kind, channel), n in counts.items() if kind == "recv"})
    return Traffic(len(code.channels), tuple(sent), tuple(received))


def token_counts(moved: Traffic) -> tuple[int, ...]:
    """Tokens per sample that pass through each channel, as its writer counts them."""
    counts = [0] * moved.channels
    for sent in moved.sent:
        for channel, tokens in sent.items():
            counts[channel] += tokens
    return tuple(counts)


def writers(moved: Traffic) -> tuple[tuple[int, ...], ...]:
    """For each channel the streams that write it, in rising order; one in a valid program."""
    return _users(moved.sent, moved.channels)


def readers(moved: Traffic) -> tuple[tuple[int, ...], ...]:
    """For each channel the streams that read it, in rising order."""
    return _users(moved.received, moved.channels)


def stream_graph(moved: Traffic) -> nx.DiGraph[int]:
    """The streams as a `networkx.DiGraph`.

    Nodes are stream numbers.  An edge leads from a writer to a reader; its attribute `channels` is
    the list of channels between them, in rising order.
    """
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(moved.sent)))
    ends = zip(writers(moved), readers(moved), strict=True)
    for channel, (sources, sinks) in enumerate(ends):
        for source in sources:
            for sink in sinks:
                graph.add_edge(source, sink)
                graph.edges[source, sink].setdefault("channels", []).append(channel)
    return graph


def cycles(graph: nx.DiGraph[int]) -> list[list[int]]:
    """Groups of streams of a stream graph that wait for each other, each in rising order; a stream
    that reads its own channel is a group of one."""
    groups = (sorted(group) for group in nx.strongly_connected_components(graph))
    return sorted(g for g in groups if len(g) > 1 or graph.has_edge(g[0], g[0]))


def stream_borders(stream: Stream, manifest: Manifest) -> Iterator[tuple[str, int]]:
    """The borders of a host stream in order, each with "send" or "recv"; none for others."""
    if stream.unit.kind == UnitKind.HOST.value:
        for instr in instructions(stream.body):
            yield from instruction_borders(instr, manifest)


def instruction_borders(instr: Instr, manifest: Manifest) -> Iterator[tuple[str, int]]:
    """The borders of a host instruction in order, each with "send" or "recv"."""
    (operand,) = instr.operands
    if not isinstance(operand, int):
        return
    if instr.op == "input":
        yield "send", operand
    elif instr.op == "output":
        yield "recv", operand
    elif instr.op == "segment":
        segment = manifest.segments[operand]
        yield from (("recv", border) for border in segment.inputs)
        yield from (("send", border) for border in segment.outputs)


def border_elements(border: Border) -> int:
    """Elements of one sample of a border's tensor."""
    sizes = [size for axis, size in enumerate(border.shape) if axis != border.batch_axis]
    return math.prod(size for size in sizes if size is not None)


def border_tokens(border: Border, code: Code) -> int:
    """Tokens per sample that a border makes of its tensor."""
    channel = code.channels[border.channel]
    if channel.format is Format.TENSOR:
        return 1
    return border_elements(border) // channel.token_size


def _users(counts: tuple[dict[int, int], ...], channels: int) -> tuple[tuple[int, ...], ...]:
    users: list[list[int]] = [[] for _ in range(channels)]
    for stream, touched in enumerate(counts):
        for channel in touched:
            users[channel].append(stream)
    return tuple(map(tuple, users))
