"""Operators that move elements without changing them."""

from __future__ import annotations

import numpy as np

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import QUANTISED, imports
from anacc.ir import BATCH

_EVERYTHING = 2**31 - 1
"""From here on, exporters mean by the end of a slice that it has none: no batch is so large."""


def has_constant_bounds(node: Node) -> bool:
    """its bounds are constants"""
    return all(node.constant(i) is not None for i in range(1, 5) if node.has(i))


def fills_with_constant(node: Node) -> bool:
    """it pads with a constant, by constant amounts"""
    parameters = all(node.constant(i) is not None for i in range(1, 4) if node.has(i))
    return parameters and node.attribute("mode", "constant") == "constant"


def joins_activations(node: Node) -> bool:
    """none of its operands is a constant"""
    return all(node.sample(i) is None for i in range(len(node.proto.input)))


def has_constant_sizes(node: Node) -> bool:
    """its sizes are constants"""
    return not node.has(1) or node.constant(1) is not None


def takes_evenly_spaced(node: Node) -> bool:
    """its indices are one number, or evenly spaced constants, in range"""
    return _progression(node) is not None


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
        "slice", (node.value(0),), None if result is None else (result,), **_bounds(node, cuts)
    )


def _bounds(node: Node, cuts: dict[int, range]) -> dict[str, tuple[int, ...]]:
    """The attributes of `slice`: the cut of each axis, everything where there is none."""
    starts, steps, sizes = [], [], []
    for axis, dim in enumerate(node.shape(0)):
        whole = range(dim) if isinstance(dim, int) else range(0)
        cut = cuts.get(axis, whole)
        starts.append(cut.start)
        steps.append(cut.step)
        sizes.append(len(cut) if isinstance(dim, int) else -1)
    return {"starts": tuple(starts), "steps": tuple(steps), "sizes": tuple(sizes)}


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


@imports("Gather", requires=(takes_evenly_spaced,), elements=QUANTISED)
def import_gather(node: Node) -> None:
    """Gather of evenly spaced elements becomes `slice`, and `reshape` for one number."""
    axis = int(node.attribute("axis", 0)) % len(node.shape(0))
    if node.shape(0)[axis] == BATCH:
        raise Unsupported("it leaves the batch whole")
    cut = _progression(node)
    indices = node.constant(1)
    if cut is None or indices is None:
        raise Unsupported("its indices are constants")
    if indices.ndim == 1:
        _slice(node, {axis: cut})
        return
    bounds = _bounds(node, {axis: cut})
    taken = node.derive("slice", (node.value(0),), "taken", node.proto.output[0], **bounds)
    node.emit("reshape", (taken,), shape=node.result())


def _progression(node: Node) -> range | None:
    """The indices of a Gather as a range of the axis."""
    indices = node.constant(1)
    shape = node.shape(0)
    dim = shape[int(node.attribute("axis", 0)) % len(shape)] if shape else 0
    if indices is None or indices.ndim > 1 or indices.size == 0 or not isinstance(dim, int):
        return None
    numbers = [int(i) + dim if i < 0 else int(i) for i in indices.ravel()]
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    stop = numbers[0] + step * len(numbers)
    if step == 0 or min(numbers) < 0 or max(numbers) >= dim:
        return None
    return range(numbers[0], stop, step) if list(range(numbers[0], stop, step)) == numbers else None


@imports("Pad", requires=(fills_with_constant,), elements=QUANTISED)
def import_pad(node: Node) -> None:
    """Pad becomes `pad`."""
    rank = len(node.shape(0))
    fill = 0.0
    if node.version < 11:
        amounts = [int(amount) for amount in node.attribute("pads", [])]
        fill = float(node.attribute("value", 0.0))
    else:
        amounts = node.integers(1) or []
        value = node.constant(2)
        fill = float(value.ravel()[0]) if value is not None and value.size else 0.0
    axes = [axis % rank for axis in (node.integers(3) if node.has(3) else None) or range(rank)]
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0:
        raise Unsupported("it has no negative pads")
    if not np.isfinite(fill):
        raise Unsupported("it pads with a finite number")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis] = amounts[position]
        after[axis] = amounts[position + len(axes)]
    node.emit("pad", (node.value(0),), before=tuple(before), after=tuple(after), value=fill)
