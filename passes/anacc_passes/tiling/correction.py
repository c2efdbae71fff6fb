"""Bias and range correction: what a column of tiles does wrong on average is undone in the LDPU.

On calibration vectors each column gives values c (all row tiles, converted) where the exact product
is p.  Two corrections follow, both free on the chip, for the LDPU has a scale and an offset of each
column anyway [1]_:

- `bias`: the mean m of c - p is subtracted from the offset;
- `bias+range`: c is also multiplied by the least-squares factor g = cov(c, p) / var(c).

Few vectors tell little, so that each is shrunk by the share of its square that chance explains
(positive-part James-Stein): an estimate e with the variance v becomes e * max(0, 1 - v / e^2), and
none is made that is within its standard error.

References:
    .. [1] M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through
       weight equalization and bias correction", ICCV 2019, section 4.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

METHODS = ("none", "bias", "bias+range")
"""What `--correction` offers."""

Array = npt.NDArray[np.float64]


def shrunk(estimate: Array, variance: Array) -> Array:
    """The positive-part shrinkage of estimates towards 0."""
    square = np.square(estimate)
    share = np.divide(variance, square, out=np.ones_like(square), where=square > 0)
    return np.asarray(estimate * np.maximum(0.0, 1.0 - share))


def correction(
    method: str, found: Array, exact: Array, counts: npt.NDArray[Any] | None = None
) -> tuple[Array, Array]:
    """Factor and offset of each column that bring what was found nearer to what is exact.

    Args:
        method: one of `METHODS`.
        found: what the columns give, shape (n, columns).
        exact: what they should give, shape (n, columns).
        counts: which of the vectors count for each column, shape (n, columns) bool; None: all.

    Returns:
        factor and offset, both (columns,): found * factor + offset is the corrected value.
    """
    weight = np.ones_like(found) if counts is None else counts.astype(np.float64)
    number = weight.sum(axis=0)
    columns = found.shape[1]
    factor, offset = np.ones(columns), np.zeros(columns)
    usable = number >= 2
    if method == "none" or not usable.any():
        return factor, offset
    divisor = np.maximum(number, 1.0)

    def mean(values: Array) -> Array:
        return np.asarray((values * weight).sum(axis=0) / divisor)

    if method == "bias+range":
        centred, target = found - mean(found), exact - mean(exact)
        power = (np.square(centred) * weight).sum(axis=0)
        some = usable & (power > 0)
        product = (centred * target * weight).sum(axis=0)
        slope = np.divide(product, power, out=np.ones(columns), where=some)
        rest = mean(np.square(target - slope * centred))
        variance = np.divide(rest, power, out=np.full(columns, np.inf), where=some)
        factor = 1.0 + np.where(some, shrunk(slope - 1.0, variance), 0.0)
    error = exact - found * factor
    middle = mean(error)
    variance = mean(np.square(error - middle)) / divisor
    return factor, np.where(usable, shrunk(middle, variance), 0.0)


def stated(added: Array) -> dict[str, tuple[float, ...]]:
    """The attribute that says what corrections added to the offsets; none if nothing."""
    if not added.any():
        return {}
    return {"correction": tuple(float(f"{value:.5g}") for value in added.tolist())}
