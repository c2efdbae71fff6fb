"""How a stream is to be executed: its body as steps, and which of them run first.

A plan has the shape of the body.  Each step knows its path and, for recv and send, the affine token
index, so that parts of a plan can be left out or replaced without losing either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from anacc.program import tokens
from anacc.program.isa import TABLE, Role
from anacc.program.model import Instr, Loop, Node, Slice, Stream
from anacc.program.walk import Path, Place, walk

Affine = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Step:
    """An instruction, its path, and the token index of a recv or send (base, strides)."""

    instr: Instr
    path: Path
    token: Affine | None


@dataclass(frozen=True)
class Repeat:
    """A loop.

    Attributes:
        count: of iterations.
        path: of the loop in the stream.
        iterate: one iteration after another, because it is sequential or passes tokens round a
            feedback loop; else all iterations at once, as an axis of the registers.
        sequential: whether the program says so, see `anacc.program.model.Loop`.
        body: what is repeated.
    """

    count: int
    path: Path
    iterate: bool
    sequential: bool
    body: Plan


Plan = tuple[Step | Repeat, ...]


def plan(stream: Stream, feedback: frozenset[int] = frozenset()) -> tuple[Plan, ...]:
    """The plans that execute a stream, one after another.

    A load yields the value that the stream writes, wherever in the text the store stands.  So where
    a load stands before a store, there are two plans: all stores with what they need, then all
    sends with what they need.  Text order will do where all loads stand behind all stores, and is
    all that there is where a store depends on a load; the loader has checked that no load is too
    early then.

    Args:
        stream: a stream of the chip.
        feedback: the channels on which the stream waits for streams that wait for it; loops that
            touch them run one iteration after another.
    """
    whole = _plan(stream.body, (), tokens.index(stream), feedback)
    places = tuple(walk(stream.body))
    ops = [place.instr.op for place in places]
    if feedback or "load" not in ops or "store" not in ops[ops.index("load") :]:
        return (whole,)
    stores = needed(stream, places, "store")
    if any(place.instr.op == "load" and place.path in stores for place in places):
        return (whole,)
    return _only(whole, stores), _only(whole, needed(stream, places, "send"))


def needed(stream: Stream, places: tuple[Place, ...], op: str) -> frozenset[Path]:
    """The paths of all instructions `op` and of those whose results they use."""
    found: set[Path] = set()
    pending = [position for position, place in enumerate(places) if place.instr.op == op]
    while pending:
        position = pending.pop()
        if places[position].path in found:
            continue
        found.add(places[position].path)
        for source in reads(places[position].instr):
            pending.extend(_writers(stream, places, position, source))
    return frozenset(found)


def reads(instr: Instr) -> Iterator[Slice]:
    """The register slices that an instruction reads."""
    return _slices(instr, Role.READ)


def writes(instr: Instr) -> Iterator[Slice]:
    """The register slices that an instruction writes: one at most."""
    return _slices(instr, Role.WRITE)


def overlap(left: Slice, right: Slice) -> bool:
    """Whether two slices share an element."""
    return (
        left.register == right.register
        and left.offset < right.offset + right.length
        and right.offset < left.offset + left.length
    )


def covers(outer: Slice, inner: Slice) -> bool:
    """Whether a slice holds all of another one."""
    return (
        outer.register == inner.register
        and outer.offset <= inner.offset
        and inner.offset + inner.length <= outer.offset + outer.length
    )


def _slices(instr: Instr, role: Role) -> Iterator[Slice]:
    for operand, value in zip(TABLE[instr.op].operands, instr.operands, strict=True):
        if operand.role is role and isinstance(value, Slice):
            yield value


def _writers(
    stream: Stream, places: tuple[Place, ...], reader: int, source: Slice
) -> Iterator[int]:
    """Positions of the instructions that may have written `source` as `reader` finds it.

    A register is written before it is read, so the search goes back through the text up to a write
    of the whole slice; a state register may hold what any of its writers left.
    """
    if stream.registers[source.register].state:
        candidates = range(len(places))
    else:
        candidates = range(reader - 1, -1, -1)
    for position in candidates:
        for target in writes(places[position].instr):
            if overlap(target, source):
                yield position
                if not stream.registers[source.register].state and covers(target, source):
                    return


def _plan(
    body: tuple[Node, ...], path: Path, index: dict[Path, Affine], feedback: frozenset[int]
) -> Plan:
    result: list[Step | Repeat] = []
    for position, node in enumerate(body):
        here = (*path, position)
        if isinstance(node, Loop):
            touched = {channel for _, channel in tokens.totals(node.body)}
            iterate = node.sequential or not touched.isdisjoint(feedback)
            inner = _plan(node.body, here, index, feedback)
            result.append(Repeat(node.count, here, iterate, node.sequential, inner))
        else:
            result.append(Step(node, here, index.get(here)))
    return tuple(result)


def _only(whole: Plan, paths: frozenset[Path]) -> Plan:
    """A plan without the steps whose paths are not named, and without loops that become empty."""
    result: list[Step | Repeat] = []
    for node in whole:
        if isinstance(node, Repeat):
            if body := _only(node.body, paths):
                result.append(replace(node, body=body))
        elif node.path in paths:
            result.append(node)
    return tuple(result)
