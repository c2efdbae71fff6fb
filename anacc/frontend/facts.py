"""What is known of each tensor for every size of the batch.

Shape inference runs at several sizes.  An axis that follows the size is the batch; a tensor whose
shape follows it in another way (k times the batch, at most k, the batch on two axes) has no shape
here, and so belongs to the host.  Values that are the same at all sizes are constants; a value
that repeats one sample along the batch (a state of zeros) is known by that sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto

from anacc.frontend.external import Array
from anacc.frontend.inference import Inference, Known, known_array, known_input
from anacc.frontend.ordering import reads
from anacc.ir import BATCH, TensorType
from anacc.ir.module import Dim

_FREE_SIZES = (2, 3, 1, 1031)
"""One is where broadcasting and squeezing differ; a large prime is above the bounds (`Min` with a
number, a slice that ends) and apart from the other axes that models have."""
_LARGE_VALUE = 1 << 22
"""Bytes of the largest value that is computed at sizes above those of `_SMALL`."""
_SMALL = 3


@dataclass(frozen=True)
class Input:
    """An input of the model: ONNX element type, and shape of integers and names of symbols.

    One that is no tensor has its type in `kind`, and neither elements nor axes.
    """

    name: str
    element: int
    shape: tuple[Dim, ...]
    kind: TypeProto | None = None

    def known(self, size: int | None) -> Known:
        """Its type, for a size of the axes that are no integers; None: these are open."""
        if self.kind is not None:
            return Known(self.kind)
        return known_input(
            self.element, [dim if isinstance(dim, int) else size for dim in self.shape]
        )


class Obstacle(Enum):
    """What keeps a branch or a loop from becoming the nodes of its inner graph."""

    CONDITION = auto()
    LENGTH = auto()
    EMPTY = auto()
    COPIES = auto()
    SIZE = auto()
    REFUSED = auto()


@dataclass(frozen=True)
class Facts:
    """What is known of the tensors of a model.

    Attributes:
        types: of every tensor.
        values: tensors that are constant.
        samples: tensors that repeat one sample along the batch: the sample, batch axis of size 1.
        notes: why a tensor has no known shape, as a predicate of the tensor.
        batched: whether the model has a batch axis at all.
        whole: why branches and loops remain, by the name of the node.
    """

    types: Mapping[str, TensorType]
    values: Mapping[str, Array]
    samples: Mapping[str, Array] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    batched: bool = False
    whole: Mapping[str, Obstacle] = field(default_factory=dict)


class Lockstep:
    """Inference at several sizes of the batch, node after node.

    Args:
        model: nodes in topological order, without initialisers.
        constants: as `fold_constants` gives them.
        inputs: with `BATCH` where the batch is, and integers elsewhere.
        fixed: the size of the batch if the model fixes it; targets of reshapes that name it are
            then taken to mean the batch.
        asks: whether ONNX Runtime is asked for types that ONNX does not infer.
    """

    def __init__(
        self,
        model: ModelProto,
        constants: Mapping[str, Known],
        inputs: list[Input],
        fixed: int | None = None,
        *,
        asks: bool = True,
    ) -> None:
        batched = any(BATCH in entry.shape for entry in inputs)
        # A batch of fixed size need not follow the pattern at any other size than its own; one
        # more size shows where it is.
        several = _FREE_SIZES if fixed is None else (fixed, fixed + 1)
        self.sizes = several if batched else ()
        self._fixed = fixed
        self._inferences = [
            Inference(
                model,
                constants,
                _sized(inputs, size),
                strict=batched,
                most=_LARGE_VALUE if fixed is None and size > _SMALL else None,
                asks=asks,
            )
            for size in self.sizes or (0,)
        ]

    def visit(self, node: NodeProto) -> None:
        """Learn about the outputs of a node.

        Raises:
            DoesNotFit, ModelError: as `Inference.visit`.
        """
        if self._visit_constant(node):
            return
        for size, inference in zip(self.sizes or (0,), self._inferences, strict=True):
            seen: Mapping[str, Known] = inference.known
            if self._fixed is not None and self.sizes:
                seen = _without_baked_batch(node, seen, self._fixed, size)
            inference.visit(node, seen)

    def _visit_constant(self, node: NodeProto) -> bool:
        """Compute a node once if it reads only what is known alike; whether it gave values."""
        first, *others = self._inferences
        for name in reads(node):
            item = first.known[name]
            if item.value is None or any(other.known[name] is not item for other in others):
                return False
        first.visit(node)
        results = [name for name in node.output if name]
        if any(first.known[name].value is None for name in results):
            for name in results:
                del first.known[name]
            return False
        for other in others:
            other.known.update((name, first.known[name]) for name in results)
        return True

    def add(self, name: str, value: Array) -> None:
        """Make an array a constant."""
        item = known_array(value)
        for inference in self._inferences:
            inference.known[name] = item

    def value(self, name: str) -> Array | None:
        """The value of a tensor that is the same at all sizes."""
        found = [inference.known[name].value for inference in self._inferences]
        first = found[0]
        alike = all(
            first is not None and array is not None and _same(first, array) for array in found
        )
        return first if alike else None

    def shape(self, name: str) -> tuple[Dim, ...] | None:
        """The shape of a tensor, None if it is unknown or mixes the batch with other axes."""
        return _common_shape([i.known[name].shape for i in self._inferences], self.sizes)[0]

    def facts(self) -> Facts:
        """What holds at all sizes."""
        return _combine([inference.known for inference in self._inferences], self.sizes)


def gather_facts(
    model: ModelProto,
    constants: Mapping[str, Known],
    inputs: list[Input],
    fixed: int | None = None,
) -> Facts:
    """Infer what is known of every tensor.

    Args:
        model, constants, inputs, fixed: as `Lockstep`.

    Raises:
        DoesNotFit: if the model cannot run at another size of the batch.
    """
    lockstep = Lockstep(model, constants, inputs, fixed)
    for node in model.graph.node:
        lockstep.visit(node)
    return lockstep.facts()


def _sized(inputs: list[Input], size: int) -> dict[str, Known]:
    return {entry.name: entry.known(size) for entry in inputs}


def _without_baked_batch(
    node: NodeProto, known: Mapping[str, Known], fixed: int, size: int
) -> Mapping[str, Known]:
    """The target of a reshape that starts with the fixed batch, for another size of it; or the
    constant that an exporter has expanded to the fixed batch, and expands again."""
    if node.op_type not in ("Expand", "Reshape") or len(node.input) < 2:
        return known
    before, target = known[node.input[0]].shape, known[node.input[1]].value
    if node.op_type == "Expand":
        return {**known, node.input[0]: _one_sample(known[node.input[0]], target, fixed, size)}
    if not before or before[0] != size or target is None or target[:1].tolist() != [fixed]:
        return known
    return {**known, node.input[1]: known_array(np.array([size, *target[1:]], target.dtype))}


def _one_sample(item: Known, target: Array | None, fixed: int, size: int) -> Known:
    """One sample of a constant that repeats it along a fixed batch, where `target` has another
    size; else the tensor itself."""
    if item.value is None or target is None or item.value.ndim != target.size:
        return item
    for axis, (before, after) in enumerate(zip(item.value.shape, target.tolist(), strict=True)):
        if before == fixed and after == size != fixed:
            sample = np.take(item.value, [0], axis)
            return known_array(sample) if _same_along(item.value, sample) else item
    return item


def _combine(found: Sequence[Mapping[str, Known]], sizes: tuple[int, ...]) -> Facts:
    """What holds at all sizes; no sizes where the model has no batch."""
    types: dict[str, TensorType] = {}
    values: dict[str, Array] = {}
    samples: dict[str, Array] = {}
    notes: dict[str, str] = {}
    for name, first in found[0].items():
        each = [known[name] for known in found]
        shape, note = _common_shape([item.shape for item in each], sizes)
        types[name] = TensorType(first.dtype, shape)
        if note:
            notes[name] = note
        if first.value is None or shape is None:
            continue
        arrays = [item.value for item in each]
        if BATCH in shape:
            sample = np.take(first.value, [0], axis=shape.index(BATCH))
            if _repeats(arrays, sample, sizes):
                samples[name] = sample
        elif all(array is not None and _same(first.value, array) for array in arrays):
            values[name] = first.value
    return Facts(types, values, samples, notes, bool(sizes))


def _common_shape(
    shapes: Sequence[tuple[int, ...] | None], sizes: tuple[int, ...]
) -> tuple[tuple[Dim, ...] | None, str]:
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None, "has a shape that depends on the data"
    if len({len(shape) for shape in known}) > 1:
        return None, "has a rank that depends on the batch"
    common: list[Dim] = []
    for dims in zip(*known, strict=True):
        if len(set(dims)) == 1:
            common.append(dims[0])
        elif dims == sizes and BATCH not in common:
            common.append(BATCH)
        else:
            return None, "mixes the batch with other axes"
    return tuple(common), ""


def _repeats(arrays: Sequence[Array | None], sample: Array, sizes: tuple[int, ...]) -> bool:
    """Whether arrays repeat a sample; where one is too large to be computed, the others judge."""
    return all(
        size > _SMALL if array is None else _same_along(array, sample)
        for array, size in zip(arrays, sizes, strict=True)
    )


def _same(one: Array, two: Array) -> bool:
    if one is two:
        return True
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def _same_along(whole: Array, sample: Array) -> bool:
    return bool(np.array_equal(whole, np.broadcast_to(sample, whole.shape)))
