"""How a broken rule is reported."""

from __future__ import annotations

from anacc.errors import ProgramError
from anacc.program.model import Stream
from anacc.program.names import shown
from anacc.program.walk import Place

HINT = "compile the model again; if the program was written by hand, see docs/isa.md"


def fault(reason: str) -> ProgramError:
    """The error for a rule that the program as a whole, or one of its declarations, breaks."""
    return ProgramError(reason, HINT)


def stream_fault(position: int, stream: Stream, reason: str) -> ProgramError:
    """The error for a rule that a stream breaks."""
    return fault(f"stream {position} `{shown(stream.name)}`: {reason}")


def place_fault(position: int, stream: Stream, place: Place, reason: str) -> ProgramError:
    """The error for a rule that an instruction breaks; its path names positions in the bodies."""
    path = ".".join(map(str, place.path))
    return stream_fault(position, stream, f"instruction {path} `{place.instr.op}`: {reason}")
