"""What a tile's LDPU makes of its counts, its partial sum and its residual, as a linear form.

Scale, offset, sum and gain are linear; an activation bounds the result and a quantisation rounds
it, which leaves the form of what they do not bound as it is.  So every result of a tile is
sum(coefficient * source) with a source for the counts of its product, one for each channel that it
takes, and the constant 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.program.model import Const, Instr
from anacc.verification.structure import integer, moved, operands, slices, steps

Floats = npt.NDArray[np.float64]
Source = tuple[str, int]  # ("counts", block), ("channel", number) or ("one", 0)
Form = dict[Source, Floats]  # coefficients, each of shape (columns,) or (1,)

ONE: Source = ("one", 0)


@dataclass(frozen=True)
class Results:
    """What a stream sends.

    Attributes:
        forms: of each channel.
        adc: number of the converter settings of its product, or -1.
    """

    forms: dict[int, Form]
    adc: int


def results(image: Image, number: int, block: int) -> Results | None:
    """The forms of a tile's results, or None where it is no plain tile.

    Args:
        image: the program.
        number: of the stream.
        block: the weight block of its products.
    """
    registers: dict[int, Form] = {}
    found: dict[int, Form] = {}
    adc = -1
    for step in steps(image.code.streams[number].body):
        instr = step.instr
        if instr.op == "mvm":
            (target,) = slices(instr, Role.WRITE)
            registers[target.register] = {("counts", block): np.ones(1)}
            adc = integer(instr, "adc")
        elif (access := moved(instr)) is not None and access[0] == "send":
            (source,) = slices(instr, Role.READ)
            if source.register in registers:
                found[access[1]] = registers[source.register]
        elif access is not None:
            (target,) = slices(instr, Role.WRITE)
            registers[target.register] = {("channel", access[1]): np.ones(1)}
        elif targets := slices(instr, Role.WRITE):
            form = _form(image, instr, registers)
            if form is None:
                return None
            registers[targets[0].register] = form
    return Results(found, adc) if adc >= 0 else None


def _form(image: Image, instr: Instr, registers: dict[int, Form]) -> Form | None:
    read = slices(instr, Role.READ)
    given = [registers.get(part.register) for part in read]
    forms = [each for each in given if each is not None]
    if len(forms) < len(given):
        return None
    if instr.op in ("scale", "affine"):
        scale = _constants(image, instr, "scale")
        if scale is None:
            return None
        form = {source: factor * scale for source, factor in forms[0].items()}
        if instr.op == "affine":
            offset = _constants(image, instr, "offset")
            if offset is None:
                return None
            form[ONE] = form.get(ONE, np.zeros(1)) + offset
        return form
    if instr.op == "add":
        left, right = forms
        return {
            source: left.get(source, np.zeros(1)) + right.get(source, np.zeros(1))
            for source in {**left, **right}
        }
    return forms[0] if instr.op in ("relu", "clamp", "quantise", "copy") else None


def _constants(image: Image, instr: Instr, name: str) -> Floats | None:
    given = operands(instr)[name]
    if not isinstance(given, Const) or any(given.strides):
        return None
    return image.constants16[given.base : given.base + given.length].astype(np.float64)
