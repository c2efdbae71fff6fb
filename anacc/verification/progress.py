"""The streams cannot wait for each other for ever, with the capacities that the file states.

A stream receives and sends in an order that no data changes, so with finite channels a program is a
set of events with fixed dependencies: the k-th receive of a channel comes after its k-th send, the
k-th send after the (k - capacity)-th receive of each reader, and each event after the one before it
in its stream.  Whether all events can happen is a property of this relation (it has no cycle), not
of the order in which streams run: an event that can happen can still happen after any other one
did.  So one execution decides for all (Kahn 1974; Parks 1995, chapter 4, for bounded channels).

Where to look.  If streams wait for ever, each waits for one other, and so some wait in a circle.
Draw an edge from a stream to each that it can wait for: a reader for the writer; the writer for a
reader, if the channel cannot hold the tokens of a sample.

1. A circle of two streams over one channel is impossible: it would be empty and full at once.
2. Any other circle is a simple cycle of this graph: it lies within one strongly connected
   component, and there within one biconnected component of the graph without directions.
3. Dependencies between the events of these streams alone form the circle, so running a component
   by itself, with the tokens and the room of all other channels at hand, finds it if there is one.

A component of two streams and one channel needs no execution; in the others tokens are counted
(`tokens_run`), and what repeats is skipped.
"""

from __future__ import annotations

from collections import Counter

import networkx as nx

from anacc.program.image import Image
from anacc.verification.faults import Findings
from anacc.verification.structure import Ends, named, round_of
from anacc.verification.tokens_run import MAX_STEPS, Waits, run


def check_progress(image: Image, ends: Ends, findings: Findings) -> None:
    """Look for streams that wait for each other for ever."""
    waits: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    waits.add_nodes_from(range(len(image.code.streams)))
    bounded = 0
    for number, channel in enumerate(image.code.channels):
        writer = ends.writer[number]
        tokens = ends.tokens[number]
        for reader in ends.readers[number]:
            if writer < 0:
                findings.fault(
                    "deadlock", f"{named(image, reader)} reads channel {number}: nothing writes it"
                )
                continue
            taken = ends.moves[reader]["recv", number]
            if taken != tokens:
                findings.fault(
                    "deadlock",
                    f"{named(image, reader)} takes {taken} tokens of channel {number}, into which "
                    f"{named(image, writer)} puts {tokens}",
                )
            before, after = (round_of(image.code.streams[each]) for each in (writer, reader))
            if after < before:
                findings.fault(
                    "order",
                    f"{named(image, reader)} of round {after} reads channel {number}, which "
                    f"{named(image, writer)} writes in round {before}",
                )
            waits.add_edge(reader, writer, channel=number)
            # A channel to a later round holds all tokens, in the memory of the host.
            if channel.capacity < tokens and after == before:
                bounded += 1
                waits.add_edge(writer, reader, channel=number)
    executed = steps = 0
    for members, channels in _components(waits):
        executed += 1
        found = run(image, members, channels, ends.tokens, MAX_STEPS - steps)
        steps += found.steps
        if found.waiting:
            findings.fault("deadlock", _circle(image, found))
        elif not found.finished:
            findings.unproven.append(
                f"the {len(members)} streams around {named(image, min(members))}: whether they "
                f"wait for ever was not decided within {found.steps} steps"
            )
    findings.figures["progress"] = {
        "channels": len(image.code.channels),
        "full_channels_block": bounded,
        "components_executed": executed,
        "steps": steps,
    }


def _components(waits: nx.MultiDiGraph[int]) -> list[tuple[set[int], set[int]]]:
    """Streams and channels of the components in which streams could wait in a circle."""
    found = []
    for strong in nx.strongly_connected_components(waits):
        if len(strong) < 2:
            continue
        inner = waits.subgraph(strong)
        flat: nx.Graph[int] = nx.Graph(inner)
        for edges in nx.biconnected_component_edges(flat):
            pairs = {frozenset(edge) for edge in edges}
            channels = {
                data["channel"]
                for source, sink, data in inner.edges(data=True)
                if frozenset((source, sink)) in pairs
            }
            if len(channels) > 1:
                found.append((set().union(*pairs), channels))
    return sorted(found, key=lambda each: min(each[0]))


def _circle(image: Image, waits: Waits) -> str:
    """Name the streams that wait in a circle, and the channels for which they do."""
    path: list[int] = []
    stream = min(waits.waiting)
    seen: Counter[int] = Counter()
    while not seen[stream]:
        seen[stream] += 1
        path.append(stream)
        stream = waits.waiting[stream][2]
    circle = path[path.index(stream) :]
    parts = []
    for member in circle:
        way, channel, _ = waits.waiting[member]
        capacity = image.code.channels[channel].capacity
        what = (
            f"a token of channel {channel}"
            if way == "recv"
            else f"room in channel {channel}, which holds {capacity}"
        )
        parts.append(f"{named(image, member)} waits for {what}")
    return "streams wait for each other for ever: " + "; ".join(parts)
