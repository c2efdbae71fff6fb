"""The weights of a recurrent layer, direction by direction and block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.ir import Op
from anacc.ir.cells import CELLS, PEEPHOLES
from anacc_passes.gates import INPUT, Block
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.matrix import FloatArray


@dataclass(frozen=True)
class Direction:
    """One direction of a recurrent layer: weights of one sweep over the sequence.

    Attributes:
        index: 0 or 1, position on the direction axis.
        reverse: the sequence is read from its end.
        gates: in the order of the arrays.
        weight: shape (gates, hidden, features).
        recurrence: shape (gates, hidden, hidden).
        bias: of the input's product and the recurrence's, shape (2, gates, hidden).
        peepholes: shape (peepholes, hidden), or None.
    """

    index: int
    reverse: bool
    gates: tuple[str, ...]
    weight: FloatArray
    recurrence: FloatArray
    bias: FloatArray
    peepholes: FloatArray | None

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return int(self.recurrence.shape[2])


def directions(builder: Builder, op: Op) -> list[Direction]:
    """The sweeps of a recurrent layer."""
    constants, kind, cell = builder.module.constants, op.attributes["direction"], CELLS[op.kind]
    weight, recurrence = (constants[name].astype(np.float64) for name in op.operands[1:3])
    ways, gates, hidden = len(weight), len(cell.gates), recurrence.shape[2]
    bias = np.zeros((ways, 2 * gates * hidden))
    if op.operands[3]:
        bias = constants[op.operands[3]].astype(np.float64)
    name = op.operands[PEEPHOLES] if len(op.operands) > PEEPHOLES else ""
    peepholes = constants[name].astype(np.float64) if name else None
    return [
        Direction(
            index,
            kind == "reverse" or index == 1,
            cell.gates,
            weight[index].reshape(gates, hidden, -1),
            recurrence[index].reshape(gates, hidden, hidden),
            bias[index].reshape(2, gates, hidden),
            None if peepholes is None else peepholes[index].reshape(-1, hidden),
        )
        for index in range(ways)
    ]


def columns_of(
    block: Block, way: Direction, first: int, last: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What a block holds for the hidden units [first, last).

    Returns:
        The weights, shape (rows, columns), and for each column the factor behind the product and
        what is then added.
    """
    chosen = [way.gates.index(gate) for gate in block.gates]
    weights, offset = [], np.zeros((len(chosen), last - first, 1))
    for rows in block.rows:
        matrix, bias = (way.weight, 0) if rows == INPUT else (way.recurrence, 1)
        weights.append(matrix[chosen, first:last])
        offset += way.bias[bias, chosen, first:last, np.newaxis]
    slope = np.array([line.slope for line in block.lines])[:, np.newaxis, np.newaxis]
    added = np.array([line.offset for line in block.lines])[:, np.newaxis, np.newaxis]
    return (
        _by_column(np.concatenate(weights, axis=2)).T,
        _by_column(np.broadcast_to(slope, offset.shape))[:, 0],
        _by_column(offset * slope + added)[:, 0],
    )


def _by_column(array: FloatArray) -> FloatArray:
    """Shape (gates, units, n) to (gates * units, n)."""
    return array.reshape(-1, array.shape[2])
