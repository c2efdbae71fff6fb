"""The table of importers: what the chip can run, and on what conditions.

What the chip asks of a node stands in the table as constraints, functions whose docstring ends
the sentence "it runs on the chip only if ..."; a second paragraph is the hint, one sentence that
says what the user can do.  Conditions that show during the import raise `Unsupported` with both.
Either way the node goes to the host, and sentence and hint to the report; constraints are also the
lines of docs/supported-operators.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from anacc.frontend.node import Node, Unsupported

QUANTISED = ("int8", "uint8", "int16", "uint16")
"""Element types of the activations of quantised models."""

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators, which the table lists as `com.microsoft.QGemm`."""

Constraint = Callable[[Node], bool]
"""A condition; the docstring ends the sentence "it runs on the chip only if ...", then the hint."""


def condition_of(constraint: Callable[..., Any]) -> str:
    """What a constraint asks: the first paragraph of its docstring, on one line."""
    return _paragraphs(constraint)[0]


def hint_of(constraint: Callable[..., Any]) -> str:
    """What a user can do to satisfy a constraint: the second paragraph, "" without one."""
    return _paragraphs(constraint)[1]


def _paragraphs(constraint: Callable[..., Any]) -> tuple[str, str]:
    first, _, second = inspect.cleandoc(constraint.__doc__ or "").partition("\n\n")
    return " ".join(first.split()), " ".join(second.split())


def unmet(constraint: Callable[..., Any], detail: str = "") -> Unsupported:
    """What to raise where a node does not satisfy a constraint.

    Args:
        constraint: a function documented as constraints are.
        detail: what is wrong with this node, for the end of the sentence: "`x` is int64".
    """
    condition = condition_of(constraint) + (f", but {detail}" if detail else "")
    return Unsupported(condition, hint_of(constraint))


@dataclass(frozen=True)
class Importer:
    """How nodes of an operator are imported: what they must satisfy, who emits their ops, and which
    element types, beside float32, its activations may have."""

    operator: str
    requires: tuple[Constraint, ...]
    build: Callable[[Node], None]
    elements: tuple[str, ...] = ()


_IMPORTERS: dict[str, Importer] = {}


def imports(
    *operators: str, requires: tuple[Constraint, ...] = (), elements: tuple[str, ...] = ()
) -> Callable[[Callable[[Node], None]], Callable[[Node], None]]:
    """Enter a function into the table as the importer of some operators."""

    def enter(build: Callable[[Node], None]) -> Callable[[Node], None]:
        for operator in operators:
            _IMPORTERS[operator] = Importer(operator, requires, build, elements)
        return build

    return enter


def importer_of(node: NodeProto) -> Importer | None:
    """The importer of a node, None if the chip has nothing like it."""
    if node.domain == MICROSOFT:
        return _IMPORTERS.get(f"{MICROSOFT}.{node.op_type}")
    return _IMPORTERS.get(node.op_type) if node.domain == "" else None


def supported_operators() -> list[tuple[str, tuple[str, ...]]]:
    """Each operator that the chip can run, with its conditions ("it runs on the chip only if")."""
    return [(i.operator, tuple(map(condition_of, i.requires))) for i in importers()]


def importers() -> list[Importer]:
    """Every operator that a chip can run, sorted by name."""
    return [_IMPORTERS[name] for name in sorted(_IMPORTERS)]
