"""What rewriting passes share: renaming values and dropping what is no longer used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from anacc.ir import Level, Module, Op, Value


def resolve(name: str, renamed: Mapping[str, str]) -> str:
    """Follow renames until a name that stays."""
    while name in renamed:
        name = renamed[name]
    return name


def rebuild(
    module: Module,
    ops: Iterable[Op],
    *,
    renamed: Mapping[str, str] | None = None,
    values: Iterable[Value] = (),
    constants: Mapping[str, npt.NDArray[Any]] | None = None,
    level: Level | None = None,
) -> Module:
    """The module with other ops: operands and outputs renamed; what is unused is left out.

    Args:
        module: what the result is based on.
        ops: the new ops, definitions before uses.
        renamed: old value name -> the name that replaces it.
        values: new values, and those that replace old ones of the same name.
        constants: new constants.
        level: the new level, if it changes.
    """
    names = renamed or {}
    kept = [
        replace(op, operands=tuple(resolve(operand, names) for operand in op.operands))
        for op in ops
    ]
    outputs = tuple((name, resolve(value, names)) for name, value in module.outputs)
    used = {value for _, value in outputs}
    live: list[Op] = []
    for op in reversed(kept):
        if not op.results or any(result in used for result in op.results):
            live.append(op)
            used.update(operand for operand in op.operands if operand)
    live.reverse()
    defined = {result for op in live for result in op.results if result} | set(module.inputs)
    table = {**module.values, **{value.name: value for value in values}}
    arrays = {**module.constants, **(constants or {})}
    return replace(
        module,
        level=level or module.level,
        outputs=outputs,
        values={name: value for name, value in table.items() if name in defined},
        constants={name: array for name, array in arrays.items() if name in used},
        ops=tuple(live),
    )


def only_consumer(module: Module, consumers: Mapping[str, list[Op]], name: str) -> Op | None:
    """The op that alone uses a value, or None if there are several uses or the model returns it."""
    uses = consumers.get(name, [])
    if len(uses) != 1 or any(value == name for _, value in module.outputs):
        return None
    return uses[0]
