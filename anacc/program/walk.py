"""Walk over the instructions of a stream together with where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from anacc.program.model import Instr, Loop, Node

Path = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """An instruction and where it stands.

    Attributes:
        path: positions in the nested bodies, outermost first; (0, 1, 2) is node 2 of the loop that
            is node 1 of the loop that is node 0 of the stream.
        loops: the enclosing loops, outermost first; one fewer than `path` has entries.
        instr: the instruction.
    """

    path: Path
    loops: tuple[Loop, ...]
    instr: Instr


def walk(body: tuple[Node, ...]) -> Iterator[Place]:
    """Every instruction of a body in text order, those of nested loops included."""
    return _walk(body, (), ())


def _walk(body: tuple[Node, ...], path: Path, loops: tuple[Loop, ...]) -> Iterator[Place]:
    for position, node in enumerate(body):
        if isinstance(node, Loop):
            yield from _walk(node.body, (*path, position), (*loops, node))
        else:
            yield Place((*path, position), loops, node)
