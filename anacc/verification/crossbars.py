"""No crossbar cell is out of range or used twice, and each product finds its weights installed.

Properties and arguments:

1. Blocks lie inside their crossbar and apart from each other: a counter of each cell of a core is
   raised once for each block that covers it, and none may exceed one.  Rounds, each of which
   programs the crossbars anew, count apart.
2. An `mvm` finds all its cells in a block that its own stream has installed before it, at top
   level, so that it is there in every iteration.
3. Cells and streams exist in the target.
4. Converter settings are some that the target offers: their phases are a read mode's, the ratio
   multiplier / 2**shift is, to one part in 10^6, that of one of the target's full scales, and
   `maximum` is what the counters reach in one phase, or in the two that they serve.
"""

from __future__ import annotations

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Adc, Slice, Stream
from anacc.targets import Target
from anacc.verification.faults import Findings
from anacc.verification.structure import integer, named, operands, round_of, steps

Corner = tuple[int, int, int, int]  # rows [0], [1] and columns [2], [3] of a region


def check_crossbars(image: Image, target: Target, findings: Findings) -> None:
    """Check every crossbar of a program."""
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    cores: dict[tuple[int, int, int], list[int]] = {}
    for number, stream in enumerate(image.code.streams):
        if stream.unit.kind == "core":
            place = stream.unit.chip, stream.unit.index, round_of(stream)
            cores.setdefault(place, []).append(number)
    used = 0
    for (chip, core, _), members in cores.items():
        covered = np.zeros((rows, columns), np.int32)
        for number in members:
            used += _check_stream(image, number, covered, findings)
        if (covered > 1).any():
            row, column = np.argwhere(covered > 1)[0]
            names = ", ".join(named(image, number) for number in members)
            findings.fault(
                "crossbar",
                f"core {chip}.{core}: two blocks of weights share the cell of row {row}, column "
                f"{column}; its streams are {names}",
            )
    for number, adc in enumerate(image.code.adcs):
        if not _offered(adc, target):
            findings.fault(
                "crossbar",
                f"converter settings {number} (phases {adc.phases}, multiplier {adc.multiplier}, "
                f"shift {adc.shift}, maximum {adc.maximum}) are none that the target offers",
            )
    findings.figures["crossbars"] = {
        "used": len({(chip, core) for chip, core, _ in cores}),
        "rounds": len({number for _, _, number in cores}),
        "cells": used,
        "cells_of_used": len(cores) * rows * columns,
    }


def installed(image: Image, stream: Stream) -> list[tuple[int, Corner]]:
    """The blocks that a stream installs, and where: rows [0], [1], columns [2], [3]."""
    found = []
    for step in steps(stream.body):
        if step.instr.op == "program":
            block = integer(step.instr, "weight")
            row, column = integer(step.instr, "row"), integer(step.instr, "column")
            shape = image.code.weights[block]
            found.append((block, (row, row + shape.rows, column, column + shape.columns)))
    return found


def _check_stream(
    image: Image,
    number: int,
    covered: np.ndarray[tuple[int, int], np.dtype[np.int32]],
    findings: Findings,
) -> int:
    rows, columns = covered.shape
    present: list[Corner] = []
    cells = 0
    blocks = iter(installed(image, image.code.streams[number]))
    for step in steps(image.code.streams[number].body):
        if step.instr.op == "program":
            block, (top, bottom, left, right) = next(blocks)
            if bottom > rows or right > columns:
                findings.fault(
                    "crossbar",
                    f"{named(image, number)}: weight block {block} ends at row {bottom}, column "
                    f"{right} of a crossbar of {rows} by {columns}",
                )
            covered[top:bottom, left:right] += 1
            cells += (bottom - top) * (right - left)
            if not step.loops:
                present.append((top, bottom, left, right))
        elif step.instr.op == "mvm":
            named_ = operands(step.instr)
            source, result = named_["src"], named_["dst"]
            row, column = integer(step.instr, "row"), integer(step.instr, "column")
            if not (isinstance(source, Slice) and isinstance(result, Slice)):
                continue
            ends = row + source.length, column + result.length
            if not any(
                top <= row and ends[0] <= bottom and left <= column and ends[1] <= right
                for top, bottom, left, right in present
            ):
                findings.fault(
                    "order",
                    f"{named(image, number)}: a product uses rows {row}:{ends[0]} and columns "
                    f"{column}:{ends[1]}, where no block is installed yet",
                )
    return cells


def _offered(adc: Adc, target: Target) -> bool:
    """Whether converter settings are some of the target's."""
    phases = {
        table.phases.value
        for name, (_, table) in target.read_modes.tables().items()
        if table is not None and name in target.read_modes.offered.value
    }
    levels = target.adc.levels_per_phase.value
    limits = {levels, 2 * levels} if adc.phases == 4 else {levels}
    ratio = adc.multiplier / 2**adc.shift
    scales = [float(target.counts_per_charge(cells)) for cells in target.adc.full_scale_cells.value]
    return (
        adc.phases in phases
        and adc.maximum in limits
        and any(abs(ratio / scale - 1) < 1e-6 for scale in scales)
    )
