"""Streams share a buffer if, and only if, it comes to hold the same tokens in the same places."""

from __future__ import annotations

from collections.abc import Hashable

from anacc.program.model import Access, Buffer, Format, Instr, Loop, Register, Slice, Stream, Unit
from anacc_runtime.native.contents import contents
from anacc_runtime.plan import plan

SLOT = Slice(0, 0, 2)
STORE = "store"


def held(*body: Loop | Instr, fill: int = 0, size: int = 12, state: bool = False) -> Hashable:
    registers = (Register(Format.INT8, 2, state), Register(Format.BINARY16, 2))
    stream = Stream(
        Unit(0, "bridge", 0), "s", registers, Buffer(Format.INT8, size, fill), tuple(body)
    )
    return contents(stream, plan(stream))


def rows(count: int, first: int, channel: int = 0, pitch: int = 2) -> Loop:
    """Take `count` tokens and store them from address `first` on."""
    access = Access(first, (pitch,), ((2, 1),))
    return Loop(count, (Instr("recv", (SLOT, channel)), Instr(STORE, (access, SLOT))))


def test_loops_do_not_count() -> None:
    assert held(rows(6, 0)) == held(rows(2, 0), rows(4, 4)) is not None


def test_all_else_does() -> None:
    whole = held(rows(6, 0))
    others = [
        held(rows(5, 0)),
        held(rows(5, 2)),
        held(rows(6, 0, channel=1)),
        held(rows(6, 0), fill=1),
        held(rows(6, 0), size=13),
        held(rows(6, 10, pitch=-2)),
    ]
    assert len({whole, *others}) == 7


def test_what_is_computed_is_not_compared() -> None:
    access = Access(0, (), ((2, 1),))
    value = Slice(1, 0, 2)
    computed = (
        Instr("recv", (value, 0)),
        Instr("quantise", (SLOT, value)),
        Instr(STORE, (access, SLOT)),
    )
    assert held(*computed) is None
    changed = (Instr("recv", (SLOT, 0)), Instr("quantise", (SLOT, value)), computed[-1])
    assert held(*changed) is None


def test_a_token_stored_in_all_rounds_of_an_inner_loop() -> None:
    """Received outside, it is the same token in each round."""
    access = Access(0, (4, 2), ((2, 1),))
    inner = Loop(2, (Instr(STORE, (access, SLOT)),))
    repeated = held(Loop(3, (Instr("recv", (SLOT, 0)), inner)))
    assert repeated is not None and repeated != held(rows(6, 0))


def test_a_token_kept_to_the_next_iteration_is_not_compared() -> None:
    body = (Instr(STORE, (Access(0, (2,), ((2, 1),)), SLOT)), Instr("recv", (SLOT, 0)))
    first = Instr("recv", (SLOT, 0))
    assert held(first, Loop(5, body, sequential=True), state=True) is None


def test_a_loop_without_end_is_not_looked_at() -> None:
    assert held(rows(2**40, 0)) is None
