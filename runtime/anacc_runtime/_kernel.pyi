"""The native kernel of the simulator: tiles, and the engine that executes schedules.

The specification is `anacc_runtime.arithmetic`; every instruction set gives the same bits.  The
global interpreter lock is released while runs work.  All arguments are checked: whatever is passed,
no memory is touched that an array or an object here does not own.
"""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from anacc.program.model import Float16Array, Float32Array, Int8Array

MAX_NOISY_ROWS: int
"""Rows of the tallest tile that can have noise."""

BLOCK: int
"""Positions that are worked on at a time."""

@final
class Tile:
    """A crossbar region with its converters and its local digital unit, weights packed.

    y = h(count * scale + offset), or h(count * scale) without an offset; then for each addend in
    order y = h(y + a) or y = h(y + h(a * its scale)); then the activation.
    """

    def __new__(
        cls,
        weights: Int8Array | npt.NDArray[np.int16] | tuple[npt.NDArray[np.int16], ...],
        adc: tuple[int, int, int, int],
        scale: Float16Array,
        offset: Float16Array | None,
        addends: tuple[tuple[str, Float16Array | None], ...],
        activation: str | tuple[float, float] | None,
        runs: tuple[tuple[int, int], ...],
        nonnegative: bool,
        isa: str | None = None,
    ) -> Tile:
        """Make a tile.

        Args:
            weights: (rows, columns); the rows may be strided.  int8: codes in [-127, 127].  int16:
                conductance differences g+ - g- in 1/64 code, one device of each pair being 0.  A
                pair of int16: differences, and sums g+ + g-.
            adc: phases (1 or 4), multiplier, shift and maximum of `anacc.program.model.Adc`.
            scale: (columns,).
            offset: (columns,), or None.
            addends: at most four pairs of a format, "int8" or "binary16", and a scale (columns,) or
                None.
            activation: None, "relu", or the bounds (low, high) of a clamp.
            runs: offset and length in bytes of each piece of an input vector; the lengths add up to
                the rows.
            nonnegative: whether the inputs are known to be none below 0.
            isa: one of `isas()`; None: the first of them.

        Raises:
            ValueError: an argument has the wrong shape or type, or is out of range.
        """

    def run(
        self,
        x: Int8Array,
        addends: tuple[Int8Array | Float16Array, ...],
        value: Float16Array | None,
        codes: Int8Array | None,
        noise: tuple[tuple[int, int], float, npt.NDArray[np.uint32], npt.NDArray[np.uint32], int]
        | None = None,
    ) -> None:
        """Apply the tile to vectors.

        Args:
            x: (positions, bytes) that the runs refer to; rows may be strided here and below.
            addends: (positions, columns) each.
            value: (positions, columns) or None: receives y.
            codes: (positions, columns) or None: receives clamp(rint(y), -127, 127).
            noise: key, deviation in 1/64 code, sample and position for each of the vectors
                (positions,), and time step, of `anacc_runtime.noise.conversion_noise`; or None.

        Raises:
            ValueError: an argument has the wrong shape or type, or is out of range; nothing is
                written then.
        """

@final
class Engine:
    """A schedule with its tiles and constants, ready to run."""

    def __new__(
        cls,
        words: npt.NDArray[np.int64],
        tiles: tuple[Tile, ...],
        constants16: Float16Array,
        constants32: Float32Array,
        curves: tuple[tuple[Float16Array, float, bool, bool], ...],
        isa: str | None = None,
    ) -> Engine:
        """Make an engine.

        Args:
            words: the schedule, see `anacc_runtime.native.encode`.
            tiles: those that it calls, made for the same instruction set.
            constants16, constants32: (n,) the constants of the program; they are copied.
            curves: samples, limit, whether odd, and whether interpolated of each function table.
            isa: one of `isas()`; None: the first of them.

        Raises:
            ValueError: an argument has the wrong type, or the schedule is none that could run.
        """

    @property
    def work(self) -> float:
        """What the schedule is for one sample, roughly in multiply-adds."""

    def run(
        self,
        externals: tuple[npt.NDArray[np.generic], ...],
        first: int,
        last: int,
        capacity: int,
        first_sample: int = 0,
        noise: tuple[npt.NDArray[np.uint32], Float32Array] | None = None,
        crew: Crew | None = None,
    ) -> None:
        """Execute the schedule for samples [first, last); several threads may at once.

        Args:
            externals: the arrays of the EXTERNAL regions, contiguous, the batch outermost; writable
                where the schedule writes.
            first, last: the samples of the arrays.
            capacity: samples in work at a time, at most; the results do not depend on it.
            first_sample: what the arrays' first sample is to the noise.
            noise: for each tile a key (tiles, 2) and a deviation in 1/64 code (tiles,); or None.
            crew: of threads that take part.  It is closed at the end.

        Raises:
            ValueError: an argument has the wrong shape or type, or is out of range; nothing is
                written then.
            MemoryError: there is no memory for so many samples.
        """

@final
class Crew:
    """Threads that share one run of an engine.  The results do not depend on it."""

    def __new__(cls, engine: Engine, threads: int, least_work: int = ...) -> Crew:
        """Make a crew for a run of an engine by so many threads, its caller among them.

        Args:
            engine: whose run it is.
            threads: their number.
            least_work: multiply-adds that a block must be to be given to another thread.

        Raises:
            ValueError: there are no threads, or `least_work` is negative.
        """

    def help(self) -> None:
        """Take part in the run until it ends; to be called in a thread of its own."""

    def close(self) -> None:
        """Send helpers away; the end of the run does it too."""

def draw(
    key: tuple[int, int],
    deviation: float,
    phase: int,
    sample: int,
    position: int,
    time: int,
    first: int,
    count: int,
    isa: str | None = None,
) -> bytes:
    """Noise of one conversion, see `anacc_runtime.noise.conversion_noise`: `count` int32.

    Raises:
        ValueError: an argument is out of range.
    """

def isas() -> tuple[str, ...]:
    """The instruction sets that this CPU can run, the fastest first, such as "avx512", "avx2" and
    "portable"."""
