"""The grid of a quantised tensor (integer type, scale, zero point), and the chip's codes for it.

The chip's codes are -127 ... 127.  A tensor of 8 bits whose zero point is small keeps its own scale
and zero point, as a code, up to `anacc_passes.quantise`, which decides whether crossbars can take
it.  Any other tensor gets symmetric codes, whose range calibration chooses: never beyond that of
the tensor, for the model itself saturates there.
"""

from __future__ import annotations

from dataclasses import dataclass

from anacc.ir.graph_shapes import INTEGERS
from anacc_passes.ranges import LARGEST_CODE

LARGEST_ZERO = LARGEST_CODE // 4 + 1
"""The largest zero point that a tensor keeps, 32, a quarter of the range.  Every row is driven by
it for a zero, and the converter has to hold that charge; beyond a quarter of the range this costs
more of the converter's range than the one bit that symmetric codes can lose."""


@dataclass(frozen=True)
class Grid:
    """Integers of an element type: real = (integer - zero) * scale."""

    dtype: str
    scale: float
    zero: int

    @property
    def low(self) -> float:
        """The least real number."""
        return (INTEGERS[self.dtype][0] - self.zero) * self.scale

    @property
    def high(self) -> float:
        """The largest real number."""
        return (INTEGERS[self.dtype][1] - self.zero) * self.scale

    @property
    def ends_at_zero(self) -> bool:
        """Whether an end of the range is 0: saturating there does what a relu does."""
        return self.zero in INTEGERS[self.dtype]

    @property
    def codes(self) -> tuple[float, int] | None:
        """Scale and zero point of the codes that the tensor keeps; None if it gets others."""
        low, high = INTEGERS[self.dtype]
        zero = self.zero - (low + 128)
        return (self.scale, zero) if high - low == 255 and abs(zero) <= LARGEST_ZERO else None


def symmetric(scale: float, zero: int) -> float:
    """The scale of symmetric codes for the range of 8-bit codes with a zero point."""
    return scale if zero == 0 else scale * max(128 + zero, 127 - zero) / LARGEST_CODE
