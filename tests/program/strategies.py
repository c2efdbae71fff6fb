"""Random codes: valid in form, so that they can be encoded, but not by the rules of the checker."""

from __future__ import annotations

from hypothesis import strategies as st

from anacc.program.isa import TABLE, Role
from anacc.program.model import (
    Access,
    Adc,
    Buffer,
    Channel,
    Code,
    Const,
    Format,
    Instr,
    Loop,
    Node,
    Operand,
    Register,
    Slice,
    Stream,
    Table,
    Unit,
    Weight,
)
from anacc.program.wire import KINDS, MAX_SIGNED, MAX_UNSIGNED, MIN_SIGNED

unsigned = st.one_of(st.integers(0, 300), st.integers(0, MAX_UNSIGNED))
signed = st.one_of(st.integers(-300, 300), st.integers(MIN_SIGNED, MAX_SIGNED))
binary16 = st.floats(width=16, allow_nan=False, allow_infinity=False)
formats = st.sampled_from(Format)


def tuples(
    elements: st.SearchStrategy[object], size: int, least: int = 0
) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(elements, min_size=least, max_size=size).map(tuple)


def operands(role: Role, depth: int) -> st.SearchStrategy[Operand]:
    """Any operand of a role inside `depth` loops."""
    strides = st.lists(signed, min_size=depth, max_size=depth).map(tuple)
    match role:
        case Role.READ | Role.WRITE:
            # An offset and a length whose sum a slice's end can show.
            return st.builds(Slice, unsigned, unsigned, unsigned)
        case Role.LOAD | Role.STORE:
            dims = st.lists(st.tuples(unsigned, signed), max_size=3).map(tuple)
            return st.builds(Access, unsigned, strides, dims)
        case Role.CONST16 | Role.CONST32:
            return st.builds(Const, unsigned, strides, unsigned)
        case Role.CHANNEL | Role.INTEGER:
            return unsigned
        case Role.BINARY16:
            return binary16


def instructions(depth: int) -> st.SearchStrategy[Instr]:
    """Any instruction inside `depth` loops."""

    def build(name: str) -> st.SearchStrategy[Instr]:
        roles = [operand.role for operand in TABLE[name].operands]
        return st.tuples(*(operands(role, depth) for role in roles)).map(
            lambda values: Instr(name, values)
        )

    return st.sampled_from(sorted(TABLE)).flatmap(build)


def bodies(depth: int = 0) -> st.SearchStrategy[tuple[Node, ...]]:
    """Any body inside `depth` loops, with a few more inside it."""
    nodes: st.SearchStrategy[Node] = instructions(depth)
    if depth < 3:
        loops = st.builds(Loop, unsigned, st.deferred(lambda: bodies(depth + 1)), st.booleans())
        nodes = st.one_of(nodes, loops)
    return st.lists(nodes, max_size=3).map(tuple)


names = st.text(st.characters(codec="utf-8"), max_size=12)
registers = st.builds(Register, formats, unsigned, st.booleans())
streams = st.builds(
    Stream,
    st.builds(Unit, unsigned, st.sampled_from(KINDS), unsigned),
    names,
    st.lists(registers, max_size=3).map(tuple),
    st.none() | st.builds(Buffer, formats, unsigned, signed),
    bodies(),
    unsigned,
)
codes = st.builds(
    Code,
    st.lists(st.builds(Adc, unsigned, unsigned, unsigned, unsigned), max_size=2).map(tuple),
    st.lists(st.builds(Weight, unsigned, unsigned), max_size=2).map(tuple),
    st.lists(
        st.builds(Table, unsigned, unsigned, binary16, st.booleans(), st.booleans()), max_size=2
    ).map(tuple),
    st.lists(
        st.builds(Channel, formats, unsigned, unsigned, st.lists(unsigned, max_size=3).map(tuple)),
        max_size=2,
    ).map(tuple),
    st.lists(streams, max_size=3).map(tuple),
)
