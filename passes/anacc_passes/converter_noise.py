"""How much the converters add to what drives a crossbar: noise in units of the input's code.

A converter rounds the charge of a column to steps of D = 2^b / a, which gives an error of variance
D^2 / 12 a conversion: two conversions a read in 4-phase mode, one in 1-phase mode, once for each
row tile.  Behind a matrix W whose column j has the scale s_j (its largest weight over the largest
code), all columns together get the error sum_j s_j^2 n D^2 / 12, n conversions each; independent
errors of variance v at the inputs, in units of their code, give v ||W||^2.  So the converters do
what inputs with this error would do::

    v = n D^2 / 12 * sum_j s_j^2 / ||W||^2

Small codes drown in it, so that a narrower range of the input, which clips a few elements and makes
all others larger, may lose less.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.targets import Target
from anacc_passes.formats import MOVES

AT_ONCE = 2**22
"""Weights that are held in binary64 at once."""
_KEEPING = ("max_pool", "identity", *MOVES)  # ops whose result has the scale of their operand


def converter_noise(module: Module, target: Target, read_mode: str) -> dict[str, float]:
    """The variance v of each value of a graph or of layers, in squares of its code's unit.

    A value that several ops read gets the least of what they have; one that no crossbar reads, 0.
    """
    settings = target.adc_settings(read_mode, max(target.adc.full_scale_cells.value), False)
    step = 2.0**settings.b / settings.a
    conversion = step**2 / 12 * (2 if settings.phases == 4 else 1)
    found: dict[str, float] = {name: 0.0 for _, name in module.outputs}

    def add(name: str, noise: float) -> None:
        found[name] = min(found.get(name, math.inf), noise)

    for op in reversed(module.ops):
        for position, name in enumerate(op.operands):
            if not name.startswith("%"):
                continue
            if op.kind in _KEEPING:
                add(name, found.get(op.results[0], 0.0))
            elif position == 0 and (weight := _matrix(module, op)) is not None:
                add(name, conversion * _ratio(weight, target))
            else:
                add(name, 0.0)
    return found


def _matrix(module: Module, op: Op) -> npt.NDArray[Any] | None:
    """The weights of an op, shape (rows of one column, columns); None if it has none."""
    if op.kind not in ("conv", "linear", "crossbar", *CELLS):
        return None
    weight = module.constants[op.operands[1]]
    if op.kind in ("conv", "crossbar"):
        return weight.reshape(len(weight), -1).T
    return weight if op.kind == "linear" else weight.reshape(-1, weight.shape[-1]).T


def _ratio(weight: npt.NDArray[Any], target: Target) -> float:
    """Row tiles * sum_j s_j^2 / ||W||^2."""
    rows, columns = weight.shape
    step = max(1, AT_ONCE // max(1, rows))
    ranges = energy = 0.0
    for first in range(0, columns, step):
        some = weight[:, first : first + step].astype(np.float64)
        largest = np.abs(some).max(axis=0, initial=0.0)
        ranges += float(np.square(largest / target.crossbar.g_max.value).sum())
        energy += float(np.square(some).sum())
    if energy == 0:
        return 0.0
    tiles = -(-rows // target.crossbar.rows.value)
    return float(tiles * ranges / energy)
