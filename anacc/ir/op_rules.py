"""What an op must satisfy in its module: each rule is a function that says why it is broken.

The reasons are predicates (`lacks the operand ...`): the verifier puts the op in front.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from typing import Any

from anacc.errors import IrError
from anacc.ir.module import Level, Module, Op
from anacc.ir.spec import OpSpec, spec_of
from anacc.ir.text import MAX_DEPTH, type_text

_UNIT = re.compile(r"[a-z]+ [0-9]+\.[0-9]+")


def is_name(name: object, sigil: str) -> bool:
    """Whether a name is of the form `%name` or `@name`, by its sigil."""
    return isinstance(name, str) and name.startswith(sigil) and len(name) > 1


def op_problem(module: Module, op: Op, defined: set[str]) -> str | None:
    """Why an op is wrong, as a predicate of the op, or None."""
    try:
        spec = spec_of(module.level, op.kind)
    except IrError as error:
        return f"is wrong: {error.message}"
    return (
        _names_problem("operand", spec.operands, op.operands, op.kind)
        or _names_problem("result", spec.results, op.results, op.kind)
        or _operands_problem(module, op, defined)
        or _results_problem(module, op, defined)
        or _attributes_problem(spec, op)
        or _unit_problem(module, op)
        or _inference_problem(module, spec, op)
    )


def _names_problem(
    what: str, declared: tuple[str, ...], given: tuple[str, ...], kind: str
) -> str | None:
    """Operands or results are as many as the spec declares, absent only where it allows it."""
    marks = list(declared)
    if declared and "*" in declared[-1]:
        marks += [declared[-1]] * (len(given) - len(declared))
    elif len(given) > len(declared):
        return f"has {len(given)} {what}s, but `{kind}` has at most {len(declared)}"
    for position, mark in enumerate(marks):
        label = mark.strip("@?*")
        name = given[position] if position < len(given) else ""
        omitted = position >= len(given) and "*" in mark
        if name == "":
            if not omitted and "?" not in mark:
                return f"lacks the {what} `{label}` of `{kind}`"
        elif mark.startswith("@") and not is_name(name, "@"):
            return f"has `{name}` as {what} `{label}`, which must be a constant"
    return None


def _operands_problem(module: Module, op: Op, defined: set[str]) -> str | None:
    """Every operand is a constant, or a value that an input or an earlier op defines.

    A `recurrent` op closes a loop through time: it may use values of later ops.
    """
    for name in op.operands:
        if name == "":
            continue
        if name.startswith("@"):
            if name not in module.constants:
                return f"uses constant `{name}`, which does not exist"
        elif name not in module.values:
            return f"uses `{name}`, which is not a value"
        elif name not in defined and op.attributes.get("recurrent") is not True:
            return f"uses `{name}` before it is defined"
    return None


def _results_problem(module: Module, op: Op, defined: set[str]) -> str | None:
    """Every result is in the table of values, and no op or input defined it before."""
    own: set[str] = set()
    for name in op.results:
        if name == "":
            continue
        if name not in module.values:
            return f"defines `{name}`, which is missing in the table of values"
        if name in defined or name in own:
            return f"defines `{name}`, which is defined already"
        own.add(name)
    return None


def _is_tuple_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is tuple and all(type(item) is kind for item in value)


def _is_any(value: Any, depth: int = 1) -> bool:
    if type(value) is not tuple:
        return type(value) in (int, float, str, bool)
    return depth <= MAX_DEPTH and all(_is_any(item, depth + 1) for item in value)


_ATTRIBUTE_TYPES: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) is float,
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "ints": _is_tuple_of(int),
    "floats": _is_tuple_of(float),
    "strings": _is_tuple_of(str),
    "any": _is_any,
}


def _attributes_problem(spec: OpSpec, op: Op) -> str | None:
    """Attributes are those of the spec, with values of the declared types."""
    for name, value in op.attributes.items():
        if name not in spec.attributes:
            return f"has the attribute `{name}`, which `{op.kind}` does not know"
        declared = spec.attributes[name].type
        if not _ATTRIBUTE_TYPES[declared](value):
            shown = reprlib.repr(value)
            return f"has {shown} as attribute `{name}`, which must be of type `{declared}`"
    for name, attribute in spec.attributes.items():
        if attribute.required and name not in op.attributes:
            return f"lacks the attribute `{name}` of `{op.kind}`"
    return None


def _unit_problem(module: Module, op: Op) -> str | None:
    """A unit is `kind chip.index`, at the chip level."""
    if op.unit is None:
        return None
    if module.level is not Level.CHIP:
        return f"has the unit `{op.unit}`, which level {module.level.value} does not have"
    if not _UNIT.fullmatch(op.unit):
        return f"has the unit `{op.unit}`, which is not of the form `core 0.12`"
    return None


def _inference_problem(module: Module, spec: OpSpec, op: Op) -> str | None:
    """The declared types of the results are those that the shape rule infers."""
    if spec.infer is None:
        return None
    try:
        inferred = spec.infer(module, op)
    except (ValueError, TypeError) as error:
        return f"is wrong: {error}"
    if len(inferred) < len(op.results):
        return f"has {len(op.results)} results, but `{op.kind}` gives {len(inferred)} here"
    for name, kind in zip(op.results, inferred, strict=False):
        if name and kind is not None and module.values[name].type != kind:
            declared = type_text(module.values[name].type)
            return f"declares `{name}` as {declared}, but `{op.kind}` gives {type_text(kind)}"
    return None
