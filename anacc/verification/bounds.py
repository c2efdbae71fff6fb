"""How large a program may be to be followed element by element."""

from __future__ import annotations

import math

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.verification.structure import Ends, slices, steps

MAX_ELEMENTS = 2**33  # that instructions read in all; loads are written out more than once
MAX_HELD = 2**28  # elements of buffers and channels that may be held at once
MAX_EXECUTIONS = 2**26  # of one instruction
MAX_IN_ORDER = 2**20  # instructions in sequential loops, which are followed one after another


def is_too_large(image: Image, ends: Ends) -> bool:
    """Whether following a program would take more time or memory than is reasonable."""
    # What passes the border to the host is held as a whole.
    shapes = [each.shape for each in image.manifest.inputs]
    shapes += [each.shape for each in image.manifest.borders]
    batch = image.manifest.batch or 1
    sizes = (math.prod(batch if size is None else size for size in shape) for shape in shapes)
    if max(sizes, default=0) > MAX_HELD:
        return True
    held = sum(stream.buffer.size for stream in image.code.streams if stream.buffer)
    read = in_order = 0
    for stream in image.code.streams:
        for step in steps(stream.body):
            if step.executions > MAX_EXECUTIONS:
                return True
            if any(loop.sequential for loop in step.loops):
                in_order += step.executions
            read += step.executions * sum(part.length for part in slices(step.instr, Role.READ))
            if step.instr.op == "mvm":
                width = sum(part.length for part in slices(step.instr, Role.WRITE))
                held = max(held, step.executions * width)
    tokens = zip(image.code.channels, ends.tokens, strict=True)
    largest = max((channel.token_size * count for channel, count in tokens), default=0)
    return (
        in_order > MAX_IN_ORDER or read > MAX_ELEMENTS or held > MAX_HELD or largest > 8 * MAX_HELD
    )
