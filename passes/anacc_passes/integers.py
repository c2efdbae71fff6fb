"""Say what the integer tensors of a quantised model stand for, or leave them to the host.

1.  Integers that a `quantise` makes or a `dequantise` reads have its scale and zero point, and so
    has what a reshape, transpose, slice, pad, expand, concatenation or maximum pooling makes of
    them.  The module states it with the value.
2.  Where two of a group that is moved together are made differently, or nothing tells, the moves
    go to the host: no chip computes with numbers whose meaning it does not know.

This comes before the partition: what is left can be moved as codes, whatever the partition cuts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import networkx as nx

from anacc.ir import Module, Op, TensorType
from anacc.ir.graph_shapes import INTEGERS
from anacc_passes.reasons import Why, on_host

INTEGER_MOVES = ("reshape", "transpose", "slice", "pad", "concat", "expand", "max_pool", "identity")
_UNKNOWN: Why = (
    "it runs on the chip only if its integers have one scale and zero point",
    "quantise all that it moves with the same scale and zero point",
)

Grid = tuple[float, int]
"""A scale and a zero point."""


@dataclass(frozen=True)
class Integers:
    """Graph to graph: afterwards every integer value that an op of the chip takes or gives has a
    scale and a zero point, in the numbers of its own element type."""

    name = "integers"

    def __call__(self, module: Module) -> Module:
        """Apply the rules above."""
        moves = [op for op in module.ops if _moves_integers(module, op)]
        while True:
            grids = _grids(module, moves)
            known = [op for op in moves if op.results[0] in grids]
            if len(known) == len(moves):
                break
            moves = known
        kept = {id(op) for op in moves}
        values = {
            name: replace(value, scale=grids[name][0], zero=grids[name][1])
            if name in grids
            else value
            for name, value in module.values.items()
        }
        ops = tuple(
            on_host(op, _UNKNOWN) if _moves_integers(module, op) and id(op) not in kept else op
            for op in module.ops
        )
        return replace(module, values=values, ops=ops)


def _moves_integers(module: Module, op: Op) -> bool:
    return op.kind in INTEGER_MOVES and is_integer(module, op.results[0])


def _grids(module: Module, moves: Iterable[Op]) -> dict[str, Grid]:
    """The grid of each integer value that is made or read by an op of the chip, if it has one."""
    together = nx.utils.UnionFind(name for name in module.values if is_integer(module, name))
    for op in moves:
        together.union(*(name for name in (*op.results, *op.operands) if name.startswith("%")))
    made: dict[str, set[Grid]] = {}
    read: dict[str, list[Grid]] = {}
    for op in module.ops:
        grid = (op.number("scale"), int(op.number("zero")))
        if op.kind == "quantise":
            made.setdefault(together[op.results[0]], set()).add(grid)
        elif op.kind == "dequantise":
            read.setdefault(together[op.operands[0]], []).append(grid)
    found = {}
    for name in module.values:
        if is_integer(module, name):
            grids = [*made.get(together[name], ())] or read.get(together[name], [])[:1]
            if len(grids) == 1:
                found[name] = grids[0]
    return found


def is_integer(module: Module, name: str) -> bool:
    """Whether a value is a tensor of integers that may be quantised numbers."""
    kind = module.values[name].type if name in module.values else None
    return isinstance(kind, TensorType) and kind.dtype in INTEGERS
