"""Registers: what an instruction reads was written before, in the same iteration.

A loop's iterations may run in any order or all at once, so no value of an ordinary register may
pass from one iteration to another or out of a parallel loop.  The check follows program order once
and keeps, for each register, the elements that hold a value:

- entering a loop, elements that its body writes lose theirs: at the start of an iteration they may
  be an earlier iteration's;
- leaving a sequential loop, what its body wrote is kept, for it ran at least once;
- leaving a parallel loop, what its body wrote has no value: which iteration's would it be?
"""

from __future__ import annotations

from anacc.program.checks.fault import place_fault
from anacc.program.isa import TABLE, Role
from anacc.program.model import Code, Instr, Loop, Node, Slice, Stream
from anacc.program.walk import Path, Place, walk

Spans = tuple[tuple[int, int], ...]  # disjoint [begin, end) in rising order
Values = dict[int, Spans]  # elements of each register


def check_registers(code: Code) -> None:
    """Ordinary registers are written before they are read; state stays out of parallel loops.

    Raises:
        ProgramError: an instruction reads elements that may hold no value, or touches a state
            register inside a parallel loop.
    """
    for position, stream in enumerate(code.streams):
        _Checker(position, stream).body(stream.body, {}, (), ())


class _Checker:
    def __init__(self, position: int, stream: Stream) -> None:
        self.position = position
        self.stream = stream

    def body(
        self, body: tuple[Node, ...], values: Values, path: Path, loops: tuple[Loop, ...]
    ) -> Values:
        """Check a body that starts with `values`; returns those at its end."""
        values = dict(values)
        for number, node in enumerate(body):
            here = (*path, number)
            if isinstance(node, Loop):
                written = _written(node.body)
                before = _without(values, written)
                after = self.body(node.body, before, here, (*loops, node))
                values = after if node.sequential else _without(after, written)
            else:
                self.instr(Place(here, loops, node), values)
        return values

    def instr(self, place: Place, values: Values) -> None:
        """Check an instruction's reads, then add its writes to `values`."""
        registers = self.stream.registers
        for role in (Role.READ, Role.WRITE):
            for operand in _slices(place.instr, role):
                number = operand.register
                if registers[number].state:
                    if any(not loop.sequential for loop in place.loops):
                        raise self.fault(place, f"state register {number} in a parallel loop")
                elif role is Role.READ and not _covers(values.get(number, ()), operand):
                    raise self.fault(
                        place, f"reads elements of register {number} that hold no value here"
                    )
                elif role is Role.WRITE:
                    values[number] = _union(values.get(number, ()), operand)

    def fault(self, place: Place, reason: str) -> Exception:
        return place_fault(self.position, self.stream, place, reason)


def _slices(instr: Instr, role: Role) -> list[Slice]:
    pairs = zip(instr.operands, TABLE[instr.op].operands, strict=True)
    return [op for op, declared in pairs if isinstance(op, Slice) and declared.role is role]


def _written(body: tuple[Node, ...]) -> Values:
    """All elements that a body writes."""
    result: Values = {}
    for place in walk(body):
        for operand in _slices(place.instr, Role.WRITE):
            result[operand.register] = _union(result.get(operand.register, ()), operand)
    return result


def _covers(spans: Spans, operand: Slice) -> bool:
    end = operand.offset + operand.length
    return any(first <= operand.offset and end <= last for first, last in spans)


def _union(spans: Spans, operand: Slice) -> Spans:
    begin, end = operand.offset, operand.offset + operand.length
    apart = []
    for first, last in spans:
        if last < begin or end < first:
            apart.append((first, last))
        else:  # spans that touch become one, so that `_covers` finds any slice in one span
            begin, end = min(begin, first), max(end, last)
    return tuple(sorted([*apart, (begin, end)]))


def _without(values: Values, removed: Values) -> Values:
    """`values` less the elements of `removed`."""
    result = {}
    for number, spans in values.items():
        for begin, end in removed.get(number, ()):
            spans = tuple(
                part
                for first, last in spans
                for part in ((first, min(last, begin)), (max(first, end), last))
                if part[0] < part[1]
            )
        result[number] = spans
    return result
