"""Operators that move elements without changing them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anacc.frontend.chain import Chain, slice_bounds
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import QUANTISED, imports
from anacc.frontend.selection import select
from anacc.ir import BATCH

_PADDING: dict[str, Literal["edge", "reflect", "wrap"]] = {
    "edge": "edge",
    "reflect": "reflect",
    "wrap": "wrap",
}
"""Modes that pad with elements of the operand: NumPy knows them by the same names."""
_EVERYTHING = 2**31 - 1
"""From here on, exporters mean by the end of a slice that it has none: no batch is so large."""


def has_constant_bounds(node: Node) -> bool:
    """its bounds are constants

    fix the sizes that its bounds are computed from (`--shape NAME=SIZE`), so that they fold
    """
    return all(node.constant(i) is not None for i in range(1, 5) if node.has(i))


def has_constant_amounts(node: Node) -> bool:
    """it pads by constant amounts, with a constant or with elements of its operand

    make its amounts and its value initialisers
    """
    parameters = all(node.constant(i) is not None for i in range(1, 4) if node.has(i))
    return parameters and node.attribute("mode", "constant") in ("constant", *_PADDING)


def joins_activations(node: Node) -> bool:
    """none of its operands is a constant

    add the constant part behind the Concat with a Pad, if it is one number
    """
    return all(node.sample(i) is None for i in range(len(node.proto.input)))


def has_constant_sizes(node: Node) -> bool:
    """its sizes are constants

    fix the sizes that they are computed from (`--shape NAME=SIZE`), so that they fold
    """
    return not node.has(1) or node.constant(1) is not None


def takes_constant_places(node: Node) -> bool:
    """its indices are constants in range

    leave it to the host: embeddings are look-ups, no products
    """
    return _indices(node) is not None


@imports("Flatten", "Reshape", "Squeeze", "Unsqueeze", elements=QUANTISED)
def import_reshape(node: Node) -> None:
    """All of them become `reshape` to the shape that ONNX infers."""
    node.emit("reshape", (node.value(0),), shape=node.result())


@imports("Expand", elements=QUANTISED)
def import_expand(node: Node) -> None:
    """Expand becomes `expand`."""
    node.emit("expand", (node.value(0),), shape=node.result())


@imports("Transpose", elements=QUANTISED)
def import_transpose(node: Node) -> None:
    """Transpose becomes `transpose`."""
    rank = len(node.shape(0))
    permutation = node.attribute("perm") or range(rank - 1, -1, -1)
    node.emit("transpose", (node.value(0),), permutation=tuple(int(i) for i in permutation))


@imports("Concat", requires=(joins_activations,), elements=QUANTISED)
def import_concat(node: Node) -> None:
    """Concat becomes `concat`."""
    axis = int(node.attribute("axis", 1)) % len(node.shape(0))
    values = tuple(node.value(i) for i in range(len(node.proto.input)))
    node.emit("concat", values, axis=axis)


@imports("Slice", requires=(has_constant_bounds,), elements=QUANTISED)
def import_slice(node: Node) -> None:
    """Slice becomes `slice`, its bounds clipped as in Python."""
    shape = node.shape(0)
    if node.version < 10:
        starts, ends = list(node.attribute("starts", [])), list(node.attribute("ends", []))
        axes, steps = node.attribute("axes"), None
    else:
        starts, ends = node.integers(1) or [], node.integers(2) or []
        axes, steps = node.integers(3) if node.has(3) else None, None
        steps = node.integers(4) if node.has(4) else None
    axes = list(range(len(starts))) if axes is None else axes
    steps = steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported("its bounds fit together")
    cuts = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        dim = shape[axis % len(shape)]
        if isinstance(dim, int):
            cuts[axis % len(shape)] = range(dim)[slice(start, end, step)]
        elif (start, step) != (0, 1) or end < _EVERYTHING:
            raise Unsupported("it leaves the batch whole")
    _slice(node, cuts)


def _slice(node: Node, cuts: dict[int, range], result: str | None = None) -> None:
    node.emit(
        "slice",
        (node.value(0),),
        None if result is None else (result,),
        **slice_bounds(node.shape(0), cuts),
    )


@imports("Split", requires=(has_constant_sizes,), elements=QUANTISED)
def import_split(node: Node) -> None:
    """Split becomes one `slice` for each output."""
    shape = node.shape(0)
    axis = int(node.attribute("axis", 0)) % len(shape)
    if shape[axis] == BATCH:
        raise Unsupported("it leaves the batch whole")
    start = 0
    for position, name in enumerate(node.proto.output):
        part = node.facts.types[name].shape
        size = part[axis] if part is not None else None
        if not isinstance(size, int):
            raise Unsupported("its sizes are constants")
        if node.uses(position):
            _slice(node, {axis: range(start, start + size)}, node.output(position))
        start += size


@imports("Gather", requires=(takes_constant_places,), elements=QUANTISED)
def import_gather(node: Node) -> None:
    """Gather becomes `slice` and, unless its indices are evenly spaced, `expand` or `concat`."""
    chain = Chain(node, node.value(0))
    select(chain, {_axis(node): _indices(node) or []})
    chain.reshape(node.result()).finish()


def _axis(node: Node) -> int:
    return int(node.attribute("axis", 0)) % len(node.shape(0))


def _indices(node: Node) -> list[int] | None:
    """The indices of a Gather, counted from the front."""
    indices = node.constant(1)
    dim = node.shape(0)[_axis(node)] if node.shape(0) else BATCH
    if dim == BATCH and indices is not None:
        raise Unsupported("it leaves the batch whole")
    if indices is None or indices.size == 0 or not isinstance(dim, int):
        return None
    numbers = [int(i) + dim if i < 0 else int(i) for i in indices.ravel()]
    return numbers if 0 <= min(numbers) and max(numbers) < dim else None


@imports("Pad", requires=(has_constant_amounts,), elements=QUANTISED)
def import_pad(node: Node) -> None:
    """Pad becomes `pad`; with elements of its operand, `slice` and `concat`."""
    shape = node.shape(0)
    rank = len(shape)
    fill = 0.0
    if node.version < 11:
        amounts = [int(amount) for amount in node.attribute("pads", [])]
        fill = float(node.attribute("value", 0.0))
    else:
        amounts = node.integers(1) or []
        value = node.constant(2)
        fill = float(value.ravel()[0]) if value is not None and value.size else 0.0
    axes = [axis % rank for axis in (node.integers(3) if node.has(3) else None) or range(rank)]
    mode = node.attribute("mode", "constant")
    if len(amounts) != 2 * len(axes) or (mode != "constant" and min(amounts, default=0) < 0):
        raise Unsupported("it has two pads for each axis, and none is negative where it repeats")
    if not np.isfinite(fill):
        raise Unsupported("it pads with a finite number")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis] = amounts[position]
        after[axis] = amounts[position + len(axes)]
    padded = [axis for axis in range(rank) if before[axis] or after[axis]]
    if any(shape[axis] == BATCH for axis in padded):
        raise Unsupported("it leaves the batch whole")
    chain = Chain(node, node.value(0))
    if mode == "constant":
        cuts = {axis: _within(int(shape[axis]), before[axis], after[axis]) for axis in padded}
        chain.slice(cuts)
        wider = {"before": tuple(max(n, 0) for n in before)}
        wider["after"] = tuple(max(n, 0) for n in after)
        chain.apply("pad", "padded", **wider, value=fill).finish()
        return
    places = {
        axis: np.pad(np.arange(int(shape[axis])), (before[axis], after[axis]), _PADDING[mode])
        for axis in padded
    }
    select(chain, {axis: [int(place) for place in each] for axis, each in places.items()}).finish()


def _within(size: int, before: int, after: int) -> range:
    """What negative pads leave of an axis.

    Raises:
        Unsupported: if it is nothing.
    """
    left = range(max(-before, 0), size - max(-after, 0))
    if not left:
        raise Unsupported("its negative pads leave some elements")
    return left
