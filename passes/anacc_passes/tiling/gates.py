"""The gates of a recurrent layer as columns of crossbars.

The pre-activation of a gate is one column for each hidden unit.  A *block* is what one column of
tiles gives for a chunk of hidden units: some gates, one after another, each as wide as the chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anacc.ir import Op
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.matrix import FloatArray

GATES = ("input", "output", "forget", "candidate")
"""The order of ONNX's stacked weights."""


@dataclass(frozen=True)
class Direction:
    """One direction of a recurrent layer: weights of one sweep over the sequence.

    Attributes:
        index: 0 or 1, position on the direction axis.
        reverse: the sequence is read from its end.
        weight: shape (gates, hidden, features).
        recurrence: shape (gates, hidden, hidden).
        bias: of the input's product and the recurrence's, shape (2, gates, hidden).
    """

    index: int
    reverse: bool
    weight: FloatArray
    recurrence: FloatArray
    bias: FloatArray

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return int(self.recurrence.shape[2])


@dataclass(frozen=True)
class Block:
    """Gates that one column of tiles computes.

    Attributes:
        gates: in the order of the columns.
        label: distinguishes the blocks of a layer, "" where there is one.
    """

    gates: tuple[str, ...]
    label: str = ""


def blocks_of(op: Op) -> tuple[Block, ...]:
    """The blocks of a recurrent layer; an LSTM's gates lie as in the chip's GDPU."""
    return (Block(("input", "candidate", "forget", "output")),)


def directions(builder: Builder, op: Op) -> list[Direction]:
    """The sweeps of a recurrent layer."""
    constants, kind = builder.module.constants, op.attributes["direction"]
    weight, recurrence = (constants[name].astype(np.float64) for name in op.operands[1:3])
    ways, _, hidden = recurrence.shape
    bias = np.zeros((ways, 2 * len(GATES) * hidden))
    if op.operands[3]:
        bias = constants[op.operands[3]].astype(np.float64)
    return [
        Direction(
            index,
            kind == "reverse" or index == 1,
            weight[index].reshape(len(GATES), hidden, -1),
            recurrence[index].reshape(len(GATES), hidden, hidden),
            bias[index].reshape(2, len(GATES), hidden),
        )
        for index in range(ways)
    ]


def columns_of(
    block: Block, way: Direction, first: int, last: int
) -> tuple[FloatArray, FloatArray]:
    """What a block holds for the hidden units [first, last).

    Returns:
        The weights, shape (features + hidden, columns), and the offset of each column.
    """
    weight = np.concatenate([way.weight, way.recurrence], axis=2)
    chosen = [GATES.index(gate) for gate in block.gates]
    return (
        _flat(weight[chosen, first:last]).T,
        _flat(way.bias.sum(axis=0)[chosen, first:last, np.newaxis])[:, 0],
    )


def widest(blocks: Sequence[Block]) -> int:
    """Columns a hidden unit of the widest block."""
    return max(len(block.gates) for block in blocks)


def _flat(array: FloatArray) -> FloatArray:
    """Shape (gates, units, n) to (gates * units, n)."""
    return array.reshape(-1, array.shape[2])
