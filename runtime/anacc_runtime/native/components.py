"""Lowers streams that wait for each other, in an order in which none has to wait."""

from __future__ import annotations

from collections.abc import Iterator

from anacc_runtime.native.draft import Draft
from anacc_runtime.native.storage import Nest
from anacc_runtime.native.streams import Enter, Event, Leave, StreamLowering, Wait
from anacc_runtime.native.support import Unsupported


def lower_together(streams: list[StreamLowering], draft: Draft) -> None:
    """Emit the operations of all streams.

    Each stream goes on until it waits for a token.  Those that come to the loop in which they pass
    tokens round share one loop: an iteration of it does one iteration of each.

    Raises:
        Unsupported: no order of one iteration of each lets all of them go on.
    """
    running = {stream: stream.run() for stream in streams}
    at: dict[StreamLowering, Event | None] = {}
    while running:
        _advance(running, at)
        entering = [stream for stream in running if isinstance(at[stream], Enter)]
        if not running:
            return
        if not entering:
            raise Unsupported("streams wait for each other in a way that no order resolves")
        event = at[entering[0]]
        draft.begin_group(Nest())
        with draft.loop(event.count if isinstance(event, Enter) else 0):
            inside = {stream: running[stream] for stream in entering}
            for stream in entering:
                at.pop(stream)
            _advance(inside, at)
            if any(not isinstance(at[stream], Leave) for stream in entering):
                raise Unsupported("streams need tokens of several iterations at a time")
        for stream in entering:
            at.pop(stream)


def _advance(
    running: dict[StreamLowering, Iterator[Event]], at: dict[StreamLowering, Event | None]
) -> None:
    """Let all streams go on as far as they can; those that end are taken out of `running`."""
    moved = True
    while moved:
        moved = False
        for stream, events in [*running.items()]:
            if isinstance(at.get(stream), Enter | Leave):
                continue
            before = stream.taken
            at[stream] = next(events, None)
            if at[stream] is None:
                del running[stream]
            moved = moved or stream.taken > before or not isinstance(at[stream], Wait)
