"""The native executor: like the reference, but whole crossbar layers run in the C kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Const, Float16Array, Int8Array
from anacc.program.walk import Path
from anacc_runtime import _kernel
from anacc_runtime.crossbar import Crossbar, Region
from anacc_runtime.fuse import Layer, LayerStep, fuse
from anacc_runtime.interpreter import Interpreter, Work
from anacc_runtime.plan import Plan, Step, plan
from anacc_runtime.reference import MEMORY, Executor
from anacc_runtime.registers import Array, Nest
from anacc_runtime.threads import Threads

# Positions per kernel call are a multiple of this where threads share them, and a thread gets this
# many products at least: waking it costs as much as some 100,000.
BLOCK = 48
PRODUCTS = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """The arguments of the kernel that do not change from call to call."""

    weights: bytes
    adc: tuple[int, int, int, int]
    scale: Float16Array
    offset: Float16Array | None
    addend_scales: tuple[Float16Array | None, ...]
    activation: str | tuple[float, float] | None


class NativeExecutor(Executor):
    """Executes a program with the C kernel; gives the bits of the reference.

    Args:
        image: a program that the loader has checked.
        memory: see `anacc_runtime.reference.Executor`.
        isa: the path of the kernel, one of `anacc_runtime._kernel.isas()`; None: the fastest.

    Raises:
        ProgramError: the streams have no order in which they can run.
    """

    def __init__(self, image: Image, memory: int = MEMORY, isa: str | None = None) -> None:
        super().__init__(image, memory)
        self.isa = isa
        # By the stream and the path of the layer's mvm.  What is programmed there is always the
        # same, for `program` stands in no loop.
        self._prepared: dict[tuple[int, Path], Prepared] = {}
        self._threads = Threads()

    def close(self) -> None:
        """End the threads; a later run starts them again."""
        self._threads.close()

    def plan(self, stream: int, feedback: frozenset[int]) -> tuple[Plan, ...]:
        """The plans of a stream with each crossbar layer as one step."""
        code = self.image.code.streams[stream]
        return tuple(fuse(part, code) for part in plan(code, feedback))

    def interpreter(self, work: Work, stream: int) -> Interpreter:
        """An interpreter that knows layers."""
        return _NativeInterpreter(self, work, stream)

    def prepared(self, stream: int, step: LayerStep, crossbar: Crossbar) -> Prepared:
        """The unchanging arguments of a stream's layer on a crossbar, made at its first use."""
        key = stream, step.path
        found = self._prepared.get(key)
        if found is None:
            # Two threads may both come here: they make the same, and one of the two is kept.
            found = self._prepared.setdefault(key, self._prepare(step.layer, crossbar))
        return found

    def _prepare(self, layer: Layer, crossbar: Crossbar) -> Prepared:
        region = Region(layer.row, layer.column, layer.x.length, layer.columns)
        codes = np.ascontiguousarray(crossbar.codes(self.image, region))
        adc = self.image.code.adcs[layer.adc]
        activation = layer.activation
        if isinstance(activation, tuple):
            low, high = activation
            activation = float(np.float16(low)), float(np.float16(high))
        return Prepared(
            _kernel.pack(codes),
            (adc.phases, adc.multiplier, adc.shift, adc.maximum),
            self._constants(layer.scale, layer.columns),
            None if layer.offset is None else self._constants(layer.offset, layer.columns),
            tuple(
                None if scale is None else self._constants(scale, layer.columns)
                for _, scale in layer.addends
            ),
            activation,
        )

    def map(self, function: Callable[[slice], None], count: int, cost: int, threads: int) -> None:
        """Call a function on ranges that make up [0, count), on several threads where the work,
        `cost` products for each, is worth it."""
        parts = min(threads, max(1, count * cost // PRODUCTS))
        if parts == 1:
            function(slice(0, count))
            return
        size = -(-count // (parts * BLOCK)) * BLOCK
        ranges = [slice(start, min(start + size, count)) for start in range(0, count, size)]
        self._threads.map(function, ranges)

    def _constants(self, const: Const, columns: int) -> Float16Array:
        """One constant a column."""
        values = self.image.constants16[const.base : const.base + const.length]
        return np.ascontiguousarray(np.broadcast_to(values, (columns,)))


class _NativeInterpreter(Interpreter):
    """Executes `LayerStep`s in the kernel, all else like the reference."""

    def __init__(self, executor: NativeExecutor, work: Work, stream: int) -> None:
        super().__init__(work, executor.image.code.streams[stream], executor.plans[stream])
        self._executor = executor
        self._number = stream

    def execute(self, step: Step, nest: Nest) -> None:
        if isinstance(step, LayerStep):
            self._execute_layer(step, nest)
        else:
            super().execute(step, nest)

    def _execute_layer(self, step: LayerStep, nest: Nest) -> None:
        """One kernel call for all positions and samples."""
        layer = step.layer
        lead = (self.work.batch, *nest.axes)
        x = _flat(self.registers.read(layer.x, nest), lead)
        addends = [_flat(self.registers.read(source, nest), lead) for source, _ in layer.addends]
        shape = len(x), layer.columns
        value: Float16Array | None = None if layer.value is None else np.empty(shape, np.float16)
        codes: Int8Array | None = None if layer.codes is None else np.empty(shape, np.int8)
        fixed = self._executor.prepared(self._number, step, self.crossbar)

        def run(part: slice) -> None:
            _kernel.run(
                x[part],
                fixed.weights,
                fixed.adc,
                fixed.scale,
                fixed.offset,
                tuple(
                    (addend[part], scale)
                    for addend, scale in zip(addends, fixed.addend_scales, strict=True)
                ),
                fixed.activation,
                None if value is None else value[part],
                None if codes is None else codes[part],
                self._executor.isa,
            )

        self._executor.map(run, len(x), x.shape[1] * layer.columns, self.work.threads)
        if layer.value is not None and value is not None:
            self.registers.write(layer.value, value.reshape(*lead, layer.columns), nest)
        if layer.codes is not None and codes is not None:
            self.registers.write(layer.codes, codes.reshape(*lead, layer.columns), nest)


def _flat(value: Array, lead: tuple[int, ...]) -> Array:
    """(*lead, length), or broadcast to it, as (positions, length) with contiguous vectors."""
    length = value.shape[-1]
    flat = np.broadcast_to(value, (*lead, length)).reshape(int(np.prod(lead)), length)
    return flat if flat.strides[1] == flat.itemsize else np.ascontiguousarray(flat)
