"""Buffers: each element is stored at most once, and a load yields what is stored.

Then a buffer element is a value with one definition, like a token: all iterations of a loop may
run at once, and the order of streams cannot matter.  A load may stand before the store whose
element it reads only where all stores can be executed before all loads: no store uses what a load
gave, and the stream does not wait for its own output.  Patterns are compared as affine functions,
in time that does not depend on loop counts and is bounded for a whole program.
"""

from __future__ import annotations

from dataclasses import dataclass

from anacc.program.checks.fault import place_fault
from anacc.program.checks.ranges import Budget, Term, can_equal, is_injective, span, terms
from anacc.program.graph import cycles, stream_graph, traffic
from anacc.program.image import Image
from anacc.program.isa import TABLE, Role
from anacc.program.model import Access, Loop, Slice, Stream, instructions
from anacc.program.walk import Path, Place, walk


@dataclass(frozen=True)
class _Use:
    """A load or store, its access, and the first and last element that it touches."""

    place: Place
    access: Access
    first: int
    last: int


def check_buffers(image: Image) -> None:
    """Stores of a stream never meet, and a load that meets a store can follow it.

    Raises:
        ProgramError: an element is, or may be, stored twice or loaded too early.
    """
    accesses = sum(
        instr.op in ("load", "store")
        for stream in image.code.streams
        for instr in instructions(stream.body)
    )
    budget = Budget(accesses)
    graph = stream_graph(traffic(image.code, image.manifest))
    cyclic = {member for group in cycles(graph) for member in group}
    for position, stream in enumerate(image.code.streams):
        stores_first = position not in cyclic and not _stores_loads(stream)
        stores, loads = _uses(stream, "store"), _uses(stream, "load")
        for store in stores:
            if not is_injective(terms(store.access, store.place.loops)):
                raise place_fault(
                    position, stream, store.place, "may store an element of the buffer twice"
                )
        for left, right in _meeting(stores):
            if _can_meet(left, right, budget):
                raise place_fault(
                    position,
                    stream,
                    right.place,
                    f"may store an element that instruction {_dotted(left.place.path)} stores",
                )
        for load in loads:
            for store in stores:
                if _apart(load, store):
                    continue
                if _is_early(load, store, stores_first, budget):
                    raise place_fault(
                        position,
                        stream,
                        load.place,
                        f"may load an element before instruction {_dotted(store.place.path)} "
                        "stores it",
                    )


def _uses(stream: Stream, op: str) -> list[_Use]:
    return [
        _Use(place, operand, *span(operand, place.loops))
        for place in walk(stream.body)
        if place.instr.op == op
        for operand in place.instr.operands
        if isinstance(operand, Access)
    ]


def _apart(left: _Use, right: _Use) -> bool:
    return left.last < right.first or right.last < left.first


def _meeting(uses: list[_Use]) -> list[tuple[_Use, _Use]]:
    """Pairs of which the ranges overlap, in text order within a pair."""
    pairs = []
    ordered = sorted(uses, key=lambda use: use.first)
    for position, left in enumerate(ordered):
        for right in ordered[position + 1 :]:
            if right.first > left.last:
                break
            pairs.append((left, right) if left.place.path < right.place.path else (right, left))
    return pairs


def _can_meet(left: _Use, right: _Use, budget: Budget) -> bool:
    """Whether two accesses, each in any iteration, touch a common element."""
    difference = right.access.base - left.access.base
    return can_equal(difference, [*_terms(left, 1), *_terms(right, -1)], budget)


def _stores_loads(stream: Stream) -> bool:
    """Whether a store may use what a load gave: registers that loads reach, in any order."""
    reached: set[int] = set()
    while True:
        before = len(reached)
        for place in walk(stream.body):
            pairs = zip(place.instr.operands, TABLE[place.instr.op].operands, strict=True)
            slices = [(op.register, each.role) for op, each in pairs if isinstance(op, Slice)]
            reads = {register for register, role in slices if role is Role.READ}
            if place.instr.op == "load" or reads & reached:
                if place.instr.op == "store":
                    return True
                reached.update(register for register, role in slices if role is Role.WRITE)
        if len(reached) == before:
            return False


def _is_early(load: _Use, store: _Use, stores_first: bool, budget: Budget) -> bool:
    """Whether a load may come before a store of an element that it reads.

    Text order decides, unless all stores can be executed first.  In a sequential loop around both
    the store must not belong to a later iteration either.  A parallel loop runs each instruction
    for all its iterations.
    """
    if load.place.path < store.place.path:
        return not stores_first and _can_meet(load, store, budget)
    for level, loop in _shared_loops(load.place, store.place):
        # The store's index is the load's plus 1 to count - 1; both range freely apart from that.
        if loop.sequential and loop.count > 1:
            late = store.access.strides[level]
            shifted = [
                (load.access.strides[level] - late, 0, loop.count - 2),
                (-late, 0, loop.count - 2),
            ]
            rest = [*_terms(load, 1, level), *_terms(store, -1, level)]
            difference = store.access.base + late - load.access.base
            if can_equal(difference, [*shifted, *rest], budget):
                return True
    return False


def _shared_loops(left: Place, right: Place) -> list[tuple[int, Loop]]:
    """The loops around both, with their depth."""
    shared = []
    levels = zip(left.path[:-1], right.path[:-1], left.loops, strict=False)
    for level, (first, second, loop) in enumerate(levels):
        if first != second:
            break
        shared.append((level, loop))
    return shared


def _terms(use: _Use, sign: int, without: int | None = None) -> list[Term]:
    """The terms of an access, times `sign`; those of the loop at depth `without` left out."""
    strides = list(use.access.strides)
    if without is not None:
        strides[without] = 0
    access = Access(use.access.base, tuple(strides), use.access.dims)
    return [(sign * stride, low, high) for stride, low, high in terms(access, use.place.loops)]


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
