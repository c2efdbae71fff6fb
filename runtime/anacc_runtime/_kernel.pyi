"""The native kernel of the simulator: one crossbar layer over many positions.

The specification is `anacc_runtime.arithmetic`; every path gives the same bits.  The global
interpreter lock is released while `run` works.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

def run(
    x: npt.NDArray[np.int8],
    weights: bytes,
    adc: tuple[int, int, int, int],
    scale: npt.NDArray[np.float16],
    offset: npt.NDArray[np.float16] | None,
    addends: tuple[
        tuple[npt.NDArray[np.int8] | npt.NDArray[np.float16], npt.NDArray[np.float16] | None], ...
    ],
    activation: str | tuple[float, float] | None,
    value: npt.NDArray[np.float16] | None,
    codes: npt.NDArray[np.int8] | None,
    isa: str | None = None,
) -> None:
    """Apply a crossbar, its converters and its local digital unit to every position.

    y = h(count * scale + offset), or h(count * scale) without an offset; then for each addend in
    order y = h(y + a) or y = h(y + h(a * its scale)); then the activation.

    Args:
        x: (positions, rows) input codes; the rows may be strided.
        weights: the result of `pack`.
        adc: phases (1 or 4), multiplier, shift and maximum of `anacc.program.model.Adc`.
        scale: (columns,).
        offset: (columns,) or None.
        addends: at most four pairs of an array (positions, columns), int8 or binary16, and its
            scale (columns,) or None.
        activation: None, "relu", or the bounds (low, high) of a clamp.
        value: (positions, columns) or None: receives y.
        codes: (positions, columns) or None: receives clamp(rint(y), -127, 127).
        isa: one of `isas()`; None: the first of them.

    Raises:
        ValueError: an argument has the wrong shape or type, or is out of range; nothing is
            written then.
    """

def pack(codes: npt.NDArray[np.int8], /) -> bytes:
    """Weight codes (rows, columns) in the order in which `run` reads them.

    Raises:
        ValueError: there are no codes, more than 65,536 rows or columns, or one is -128.
    """

def isas() -> tuple[str, ...]:
    """The paths that this CPU can run, the fastest first: "avx2", "portable"."""
