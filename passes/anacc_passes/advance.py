"""Bring what an LDPU can do before the data movement behind its layer.

A transposed convolution is a convolution whose result is put in another order; the activation or
batch norm of the node behind it would then take streams of its own.  So where a convolution or
product, or an affine op behind it, is followed by

1. reshape, transpose and slice alone, each the only reader of the value before it, and
2. then by a relu, a clamp, or an affine op that is the same for all elements of a column,

the latter comes first: it computes the same of each element, wherever that lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import BATCH, Module, Op, Value
from anacc.targets import Target
from anacc_passes.rewrite import only_consumer, rebuild
from anacc_passes.units import fuses

Array = npt.NDArray[Any]

_MOVES = ("reshape", "transpose", "slice")
_FOLLOWERS = ("relu", "clamp", "affine")


@dataclass(frozen=True)
class Found:
    """A place where the rules apply.

    Attributes:
        layer: the convolution or product.
        last: the op that gives what is moved: `layer`, or an affine op behind it.
        moves: in order.
        follower: the op that comes before them afterwards.
        constants: those of an affine follower, one element for each column.
    """

    layer: Op
    last: Op
    moves: tuple[Op, ...]
    follower: Op
    constants: tuple[Array, ...]


def _sample_shape(shape: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(1 if dim == BATCH else int(dim) for dim in shape)


def _columns(module: Module, layer: Op, moves: Sequence[Op]) -> Array:
    """The column of the layer that each element comes from, in the shape after the moves."""
    shape = _sample_shape(module.tensor(layer.results[0]).shape or ())
    axis = 1 if layer.kind == "conv" else len(shape) - 1
    aligned = np.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - 1 - axis))
    column = np.broadcast_to(aligned, shape)
    for move in moves:
        if move.kind == "reshape":
            column = column.reshape(_sample_shape(module.tensor(move.results[0]).shape or ()))
        elif move.kind == "transpose":
            column = column.transpose(move.integers("permutation"))
        else:
            cuts = zip(*(move.integers(name) for name in ("starts", "steps", "sizes")), strict=True)
            for place, (start, step, size) in enumerate(cuts):
                if size >= 0:
                    column = column.take(np.arange(size) * step + start, axis=place)
    return column


def _by_column(module: Module, found: Found) -> Found | None:
    """The same with the constants of an affine follower, None if they differ within a column."""
    column = _columns(module, found.layer, found.moves)
    weight = module.constants[found.layer.operands[1]]
    width = weight.shape[0 if found.layer.kind == "conv" else 1]
    rank = len(module.tensor(found.layer.results[0]).shape or ())
    after = (1,) * (rank - 2 if found.layer.kind == "conv" else 0)
    constants = []
    for name, neutral in zip(found.follower.operands[1:3], (1, 0), strict=True):
        whole = np.broadcast_to(module.constants[name], column.shape)
        each = np.full(width, neutral, np.float32)
        each[column.ravel()] = whole.ravel()
        if not np.array_equal(each[column], whole):
            return None
        constants.append(each.reshape(-1, *after))
    return replace(found, constants=tuple(constants))


def _found(module: Module, target: Target | None) -> Found | None:
    """The first place where the rules apply."""
    readers = module.consumers()
    for layer in module.ops:
        if layer.kind not in ("conv", "linear"):
            continue
        last = layer
        reader = only_consumer(module, readers, last.results[0])
        while reader is not None and reader.kind == "affine":
            last, reader = reader, only_consumer(module, readers, reader.results[0])
        moves: list[Op] = []
        while reader is not None and reader.kind in _MOVES:
            moves.append(reader)
            reader = only_consumer(module, readers, reader.results[0])
        if not moves or reader is None or reader.kind not in _FOLLOWERS:
            continue
        if target is not None and not fuses(target, reader.kind):
            continue
        found: Found | None = Found(layer, last, tuple(moves), reader, ())
        if found is not None and reader.kind == "affine":
            found = _by_column(module, found)
        if found is not None:
            return found
    return None


def _advanced(module: Module, found: Found) -> Module:
    """The follower first, then the moves; the last of them gives what the follower gave.

    What the others give is another tensor than before, and gets another name and the codes of the
    last one."""
    follower, before = found.follower, found.last.results[0]
    last = module.values[follower.results[0]]
    values = []
    for name in (before, *(move.results[0] for move in found.moves[:-1])):
        new = f"{name}.{follower.kind}"
        while new in module.values:
            new += "#2"
        values.append(Value(new, module.values[name].type, last.scale, last.zero))
    first = values[0].name
    names = [f"@{first[1:]}.{label}" for label in ("scale", "offset")]
    constants = dict(zip(names, found.constants, strict=False))
    operands = (before, *constants) if constants else (before,)
    results = [*(value.name for value in values), last.name]
    row = [replace(follower, operands=operands, results=(first,))]
    for move, source, result in zip(found.moves, results[:-1], results[1:], strict=True):
        row.append(replace(move, operands=(source,), results=(result,)))
    gone = {id(op) for op in (*found.moves, follower)}
    ops: list[Op] = []
    for op in module.ops:
        ops += [op] if id(op) not in gone else []
        ops += row if op is found.last else []
    return rebuild(module, ops, values=values, constants=constants)


@dataclass(frozen=True)
class Advance:
    """Graph to graph: the same values for every model output, fewer streams.

    Attributes:
        target: whose LDPU decides what can come first; None: all of the above.
    """

    target: Target | None = None
    name = "advance"

    def __call__(self, module: Module) -> Module:
        """Apply the rules until none applies."""
        while (found := _found(module, self.target)) is not None:
            module = _advanced(module, found)
        return module
