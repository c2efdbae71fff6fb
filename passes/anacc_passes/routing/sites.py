"""Where placed ops are: on which chip, in which round, at which node of the links."""

from __future__ import annotations

from collections.abc import Iterable

from anacc.ir import Module, Op
from anacc_passes.routing.links import Node


def chips_of(module: Module) -> int:
    """How many chips a placed module uses."""
    return 1 + max((chip_of(op) for op in module.ops), default=0)


def chip_of(op: Op) -> int:
    """The chip of a placed op; 0 on the host."""
    return int(str(op.unit).partition(" ")[2].partition(".")[0])


def round_of(op: Op) -> int:
    """The round of an op."""
    return op.integer("round") if "round" in op.attributes else 0


def between_chips(op: Op, readers: Iterable[Op]) -> tuple[int, int]:
    """The first and the last chip that a value of an op meets, its own among them."""
    ends = [chip_of(op), *(chip_of(reader) for reader in readers if meet(op, reader))]
    return min(ends), max(ends)


def node_of(op: Op) -> Node:
    """The unit of an op."""
    kind, _, place = str(op.unit).partition(" ")
    return kind, int(place.rpartition(".")[2])


def on_links(node: Node) -> bool:
    return node[0] in ("core", "gdpu")


def meet(op: Op, other: Op) -> bool:
    """Whether values go from one op to the other over links: both on chips, in the same round."""
    on_chips = "host" not in (node_of(op)[0], node_of(other)[0])
    return on_chips and round_of(op) == round_of(other)
