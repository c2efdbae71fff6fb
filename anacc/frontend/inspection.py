"""What importers do, read from their own source: for docs/supported-operators.md.

The page must not say anything that the code does not, so it is not written a second time: the
conditions that an importer raises, and the ops that it emits, stand in its source as literals.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from anacc.frontend.node import Node
from anacc.frontend.registry import Importer, condition_of, hint_of
from anacc.ir import Level
from anacc.ir.spec import vocabulary

Condition = tuple[str, str]
"""The end of the sentence "it runs on the chip only if ...", and the hint, "" without one."""

_PACKAGE = "anacc.frontend"
_INSERTED = "…"


def emitted_kinds(importer: Importer) -> list[str]:
    """The graph ops that an importer may emit, in the order of the vocabulary."""
    found = {
        node.value
        for function in _reached(importer.build)
        for node in ast.walk(_without_docstrings(function))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    kinds = [spec.kind for spec in vocabulary(Level.GRAPH)]
    return [kind for kind in kinds if kind in found and kind != "host"]


def conditions(importer: Importer) -> list[Condition]:
    """What an importer asks of a node: its constraints, then what it may raise."""
    found = {condition_of(rule): hint_of(rule) for rule in importer.requires}
    for function in _reached(importer.build):
        if function.__module__ != Node.__module__:  # what is asked of every node
            for condition, hint in raised_conditions(function):
                found.setdefault(condition, hint)
    return list(found.items())


def raised_conditions(function: Callable[..., Any]) -> Iterator[Condition]:
    """The conditions that a function raises as `Unsupported`; what they insert is shown as `…`."""
    for node in ast.walk(_tree(function)):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        called, arguments = node.exc.func, node.exc.args
        if not isinstance(called, ast.Name) or not arguments:
            continue
        rule = _named(function, arguments[0])
        if called.id == "Unsupported":
            texts = [_text(argument) for argument in arguments]
            if texts[0] != _INSERTED:  # a constraint's own sentence
                yield texts[0], texts[1] if len(texts) > 1 else ""
        elif called.id == "unmet" and rule is not None:
            yield condition_of(rule), hint_of(rule)


def _reached(function: Callable[..., Any]) -> list[FunctionType]:
    """A function of the frontend, and those that it names, in the order of first mention; of a
    class that one of them names, the methods that one of them calls."""
    found: dict[FunctionType, None] = {}
    classes: dict[type, None] = {}
    called: set[str] = {"__init__", "__post_init__"}
    pending: list[Any] = [function]
    while pending:
        current = pending.pop(0)
        if isinstance(current, type) and _is_ours(current):
            classes[current] = None
        elif isinstance(current, FunctionType) and _is_ours(current) and current not in found:
            found[current] = None
            names = [
                n for n in ast.walk(_tree(current)) if isinstance(n, (ast.Name, ast.Attribute))
            ]
            names.sort(key=lambda name: (name.lineno, name.col_offset))
            called |= {name.attr for name in names if isinstance(name, ast.Attribute)}
            pending += [_named(current, name) for name in names]
        if not pending:
            methods = [m for each in classes for n, m in vars(each).items() if n in called]
            pending = [m for m in methods if isinstance(m, FunctionType) and _is_ours(m)]
            pending = [method for method in pending if method not in found]
    return list(found)


def _is_ours(thing: type | FunctionType) -> bool:
    """Whether a class or function is written in the frontend; what `Node` does is asked of every
    node, and the methods that dataclasses make have no source."""
    if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith("<"):
        return False
    return thing.__module__.startswith(_PACKAGE) and thing is not Node


def _named(function: Callable[..., Any], name: ast.expr) -> Any:
    """What a name, or a name of a module, stands for in a function; None if unknown."""
    scope: dict[str, Any] = getattr(function, "__globals__", {})
    if isinstance(name, ast.Name):
        return scope.get(name.id)
    if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
        module = scope.get(name.value.id)
        return getattr(module, name.attr, None) if isinstance(module, ModuleType) else None
    return None


@cache
def _tree(function: Callable[..., Any]) -> ast.Module:
    """The syntax of a function."""
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _without_docstrings(function: FunctionType) -> ast.Module:
    """The syntax of a function without the texts that stand alone in it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
    return tree


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _text(argument: ast.expr) -> str:
    """A literal text."""
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
        case _:
            return _INSERTED
