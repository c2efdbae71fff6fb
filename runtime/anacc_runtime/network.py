"""The network of a program: which streams wait for which, and the order in which to run them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import networkx as nx

from anacc.errors import ProgramError
from anacc.program.graph import Traffic, stream_graph, token_counts, traffic
from anacc.program.image import Image
from anacc.program.model import Stream, UnitKind

Ends = tuple[tuple[frozenset[int], frozenset[int]], ...]


@dataclass(frozen=True)
class Component:
    """Streams that wait for each other, in ascending order; mostly a single one.

    Attributes:
        streams: positions in the code.
        feedback: channels that lead from the component back into it; empty for a single stream
            that does not feed itself.
    """

    streams: tuple[int, ...]
    feedback: frozenset[int]


@dataclass(frozen=True)
class Phase:
    """Components in an order in which each finds all of its tokens.

    A phase of the host runs on the whole batch at once, one of the chip may split it.

    Attributes:
        host: whether the streams are those of the host.
        components: in execution order.
        entering: channels that an earlier phase writes and this one reads.
        leaving: channels that this phase writes and a later one reads.
        last_reader: for each channel, the position in `components` after which none reads it.
    """

    host: bool
    components: tuple[Component, ...]
    entering: frozenset[int]
    leaving: frozenset[int]
    last_reader: dict[int, int]


@dataclass(frozen=True)
class Network:
    """The streams of a program in order of execution.

    Attributes:
        phases: the order; host and chip alternate.
        token_counts: tokens per sample of each channel.
        ends: for each stream the channels that it receives from, and those that it sends to.
    """

    phases: tuple[Phase, ...]
    token_counts: tuple[int, ...]
    ends: Ends


def network(image: Image) -> Network:
    """Order the streams of a program.

    Raises:
        ProgramError: a stream of the host is part of a feedback loop.
    """
    streams = image.code.streams
    moved = traffic(image.code, image.manifest)
    ends = _ends(moved)
    condensed = nx.condensation(stream_graph(moved))
    components: dict[int, Component] = {}
    for node in condensed:
        members = tuple(sorted(condensed.nodes[node]["members"]))
        received, sent = _ends_of(members, ends)
        feedback = received & sent
        if feedback and any(_on_host(streams[member]) for member in members):
            raise ProgramError(
                f"stream `{streams[members[0]].name}` of the host is part of a feedback loop"
            )
        components[node] = Component(members, feedback)
    groups = _groups(condensed, components, streams)
    phases = tuple(_phase(number, groups, ends) for number in range(len(groups)))
    return Network(phases, token_counts(moved), ends)


def _ends(moved: Traffic) -> Ends:
    return tuple(
        (frozenset(received), frozenset(sent))
        for received, sent in zip(moved.received, moved.sent, strict=True)
    )


def _on_host(stream: Stream) -> bool:
    return stream.unit.kind == UnitKind.HOST.value


def _ends_of(members: tuple[int, ...], ends: Ends) -> tuple[frozenset[int], frozenset[int]]:
    received = frozenset[int]().union(*(ends[member][0] for member in members))
    return received, frozenset[int]().union(*(ends[member][1] for member in members))


def _groups(
    condensed: nx.DiGraph[int], components: dict[int, Component], streams: tuple[Stream, ...]
) -> list[tuple[bool, list[Component]]]:
    """Components in topological order, alternately as many of the host and of the chip as can run;
    the lowest-numbered streams first, so that the order is the same on every run."""
    waiting: dict[int, int] = {node: condensed.in_degree(node) for node in condensed}
    ready: dict[bool, set[int]] = defaultdict(set)

    def make_ready(node: int) -> None:
        ready[_on_host(streams[components[node].streams[0]])].add(node)

    for node, degree in waiting.items():
        if degree == 0:
            make_ready(node)
    groups: list[tuple[bool, list[Component]]] = []
    host = True
    while ready[True] or ready[False]:
        group: list[Component] = []
        while ready[host]:
            node = min(ready[host], key=lambda node: components[node].streams)
            ready[host].remove(node)
            group.append(components[node])
            for successor in condensed.successors(node):
                waiting[successor] -= 1
                if waiting[successor] == 0:
                    make_ready(successor)
        if group:
            groups.append((host, group))
        host = not host
    return groups


def _phase(number: int, groups: list[tuple[bool, list[Component]]], ends: Ends) -> Phase:
    host, components = groups[number]
    received, sent = _received_and_sent(components, ends)
    later = [component for _, group in groups[number + 1 :] for component in group]
    received_later, _ = _received_and_sent(later, ends)
    last_reader: dict[int, int] = {}
    for position, component in enumerate(components):
        for channel in _ends_of(component.streams, ends)[0]:
            last_reader[channel] = position
    return Phase(host, tuple(components), received - sent, sent & received_later, last_reader)


def _received_and_sent(
    components: list[Component], ends: Ends
) -> tuple[frozenset[int], frozenset[int]]:
    return _ends_of(tuple(stream for part in components for stream in part.streams), ends)
