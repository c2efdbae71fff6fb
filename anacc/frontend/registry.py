"""The table of importers: what the chip can run, and on what conditions.

What the chip asks of a node stands in the table as constraints, functions whose docstring ends
the sentence "it runs on the chip only if ..."; the few conditions that show during the import
raise `Unsupported` with such an ending.  Either way the node goes to the host, and the sentence
to the report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnx import NodeProto

from anacc.frontend.node import Node

QUANTISED = ("int8", "uint8", "int16", "uint16")
"""Element types of the activations of quantised models."""

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators, which the table lists as `com.microsoft.QGemm`."""

Constraint = Callable[[Node], bool]
"""A condition; the docstring ends the sentence "it runs on the chip only if ..."."""


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
    return [
        (name, tuple((rule.__doc__ or "").strip() for rule in _IMPORTERS[name].requires))
        for name in sorted(_IMPORTERS)
    ]
