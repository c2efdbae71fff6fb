"""What a buffer holds once all is stored: streams whose buffers hold the same need one of them.

Copies of a layer read their windows from the same tokens, each from a buffer of its own, and often
store them in loops of different shapes.  What counts is which token ends up where.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from math import prod

import numpy as np

from anacc.program.model import Access, Slice, Stream
from anacc_runtime.native.layers import step_writes
from anacc_runtime.native.storage import Offsets, indices
from anacc_runtime.plan import Affine, Plan, Repeat, Step, overlap

Held = dict[tuple[int, tuple[tuple[int, int], ...]], list[tuple[Offsets, Offsets]]]
"""For each channel and pattern within a token: numbers of tokens, and the addresses they go to."""

MOST_STORES = 2**22
"""Tokens that a stream may store to be looked at: their addresses are listed one by one."""


def contents(stream: Stream, plans: tuple[Plan, ...]) -> Hashable | None:
    """Equal for two streams if and only if their buffers come to hold the same tokens.

    None if the stream has no buffer, stores nothing, or stores what it computes, what it keeps from
    one iteration to the next, or more than `MOST_STORES` tokens.
    """
    if stream.buffer is None:
        return None
    held: Held = {}
    received: dict[Slice, tuple[int, Step, Affine]] = {}
    stored = 0
    for counts, step in (found for plan in plans for found in _steps(plan, ())):
        match step.instr.op, step.instr.operands:
            case "recv", (Slice() as dst, int(channel)) if step.token is not None:
                received = {s: token for s, token in received.items() if not overlap(s, dst)}
                if not stream.registers[dst.register].state:
                    received[dst] = channel, step, step.token
            case "store", (Access() as access, Slice() as src):
                stored += prod(counts)
                if src not in received or stored > MOST_STORES:
                    return None
                channel, source, (base, strides) = received[src]
                if step.path[: len(source.path) - 1] != source.path[:-1]:
                    return None
                # What came in an outer loop is the same token in all rounds of the inner ones.
                token = base, (*strides, *(0,) * (len(counts) - len(strides)))
                places = indices((access.base, access.strides), counts)
                held.setdefault((channel, access.dims), []).append((indices(token, counts), places))
            case _:
                for target in step_writes(step):
                    received = {s: token for s, token in received.items() if not overlap(s, target)}
    buffer = stream.buffer
    parts = [(key, _digest(pieces)) for key, pieces in sorted(held.items(), key=lambda i: i[0])]
    return (buffer.format, buffer.size, buffer.fill, *parts) if parts else None


def _steps(plan: Plan, counts: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Step]]:
    """The instructions of a plan, with the counts of the loops around each."""
    for node in plan:
        if isinstance(node, Repeat):
            yield from _steps(node.body, (*counts, node.count))
        else:
            yield counts, node


def _digest(pieces: list[tuple[Offsets, Offsets]]) -> bytes:
    """Of the addresses of all tokens, in the order of the tokens."""
    tokens, places = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.argsort(tokens, kind="stable")
    digest = hashlib.sha256(tokens[order].tobytes())
    digest.update(places[order].tobytes())
    return digest.digest()
