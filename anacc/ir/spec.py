"""How an op is declared: as data, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anacc.errors import IrError
from anacc.ir.module import Level, Module, Op, TensorType, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

ShapeRule = Callable[[Module, Op], tuple[Type | None, ...]]
"""Types of the results from the operands and attributes; None: any type.  Raises ValueError with
the reason where the operands do not fit."""


@dataclass(frozen=True)
class Attribute:
    """An attribute: its type (`int`, `float`, `str`, `bool`, `ints`, `floats`, `strings`, `any`
    nested tuples) and whether it must be present."""

    type: str
    required: bool = True


@dataclass(frozen=True)
class OpSpec:
    """An op of a vocabulary.

    Attributes:
        kind: its name.
        level: the vocabulary that it belongs to; ops of `host` kind belong to all.
        meaning: one sentence.
        operands: names; `?` after a name marks an optional one (""), `*` a variadic last one,
            `@` before a name one that must be a constant.
        results: names with the same marks.
        attributes: by name.
        infer: shape rule, or None where any types are accepted.
    """

    kind: str
    level: Level
    meaning: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    infer: ShapeRule | None = None


_REGISTRY: dict[tuple[Level, str], OpSpec] = {}


def declare(*specs: OpSpec) -> None:
    """Add ops to their vocabularies (import time only)."""
    for spec in specs:
        _REGISTRY[spec.level, spec.kind] = spec


def spec_of(level: Level, kind: str) -> OpSpec:
    """The declaration of an op.

    Raises:
        IrError: if the level has no such op.
    """
    try:
        return _REGISTRY[level, kind]
    except KeyError:
        known = ", ".join(sorted(k for lv, k in _REGISTRY if lv is level))
        raise IrError(f"level {level.value} has no op `{kind}`", f"it has {known}") from None


def vocabulary(level: Level) -> list[OpSpec]:
    """All ops of a level, sorted by name."""
    return sorted((s for s in _REGISTRY.values() if s.level is level), key=lambda s: s.kind)


def same_as_first(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Shape rule: every result has the type of the first operand."""
    return (module.tensor(op.operands[0]),) * len(op.results)


def with_shape(like: TensorType, shape: tuple[int | str, ...]) -> TensorType:
    """The same element type with another shape."""
    return TensorType(like.dtype, shape)
