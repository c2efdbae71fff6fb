"""Constants in binary16, the format of LDPUs and GDPUs: none is rounded out of range unseen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import CompileError

LARGEST = 65504.0
"""The largest finite binary16 number; the chip's arithmetic saturates there."""


def binary16(values: npt.ArrayLike, where: str) -> npt.NDArray[np.float16]:
    """The nearest binary16 numbers; what is too small for one becomes 0.

    Raises:
        CompileError: if a value is not finite or beyond the range.
    """
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise CompileError(
            f"{where}: a weight, scale or bias is not finite", "check the model's weights"
        )
    if array.size and np.abs(array).max() > LARGEST:
        raise CompileError(
            f"{where}: the constant {np.abs(array).max():.3g} is beyond the range of binary16",
            "calibrate with data that cover the range of the layer",
        )
    return array.astype(np.float16)


def headroom(*values: Any) -> float:
    """The least power of two, at least 1, by which all values (arrays or numbers) must be divided
    to lie within the range of binary16; values that are not finite do not count."""
    finite = [np.abs(array[np.isfinite(array)]) for array in map(np.atleast_1d, values)]
    largest = max((float(array.max()) for array in finite if array.size), default=0.0)
    return 2.0 ** max(0, math.ceil(math.log2(largest / LARGEST))) if largest > 0 else 1.0
