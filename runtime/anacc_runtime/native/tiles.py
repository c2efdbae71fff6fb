"""The crossbar tiles of a phase: what does not change from run to run."""

from __future__ import annotations

from dataclasses import dataclass

from anacc.program.model import Adc, Float16Array, Format, Int8Array
from anacc.program.walk import Path


@dataclass(frozen=True, eq=False)
class TileSpec:
    """A crossbar region, its converters, and what the local digital unit does with the counts.

    Attributes:
        codes: (rows, columns) int8 weight codes, maybe a view of a memory map.
        adc: the converter's settings.
        scale: (columns,).
        offset: (columns,), or None.
        addends: the format of each addend, and its scale (columns,) or None.
        activation: None, "relu", or the bounds (low, high) of a clamp.
        runs: offset and length in bytes of each piece of an input vector.
        nonnegative: whether the inputs are known to be none below 0.
        row, column: of the region on its crossbar.
        stream, path: the mvm in the program.
    """

    codes: Int8Array
    adc: Adc
    scale: Float16Array
    offset: Float16Array | None
    addends: tuple[tuple[Format, Float16Array | None], ...]
    activation: str | tuple[float, float] | None
    runs: tuple[tuple[int, int], ...]
    nonnegative: bool
    row: int
    column: int
    stream: int
    path: Path
