"""The matrices of a recurrent layer, by the names that its tiles have."""

from __future__ import annotations

from anacc.ir import Module, Op
from anacc.ir.cells import directions_of
from anacc_passes.gates import INPUT, blocks_of


def matrix_name(layer: str, label: str) -> str:
    """The name of the matrix of a block.

    Args:
        layer: name of the direction of the layer.
        label: of the block.
    """
    return f"{layer} {label}".rstrip()


def direction_name(op: Op, reverse: bool) -> str:
    """The name of a direction of a layer."""
    return op.origins[0] + (" reverse" if reverse else "")


def gate_matrices(module: Module, op: Op) -> dict[str, tuple[int, int]]:
    """Rows and columns of each matrix of a recurrent layer, by its name, in order."""
    shapes = [module.tensor(name).dims for name in op.operands[1:3]]
    features, hidden = (int(shape[2]) for shape in shapes)
    found = {}
    for index in range(directions_of(op)):
        layer = direction_name(op, op.text("direction") == "reverse" or index == 1)
        for block in blocks_of(op, index):
            rows = sum(features if rows == INPUT else hidden for rows in block.rows)
            found[matrix_name(layer, block.label)] = (rows, len(block.gates) * hidden)
    return found
