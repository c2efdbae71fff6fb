"""What is known of each tensor for every size of the batch.

Shape inference runs at two sizes.  An axis that follows the size is the batch; a tensor whose
shape follows it in another way (k times the batch, the batch on two axes) has no shape here, and
so belongs to the host.  Values that are the same at both sizes are constants; a value that
repeats one sample along the batch (a state of zeros) is known by that sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto

from anacc.frontend.external import Array
from anacc.frontend.inference import Known, infer, known_array, known_input
from anacc.ir import BATCH, TensorType
from anacc.ir.module import Dim

_FREE_SIZES = (2, 3)


@dataclass(frozen=True)
class Input:
    """An input of the model: ONNX element type, and shape of integers and names of symbols."""

    name: str
    element: int
    shape: tuple[Dim, ...]


@dataclass(frozen=True)
class Facts:
    """What is known of the tensors of a model.

    Attributes:
        types: of every tensor.
        values: tensors that are constant.
        samples: tensors that repeat one sample along the batch: the sample, batch axis of size 1.
        notes: why a tensor has no known shape, as a predicate of the tensor.
        batched: whether the model has a batch axis at all.
    """

    types: Mapping[str, TensorType]
    values: Mapping[str, Array]
    samples: Mapping[str, Array] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    batched: bool = False


def gather_facts(
    model: ModelProto,
    constants: Mapping[str, Known],
    inputs: list[Input],
    fixed: int | None = None,
) -> Facts:
    """Infer what is known of every tensor.

    Args:
        model: nodes in topological order, without initialisers.
        constants: as `fold_constants` gives them.
        inputs: with `BATCH` where the batch is, and integers elsewhere.
        fixed: the size of the batch if the model fixes it; targets of reshapes that name it are
            then taken to mean the batch.

    Raises:
        DoesNotFit: if the model cannot run at another size of the batch.
    """
    if not any(BATCH in entry.shape for entry in inputs):
        known = infer(model, constants, _sized(inputs, 0), strict=False)
        return _combine(known, known, (0, 0))
    sizes = _FREE_SIZES if fixed is None else (fixed, fixed + 1)

    def at(size: int) -> dict[str, Known]:
        def adapt(node: NodeProto, known: Mapping[str, Known]) -> Mapping[str, Known]:
            return known if fixed is None else _without_baked_batch(node, known, fixed, size)

        return infer(model, constants, _sized(inputs, size), strict=True, adapt=adapt)

    return _combine(at(sizes[0]), at(sizes[1]), sizes)


def _sized(inputs: list[Input], size: int) -> dict[str, Known]:
    return {
        entry.name: known_input(
            entry.element, tuple(dim if isinstance(dim, int) else size for dim in entry.shape)
        )
        for entry in inputs
    }


def _without_baked_batch(
    node: NodeProto, known: Mapping[str, Known], fixed: int, size: int
) -> Mapping[str, Known]:
    """The target of a reshape that starts with the fixed batch, for another size of it."""
    if node.op_type != "Reshape" or len(node.input) < 2:
        return known
    before, target = known[node.input[0]].shape, known[node.input[1]].value
    if not before or before[0] != size or target is None or target[:1].tolist() != [fixed]:
        return known
    return {**known, node.input[1]: known_array(np.array([size, *target[1:]], target.dtype))}


def _combine(
    first: Mapping[str, Known], second: Mapping[str, Known], sizes: tuple[int, int]
) -> Facts:
    types: dict[str, TensorType] = {}
    values: dict[str, Array] = {}
    samples: dict[str, Array] = {}
    notes: dict[str, str] = {}
    for name, one in first.items():
        two = second[name]
        shape, note = _common_shape(one.shape, two.shape, sizes)
        types[name] = TensorType(one.dtype, shape)
        if note:
            notes[name] = note
        if one.value is None or two.value is None or shape is None:
            continue
        if one.value is two.value or _same(one.value, two.value):
            values[name] = one.value
        elif BATCH in shape:
            sample = np.take(one.value, [0], axis=shape.index(BATCH))
            if _same_along(one.value, sample) and _same_along(two.value, sample):
                samples[name] = sample
    return Facts(types, values, samples, notes, sizes != (0, 0))


def _common_shape(
    one: tuple[int, ...] | None, two: tuple[int, ...] | None, sizes: tuple[int, int]
) -> tuple[tuple[Dim, ...] | None, str]:
    if one is None or two is None:
        return None, "has a shape that depends on the data"
    if len(one) != len(two):
        return None, "has a rank that depends on the batch"
    shape: list[Dim] = []
    for pair in zip(one, two, strict=True):
        if pair[0] == pair[1]:
            shape.append(pair[0])
        elif pair == sizes and BATCH not in shape:
            shape.append(BATCH)
        else:
            return None, "mixes the batch with other axes"
    return tuple(shape), ""


def _same(one: Array, two: Array) -> bool:
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def _same_along(whole: Array, sample: Array) -> bool:
    return bool(np.array_equal(whole, np.broadcast_to(sample, whole.shape)))
