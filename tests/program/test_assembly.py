"""Assembly text: round trips, readable listings, and errors that name the line."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import ProgramError
from anacc.program.assembly import assemble, disassemble
from anacc.program.encode import encode
from anacc.program.model import Code
from tests.program import sample
from tests.program.strategies import codes


@given(codes)
def test_text_gives_the_same_bytes(code: Code) -> None:
    assert encode(assemble(disassemble(code))) == encode(code)


def test_the_listing_is_the_sample() -> None:
    assert disassemble(assemble(sample.TEXT)) == sample.TEXT


def test_origins_are_comments() -> None:
    text = disassemble(sample.code(), ["", "", "Conv_0\nRelu_1"])
    assert '.stream 2 core 0.12 "conv"  ; Conv_0 Relu_1\n' in text
    assert assemble(text) == sample.code()


def test_names_cannot_act_on_a_terminal() -> None:
    """Whatever a file says, its listing is printable, and names the same bytes."""
    name = 'a\x1b[31m\x7f\x9b\u202e\U000e0001é\u4e2d"\\'
    stream = dataclasses.replace(sample.code().streams[0], name=name)
    code = dataclasses.replace(sample.code(), streams=(stream, *sample.code().streams[1:]))
    text = disassemble(code, ["\x9b31m evil"])
    assert all(line.isprintable() for line in text.splitlines())
    assert (
        '"a\\u001b[31m\\u007f\\u009b\\u202e\\udb40\\udc01é\u4e2d\\"\\\\"  ; \\u009b31m evil' in text
    )
    assert assemble(text) == code


def test_layout_and_comments_are_free() -> None:
    lines = sample.TEXT.splitlines()
    text = "# a program\r\n\n" + "\r\n".join(f"\t{line}  # ; comment" for line in lines)
    assert assemble(text) == sample.code()


@pytest.mark.parametrize(
    ("line", "damaged", "reason"),
    [
        (".anacc 2", ".anacc 3", "line 1: the text does not begin with its version"),
        (".anacc 2", "", "line 2: the text does not begin"),
        ("phases=4", "phase=4", "line 2: `phases=` is missing"),
        ("shift=40", "shift=x", "line 2: `x` is not an integer"),
        (".weight 1", ".weight 2", "line 4: items are numbered from 0 without gaps"),
        ("odd=yes", "odd=maybe", "line 5: `odd` is `maybe`"),
        ("limit=8.0", "limit=0.1", "line 5: `0.1` is not a finite binary16 number"),
        (".channel 0 i8", ".channel 0 i9", "there is no element format `i9`"),
        ("route=12,13", "route=12,", "`` is not an integer"),
        ("core 0.12", "core 12", "there is no such unit"),
        ("core 0.12", "cpu 0.12", "there is no such unit"),
        ('"conv"', '"co\\nv', "is not part of the language"),
        ('"conv"', "conv", "the stream's name is malformed"),
        ('"conv"', '"\\ud800"', "the stream's name is malformed"),
        ("f16 4 state", "f16 4 stat", "a register has an unknown property"),
        ("loop 6 seq", "loop 6 sec", "a loop has an unknown property"),
        ("    end\n  end", "    end", "the loop has no `end`"),
        ("    end\n  end", "    end\n  end\n  end", "`end` closes no loop"),
        ("mvm r1[0:4],", "mvm r1[0:4]", "too few operands"),
        ("mvm r1", "mvn r1", "there is no instruction `mvn`"),
        ("0, 0, 0\n", "0, 0, 0, 0\n", "`, 0` follows the end"),
        ("r1[0:4], c3", "r1[4:0], c3", "the slice ends at 0, before it begins"),
        ("@4+4*i0", "@4+4*i1", "there is no loop i1 here"),
        ("@4+4*i0", "@4+4*i0+4*i0", "loop i0 is named twice"),
        ("@4+4*i0{4:1}", "@4+4*i0(4:1)", "is not part of the language"),
        ("{3:4, 4:1}", "{3:4 4:1}", "`,` is missing"),
        ("input 0", "input -1", "lies outside 0"),
        ("input 0", ".buffer i8 4 fill=0\n.buffer i8 4 fill=0", "has a buffer already"),
        ('.stream 0 host 0.0 "input"', "", "stands outside a stream"),
    ],
)
def test_errors_name_the_line(line: str, damaged: str, reason: str) -> None:
    assert line in sample.TEXT
    with pytest.raises(ProgramError) as caught:
        assemble(sample.TEXT.replace(line, damaged, 1))
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ProgramError, match="the text is empty"):
        assemble("; nothing\n")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assemble(".anacc 2\n" + text)
    except ProgramError:
        pass


@given(st.data())
def test_damaged_listings_are_read_or_refused(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(sample.TEXT) - 1))
    inserted = data.draw(st.text("0123456789-+*:{}[]@%,. \n\"';rci=", max_size=3))
    text = sample.TEXT[:position] + inserted + sample.TEXT[position + 1 :]
    try:
        assemble(text)
    except ProgramError as error:
        assert "\n" not in error.message
