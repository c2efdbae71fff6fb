"""The byte encoding: round trips, and refusal of everything else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import ProgramError
from anacc.program.decode import decode
from anacc.program.encode import encode
from anacc.program.model import Access, Adc, Code, Instr, Loop, Operand, Slice, Stream, Unit
from anacc.program.wire import MAGIC, MAX_DEPTH
from tests.program import sample
from tests.program.strategies import codes

EMPTY = Code((), (), (), (), ())
HEADER = MAGIC + bytes([2])


def with_body(*body: Instr | Loop) -> Code:
    stream = Stream(Unit(0, "core", 0), "s", (), None, body)
    return dataclasses.replace(EMPTY, streams=(stream,))


@given(codes)
def test_decode_inverts_encode(code: Code) -> None:
    assert decode(encode(code)) == code


@given(st.data())
def test_what_decodes_is_what_encodes(data: st.DataObject) -> None:
    """Damaged bytes are refused, or are the one encoding of another code."""
    original = bytearray(encode(data.draw(codes)))
    for _ in range(data.draw(st.integers(1, 3))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        code = decode(bytes(original))
    except ProgramError:
        return
    assert encode(code) == bytes(original)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_canonical(tail: bytes) -> None:
    try:
        code = decode(HEADER + tail)
    except ProgramError:
        return
    assert encode(code) == HEADER + tail


def test_every_truncation_is_refused() -> None:
    data = encode(sample.code())
    for size in range(len(data)):
        with pytest.raises(ProgramError, match="code, byte"):
            decode(data[:size])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends too early"),
        (b"ANACCODF" + bytes([1]), "no code header"),
        (MAGIC + bytes([1]), "code version 1 is not supported"),
        (HEADER + bytes([0x80, 0x00]), "shortest form"),
        (HEADER + bytes([0xFF] * 12), "longer than 9 bytes"),
        (HEADER + bytes(5) + b"x", "1 bytes follow the end"),
        (HEADER + bytes([200, 1, 0, 0, 0, 0]), "200 items cannot follow in 4 bytes"),
        (encode(with_body())[:14] + bytes([9]) + encode(with_body())[15:], "no unit kind 9"),
        (encode(with_body(Loop(1, ())))[:-3] + bytes([0x66, 1, 0]), "no opcode 0x66"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProgramError, match=reason):
        decode(data)


def test_deep_nesting_is_refused() -> None:
    loop = Loop(2, ())
    for _ in range(MAX_DEPTH - 1):
        loop = Loop(2, (loop,))
    data = encode(with_body(loop))
    assert decode(data) == with_body(loop)
    with pytest.raises(ProgramError, match="nest deeper"):
        encode(with_body(Loop(2, (loop,))))
    # A bomb of loops, with enough bytes that each count is plausible.
    bomb = data[: data.index(b"\x7e") - 1] + b"\x01\x7e\x02" * 10_000 + bytes(10)
    with pytest.raises(ProgramError, match="nest deeper"):
        decode(bomb)


@pytest.mark.parametrize(
    ("operands", "reason"),
    [
        ((Slice(0, 0, 1),), "has 1 operands, not 2"),
        ((Slice(0, 0, 1), 1.5), "operand `channel` is a float"),
        ((Slice(0, 0, 1), True), "is a bool, not an int"),
        ((Slice(0, 0, -1), 0), "-1 lies outside"),
        ((Slice(0, 0, 2**63), 0), "lies outside"),
    ],
)
def test_wrong_operands_are_refused(operands: tuple[Operand, ...], reason: str) -> None:
    with pytest.raises(ProgramError, match=reason):
        encode(with_body(Instr("recv", operands)))


def test_an_access_has_a_stride_for_each_loop() -> None:
    load = Instr("load", (Slice(0, 0, 1), Access(0, (), ())))
    with pytest.raises(ProgramError, match="0 strides inside 1 loops"):
        encode(with_body(Loop(2, (load,))))


@pytest.mark.parametrize("value", [0.1, 65536.0, float("inf"), float("nan")])
def test_immediates_are_binary16(value: float) -> None:
    clamp = Instr("clamp", (Slice(0, 0, 1), Slice(0, 0, 1), 0.0, value))
    with pytest.raises(ProgramError, match="not a finite binary16 number"):
        encode(with_body(clamp))


def test_numpy_integers_are_refused_by_name() -> None:
    code = dataclasses.replace(EMPTY, adcs=(Adc(1, np.int64(2), 3, 4),))  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="converter setting 0: .* is a int64, not an int"):
        encode(code)
