"""docs/isa.md is what the instruction table says."""

from __future__ import annotations

from pathlib import Path

from anacc.program.isa import BY_OPCODE, TABLE
from anacc.program.isa_reference import render
from anacc.program.wire import LOOP, SEQUENTIAL_LOOP

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "isa.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), (
        "run python -m anacc.program.isa_reference > docs/isa.md"
    )


def test_opcodes_are_distinct() -> None:
    assert len(BY_OPCODE) == len(TABLE)
    assert not {LOOP, SEQUENTIAL_LOOP} & BY_OPCODE.keys()
