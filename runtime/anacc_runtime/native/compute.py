"""Lowers the instructions that compute: crossbar layers, and vectors from vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Const, Float16Array, Format, Instr, Slice
from anacc_runtime.crossbar import Crossbar, Region
from anacc_runtime.native.bindings import Bindings
from anacc_runtime.native.draft import CONSTANTS16, CONSTANTS32, Draft
from anacc_runtime.native.layers import LayerStep
from anacc_runtime.native.operations import Index, Operand, TileCall, Vector
from anacc_runtime.native.storage import Nest, Offsets, Reference
from anacc_runtime.native.support import Unsupported
from anacc_runtime.native.tiles import TileSpec
from anacc_runtime.plan import Step

# A window in more pieces than this, or in smaller ones, is copied before a crossbar reads it.
MAX_RUNS = 4096
MIN_RUN = 4


class Compute:
    """Emits the operations of one stream that compute.

    Args:
        image: the program.
        number: of the stream.
        draft: where operations go.
        bindings: the registers of the stream.
    """

    def __init__(self, image: Image, number: int, draft: Draft, bindings: Bindings) -> None:
        self.crossbar = Crossbar()
        self._image = image
        self._number = number
        self._draft = draft
        self._bindings = bindings
        self._formats = [register.format for register in image.code.streams[number].registers]

    def execute(self, step: Step, targets: list[Reference], nest: Nest) -> None:
        """Emit a layer, or an instruction that computes a register.

        Args:
            step: it.
            targets: where its results go, in the order of `step_writes`.
            nest: the loops around it.
        """
        if isinstance(step, LayerStep):
            self._layer(step, targets, nest)
        else:
            self._vector(step.instr, targets[0], nest)

    def _layer(self, step: LayerStep, targets: list[Reference], nest: Nest) -> None:
        layer = step.layer
        x, order = self._input(layer.x)
        addends = [self._bindings.together(source) for source, _ in layer.addends]
        remaining = iter(targets)
        value = next(remaining) if layer.value is not None else None
        codes = next(remaining) if layer.codes is not None else None
        region = Region(layer.row, layer.column, layer.x.length, layer.columns)
        weights = self.crossbar.codes(self._image, region)
        if order is not None:
            weights = weights[order]
        if weights.strides[1] != weights.itemsize:
            weights = np.ascontiguousarray(weights)
        runs = x.runs()
        start = min(offset for offset, _ in runs)
        if start < 0:  # rows lie backwards
            runs = tuple((offset - start, length) for offset, length in runs)
            x = replace(x, base=x.base + start)
        activation = layer.activation
        if isinstance(activation, tuple):
            low, high = activation
            activation = float(np.float16(low)), float(np.float16(high))
        spec = TileSpec(
            codes=weights,
            adc=self._image.code.adcs[layer.adc],
            scale=self._columns(layer.scale, layer.columns),
            offset=None if layer.offset is None else self._columns(layer.offset, layer.columns),
            addends=tuple(
                (
                    self._formats[source.register],
                    None if factor is None else self._columns(factor, layer.columns),
                )
                for source, factor in layer.addends
            ),
            activation=activation,
            runs=runs,
            nonnegative=x.storage.nonnegative,
            row=layer.row,
            column=layer.column,
            stream=self._number,
            path=step.path,
        )
        self._draft.tiles.append(spec)
        operand = self._draft.operand
        self._draft.emit(
            TileCall(
                tile=len(self._draft.tiles) - 1,
                x=operand(x, nest),
                addends=tuple(operand(each, nest) for each in addends),
                value=None if value is None else operand(value, nest),
                codes=None if codes is None else operand(codes, nest),
                position=_index(nest, sequential=False),
                time=_index(nest, sequential=True),
            )
        )
        if layer.value is not None and value is not None:
            self._bindings.bind(layer.value, value)
        if layer.codes is not None and codes is not None:
            self._bindings.bind(layer.codes, codes)
            codes.storage.nonnegative &= activation == "relu" or (
                isinstance(activation, tuple) and activation[0] >= 0
            )

    def _input(self, source: Slice) -> tuple[Reference, Offsets | None]:
        """Where a crossbar finds its input: also in pieces, if they are not many or small.

        Returns:
            The input, and the row of each of its elements where that is another order: sums do not
            depend on it, so elements are taken in the order in which they lie in memory.
        """
        reference, order = self._bindings.locate(source), None
        if reference.dims and reference.whole:
            reference, order = reference.in_memory_order()
        pieces = reference.piece_count if reference.dims else 1
        if pieces > MAX_RUNS or pieces * MIN_RUN > max(reference.length, MIN_RUN):
            return self._bindings.gather(source), None
        return reference, order

    def _vector(self, instr: Instr, target: Reference, nest: Nest) -> None:
        """Emit an instruction of which the first operand is the register that it writes."""
        dst, *operands = instr.operands
        if instr.op == "mvm" or not isinstance(dst, Slice):
            raise Unsupported(f"`{instr.op}` stands alone")
        sources: list[Operand] = []
        broadcast: list[bool] = []
        numbers: list[float] = []
        nonnegative = False
        vectors = 1
        for operand in operands:
            if isinstance(operand, Slice):
                reference = self._bindings.together(operand)
                nonnegative = instr.op == "maximum" and reference.storage.nonnegative
                vectors = operand.length // dst.length
                sources.append(self._draft.operand(reference, nest))
                broadcast.append(False)
            elif isinstance(operand, Const):
                pool = CONSTANTS32 if instr.op == "average" else CONSTANTS16
                item = 4 if instr.op == "average" else 2
                loops, axes = nest.split(tuple(stride * item for stride in operand.strides))
                sources.append(Operand(pool, operand.base * item, loops, axes))
                broadcast.append(operand.length == 1)
            elif isinstance(operand, int | float):
                numbers.append(operand)
        low, high = numbers if instr.op == "clamp" else (0.0, 0.0)
        first = operands[0]
        self._draft.emit(
            Vector(
                op=instr.op,
                target=self._draft.operand(target, nest),
                sources=tuple(sources),
                broadcast=tuple(broadcast),
                format=self._formats[first.register] if isinstance(first, Slice) else Format.INT8,
                length=dst.length,
                vectors=vectors,
                low=low,
                high=high,
                table=int(numbers[0]) if instr.op == "lookup" else 0,
            )
        )
        target.storage.nonnegative &= nonnegative
        self._bindings.bind(dst, target)

    def _columns(self, const: Const, columns: int) -> Float16Array:
        """One constant a column."""
        values = self._image.constants16[const.base : const.base + const.length]
        return np.ascontiguousarray(np.broadcast_to(values, (columns,)))


def _index(nest: Nest, sequential: bool) -> Index:
    """The row-major index over the loops of a nest that are sequential, or parallel."""
    strides, step = [0] * len(nest.counts), 1
    for loop in reversed(range(len(nest.counts))):
        if nest.sequential[loop] == sequential:
            strides[loop] = step
            step *= nest.counts[loop]
    loops, axes = nest.split(tuple(strides))
    return Index(0, loops, axes)
