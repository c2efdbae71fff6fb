"""No instruction reads an element of a register that holds no value.

Property: in every execution order that the instruction set allows, each element that an instruction
reads was written before in the same iteration of the innermost loop around it, or outside of it
in an iteration that encloses it; state registers hold zero from the start.

Argument: elements are followed one by one as a mask.  A loop starts without those elements
that its own body writes, for in the first iteration nothing of the body was executed and in others
they would be another iteration's.  What a parallel loop writes is gone behind it.  One pass over a
body is therefore the same for each of its iterations, and the pass over all of it covers all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.program.model import Loop, Node, Stream
from anacc.verification.faults import Findings
from anacc.verification.structure import named, slices, steps

LARGEST = 2**28  # elements of the registers of a stream, counted for each of its loops

Masks = list[npt.NDArray[np.bool_]]


def check_registers(image: Image, findings: Findings) -> None:
    """Look for registers that are read before they are written."""
    reads = 0
    for number, stream in enumerate(image.code.streams):
        size = sum(each.length for each in stream.registers) * (1 + _loops(stream.body))
        if size > LARGEST:
            findings.unproven.append(
                f"{named(image, number)}: its registers are too large to be followed"
            )
            continue
        masks = [np.full(each.length, each.state) for each in stream.registers]
        reads += _follow(image, number, stream, stream.body, masks, False, findings)
    findings.figures["register_reads"] = reads


def _follow(
    image: Image,
    number: int,
    stream: Stream,
    body: tuple[Node, ...],
    masks: Masks,
    parallel: bool,
    findings: Findings,
) -> int:
    """Follow a body with the elements that hold a value; changes `masks`.  Returns the reads."""
    reads = 0
    for node in body:
        if isinstance(node, Loop):
            written = _written(stream, node.body)
            inside = [
                mask if each.state else mask & ~gone
                for each, mask, gone in zip(stream.registers, masks, written, strict=True)
            ]
            around = parallel or not node.sequential
            reads += _follow(image, number, stream, node.body, inside, around, findings)
            for position, gone in enumerate(written):
                if stream.registers[position].state:
                    continue
                if node.sequential:
                    masks[position][:] = inside[position]
                else:
                    masks[position] &= ~gone
            continue
        for part in slices(node, Role.READ):
            reads += 1
            if not masks[part.register][part.offset : part.offset + part.length].all():
                findings.fault(
                    "order",
                    f"{named(image, number)}: `{node.op}` reads elements of register "
                    f"{part.register} that nothing has written",
                )
            if parallel and stream.registers[part.register].state:
                findings.fault(
                    "order",
                    f"{named(image, number)}: `{node.op}` reads state register {part.register} in "
                    "a parallel loop, whose iterations have no order",
                )
        for part in slices(node, Role.WRITE):
            masks[part.register][part.offset : part.offset + part.length] = True
    return reads


def _loops(body: tuple[Node, ...]) -> int:
    return sum(1 + _loops(node.body) for node in body if isinstance(node, Loop))


def _written(stream: Stream, body: tuple[Node, ...]) -> Masks:
    masks = [np.zeros(each.length, np.bool_) for each in stream.registers]
    for step in steps(body):
        for part in slices(step.instr, Role.WRITE):
            masks[part.register][part.offset : part.offset + part.length] = True
    return masks
