"""The native kernel alone: a large dense layer on crossbars of 256x256, with converters, partial
sums, ReLU and requantisation, from int8 codes to int8 codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc_runtime._kernel import Engine as KernelEngine
from anacc_runtime._kernel import Tile, isas
from anacc_runtime.native.encode import encode
from anacc_runtime.native.operations import (
    Group,
    Index,
    Operand,
    Region,
    RegionKind,
    Schedule,
    TileCall,
)
from bench.cases import Case, Engine
from bench.engines import Figures, Unavailable
from bench.engines.timing import timed
from bench.networks import DenseLayer

SIDE = 256  # of a crossbar
CODE = 64  # int16 conductances are in 1/64 code
PROGRAMMING_ERROR = 2.0  # codes: makes both devices of a pair conduct
MAXIMUM = 2047  # of a converter
SHIFT = 30
ANYWHERE = Index(0, (), ())
# The regions of the schedule: inputs, results, and two for partial sums, used in turns.
INPUTS, RESULTS, PARTIAL = 0, 1, (2, 3)


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure `Engine.run` on one thread; the options are `phases` and `sign`."""
    layer = case.layers
    if not isinstance(layer, DenseLayer) or case.threads != 1:
        raise Unavailable("does not have this case")
    if engine.isa and engine.isa not in isas():
        raise Unavailable(f"no {engine.isa} here")
    if engine.isa == isas()[0]:
        raise Unavailable("measured above")
    random = np.random.default_rng(0)
    tiles = tuple(_tiles(layer, engine, random))
    constants = np.zeros(0, np.float16), np.zeros(0, np.float32)
    kernel = KernelEngine(encode(_schedule(layer)), tiles, *constants, (), engine.isa or None)
    low = 0 if engine.options["sign"] == "nonnegative" else -127
    inputs = random.integers(low, 128, (case.batch, layer.rows), np.int8)
    results = np.zeros((case.batch, layer.columns), np.int8)
    return timed(lambda: kernel.run((inputs, results), 0, case.batch, case.batch))


def _tiles(layer: DenseLayer, engine: Engine, random: np.random.Generator) -> Iterator[Tile]:
    """The tiles of each column of crossbars, the first row first."""
    # A converter that reaches its maximum at four standard deviations of the sum of random codes.
    deviation = np.sqrt(SIDE) * (127**2 / 3)
    adc = int(engine.options["phases"]), round(2**SHIFT * MAXIMUM / (4 * deviation)), SHIFT, MAXIMUM
    scale = np.full(SIDE, 1 / 64, np.float16)
    last_row = layer.rows // SIDE - 1
    for _ in range(layer.columns // SIDE):
        for row in range(last_row + 1):
            yield Tile(
                _weights(engine.cells, random),
                adc,
                scale,
                scale if row == 0 else None,
                (("binary16", None),) if row else (),
                "relu" if row == last_row else None,
                ((0, SIDE),),
                engine.options["sign"] == "nonnegative",
                engine.isa or None,
            )


def _weights(cells: str, random: np.random.Generator) -> Any:
    """Random weights of a crossbar: codes, or differences and sums of pairs of conductances."""
    codes = random.integers(-127, 128, (SIDE, SIDE), np.int8)
    if cells == "int8":
        return codes

    def programmed(target: npt.NDArray[np.int8]) -> npt.NDArray[np.int16]:
        error = random.normal(scale=PROGRAMMING_ERROR, size=target.shape)
        return np.rint(np.maximum((target + error) * CODE, 0)).astype(np.int16)

    positive, negative = programmed(np.maximum(codes, 0)), programmed(np.maximum(-codes, 0))
    return positive - negative, positive + negative


def _schedule(layer: DenseLayer) -> Schedule:
    """One group: for a block of inputs all tiles, partial sums staying with the block."""
    rows, columns = layer.rows // SIDE, layer.columns // SIDE
    calls: list[TileCall] = []
    for column in range(columns):
        for row in range(rows):
            partial, last = _operand(PARTIAL[row % 2]), row == rows - 1
            calls.append(
                TileCall(
                    tile=len(calls),
                    x=_operand(INPUTS, row * SIDE),
                    addends=(_operand(PARTIAL[(row + 1) % 2]),) if row else (),
                    value=None if last else partial,
                    codes=_operand(RESULTS, column * SIDE) if last else None,
                    position=ANYWHERE,
                    time=ANYWHERE,
                )
            )
    half_bytes = 2
    regions = (
        Region(RegionKind.EXTERNAL, layer.rows, 0),
        Region(RegionKind.EXTERNAL, layer.columns, 1),
        Region(RegionKind.LOCAL, SIDE * half_bytes, 0),
        Region(RegionKind.LOCAL, SIDE * half_bytes, SIDE * half_bytes),
    )
    return Schedule(regions, (), (Group((), tuple(calls)),))


def _operand(region: int, base: int = 0) -> Operand:
    return Operand(region, base, (), ())
