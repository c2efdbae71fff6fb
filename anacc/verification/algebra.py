"""Fingerprints: 64-bit numbers that say what an element was computed from.

Every element of an input gets a random number of its own, and every weight matrix random odd
factors K for its rows and C for its columns.  From there on arithmetic is that of integers modulo
2^64, in which

- a product's column m is C[m] * sum over rows r of K[r] * x[r];
- a sum is the sum, padding and constants are 0;
- a product of two elements is s(a) * s(b), and a maximum is the sum of s'(x), where s and s' are
  fixed bijections with s(0) = 0;
- a function of one element (scale, offset, activation, quantisation, table) leaves it as it is, and
  so does a sum or product of two functions of the same element.

The program and the model are evaluated separately.  If both compute the same element from the same
inputs by the same products, their fingerprints are equal whatever the order.  If not, say a
product is missing, done twice, or takes another element, the difference is a polynomial in the
random numbers that is not zero; that it vanishes by chance for one element has a probability of the
order of 2^-60 (Schwartz and Zippel, for numbers that are odd or spread evenly).  Scales and
offsets are not seen: `codes` and `scales` look at them.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Prints = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15


def mixed(values: Prints, rounds: tuple[int, int] = (30, 27)) -> Prints:
    """A bijection of 64 bits with mixed(0) = 0 (the finalizer of SplitMix64, Steele et al.)."""
    found = values ^ (values >> np.uint64(rounds[0]))
    found = found * np.uint64(0xBF58476D1CE4E5B9)
    found = found ^ (found >> np.uint64(rounds[1]))
    found = found * np.uint64(0x94D049BB133111EB)
    return np.asarray(found ^ (found >> np.uint64(31)))


def drawn(name: str, indices: npt.NDArray[np.int64]) -> Prints:
    """Random numbers that belong to a name and an index each; the same in every run."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    start = np.uint64(seed) + indices.astype(np.uint64) * np.uint64(_GOLDEN)
    return mixed(start + np.uint64(_GOLDEN))


def odd(name: str, indices: npt.NDArray[np.int64]) -> Prints:
    """Random odd numbers, likewise."""
    return drawn(name, indices) | np.uint64(1)


def elements(tensor: str, shape: tuple[int, ...]) -> Prints:
    """The fingerprints of the elements of an input, of its shape without the batch."""
    size = int(np.prod(shape, dtype=np.int64))
    return drawn(f"tensor {tensor}", np.arange(size, dtype=np.int64)).reshape(shape)


def row_factors(layer: str, rows: npt.NDArray[np.int64]) -> Prints:
    """K of some rows of a layer's matrix."""
    return odd(f"row {layer}", rows)


def column_factors(layer: str, columns: npt.NDArray[np.int64]) -> Prints:
    """C of some columns of a layer's matrix."""
    return odd(f"column {layer}", columns)


def product(left: Prints, right: Prints) -> Prints:
    """Of two elements; of two functions of one element, that element."""
    return np.where(left == right, left, mixed(left) * mixed(right))


def total(left: Prints, right: Prints) -> Prints:
    """The sum of two elements; of two functions of one element, that element."""
    return np.where(left == right, left, left + right)


def largest(window: Prints, axis: int) -> Prints:
    """The maximum along an axis."""
    if window.shape[axis] == 1:
        return window.squeeze(axis)
    return np.asarray(mixed(window, (29, 32)).sum(axis=axis, dtype=np.uint64))
