"""Local functions of a model: checked, then expanded into the graph."""

from __future__ import annotations

import onnx
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    checker,
    inliner,
    shape_inference,
    version_converter,
)

from anacc.errors import ModelError
from anacc.frontend.ordering import inner_graphs

MOST_NODES = 100_000
"""Nodes that functions expand to: a few that call each other twice would otherwise fill memory."""

MOST_CALLS = 100
"""Functions that call one another, one in the other: what expands them is recursive."""

_CHANGED = {"GroupNormalization": 21, "RoiAlign": 16}
"""Operators that changed in some operator set what they compute, but not how they are written."""

_Key = tuple[str, str, str]


def expand_functions(model: ModelProto) -> ModelProto:
    """The model with its local functions expanded, without value infos.

    Args:
        model: without initialisers.

    Raises:
        ModelError: if a function calls itself, expands to too many nodes, calls others too deeply,
            or is written for an operator set that cannot be converted to that of the model.
    """
    functions = {_key(function): function for function in model.functions}
    _Count(functions).of(model.graph)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    convert = False
    for function in model.functions:
        convert = not _adapt(function, versions) or convert
    try:
        expanded = inliner.inline_local_functions(model, convert)
    except (
        checker.ValidationError,
        shape_inference.InferenceError,
        version_converter.ConvertError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ModelError("the model has a function that cannot be expanded") from error
    _check_expanded(expanded.graph, functions)
    expanded.graph.ClearField("value_info")
    del expanded.functions[:]
    return expanded


def _key(function: FunctionProto) -> _Key:
    return function.domain, function.name, function.overload


class _Count:
    """Counts the nodes that graphs and functions expand to."""

    def __init__(self, functions: dict[_Key, FunctionProto]) -> None:
        self._functions = functions
        self._known: dict[_Key, int | None] = {}
        self._depth = 0

    def of(self, holder: GraphProto | FunctionProto) -> int:
        """The nodes of a graph or function.

        Raises:
            ModelError: if there are too many, or functions call one another too deeply, or
                themselves.
        """
        count = 0
        for node in holder.node:
            key = node.domain, node.op_type, node.overload
            count += 1 + (self._of_function(key) if key in self._functions else 0)
            count += sum(self.of(graph) for graph in inner_graphs(node))
            if count > MOST_NODES:
                raise ModelError(
                    f"the functions of the model expand to more than {MOST_NODES:,} nodes"
                )
        return count

    def _of_function(self, key: _Key) -> int:
        if key not in self._known:
            if self._depth >= MOST_CALLS:
                raise ModelError(
                    f"the functions of the model call one another more than {MOST_CALLS} deep"
                )
            self._known[key] = None
            self._depth += 1
            self._known[key] = self.of(self._functions[key])
            self._depth -= 1
        count = self._known[key]
        if count is None:
            raise ModelError(f"function `{_shown(key)}` calls itself")
        return count


def _shown(key: _Key) -> str:
    return ".".join(part for part in key[:2] if part)


def _adapt(function: FunctionProto, versions: dict[str, int]) -> bool:
    """Make a function use the operator sets of the model, where its operators mean the same there.

    Returns:
        whether they do.
    """
    others = {
        entry.domain: entry.version
        for entry in function.opset_import
        if versions.get(entry.domain, entry.version) != entry.version
    }
    same = all(
        _means_the_same(op, domain, others[domain], versions[domain])
        for domain, op in _operators(function)
        if domain in others
    )
    if same:
        for entry in function.opset_import:
            entry.version = versions.get(entry.domain, entry.version)
    return same


def _means_the_same(operator: str, domain: str, before: int, after: int) -> bool:
    """Whether what is written for one operator set holds in another one.

    It does where the operator did not change, and in a newer set where it only gained: types,
    further inputs, or attributes whose default is the old behaviour.
    """
    try:
        old = onnx.defs.get_schema(operator, before, domain)
        new = onnx.defs.get_schema(operator, after, domain)
    except onnx.defs.SchemaError:
        return True  # It is a function, or nothing that ONNX knows.
    if old.since_version == new.since_version:
        return True
    if new.deprecated or before < _CHANGED.get(operator, 0) <= after:
        return False
    kept = all(
        name in new.attributes
        and attribute.default_value == new.attributes[name].default_value
        and attribute.type == new.attributes[name].type
        for name, attribute in old.attributes.items()
    )
    return (
        before < after
        and kept
        and [each.name for each in old.outputs] == [each.name for each in new.outputs]
        and [each.name for each in old.inputs]
        == [each.name for each in new.inputs[: len(old.inputs)]]
    )


def _operators(holder: GraphProto | FunctionProto) -> set[tuple[str, str]]:
    found = {(node.domain, node.op_type) for node in holder.node}
    for node in holder.node:
        for graph in inner_graphs(node):
            found |= _operators(graph)
    return found


def _check_expanded(graph: GraphProto, functions: dict[_Key, FunctionProto]) -> None:
    for node in graph.node:
        if (node.domain, node.op_type, node.overload) in functions:
            raise ModelError(
                f"function `{_shown((node.domain, node.op_type, ''))}` is of an operator set that "
                "cannot be converted to that of the model",
                "write its body in the operator set of the model",
            )
        for inner in inner_graphs(node):
            _check_expanded(inner, functions)
