"""How large a program may be to be followed element by element."""

from __future__ import annotations

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.verification.structure import Ends, slices, steps

MAX_ELEMENTS = 2**33  # that instructions read in all; loads are written out more than once
MAX_HELD = 2**28  # elements of buffers and channels that may be held at once


def is_too_large(image: Image, ends: Ends) -> bool:
    """Whether following a program would take more time or memory than is reasonable."""
    held = sum(stream.buffer.size for stream in image.code.streams if stream.buffer)
    read = 0
    for stream in image.code.streams:
        for step in steps(stream.body):
            if max(step.executions, 1) > MAX_HELD:
                return True
            read += step.executions * sum(part.length for part in slices(step.instr, Role.READ))
            if step.instr.op == "mvm":
                width = sum(part.length for part in slices(step.instr, Role.WRITE))
                held = max(held, step.executions * width)
    tokens = zip(image.code.channels, ends.tokens, strict=True)
    largest = max((channel.token_size * count for channel, count in tokens), default=0)
    return read > MAX_ELEMENTS or held > MAX_HELD or largest > 8 * MAX_HELD
