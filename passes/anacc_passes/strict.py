"""The error of a compilation that allows no host nodes: it lists all of them at once."""

from __future__ import annotations

from collections.abc import Mapping

from anacc.errors import CompileError
from anacc.frontend import SourceModel
from anacc.ir import Module
from anacc_passes.reasons import CONSEQUENCES, Why, host_reasons


def refuse_host_nodes(module: Module) -> None:
    """Refuse a partitioned module of which a node runs on the host.

    Args:
        module: at graph level, after the partition.

    Raises:
        CompileError: its details name all such nodes, those with the same reason together.
    """
    found: dict[Why, list[str]] = {}
    for op in module.ops:
        if op.kind == "host":
            for node, why in host_reasons(op).items():
                found.setdefault(why, []).append(node)
    if not found:
        return
    source = module.source
    operators = source.operators if isinstance(source, SourceModel) else {}
    count = sum(map(len, found.values()))
    of = f" of {len(operators)}" if operators else ""
    raise CompileError(
        f"{count}{of} {'node' if max(count, len(operators)) == 1 else 'nodes'} would run on the "
        "host, and `strict` allows none",
        "compile without `strict`, and ONNX Runtime runs them",
        tuple(
            line
            for why, nodes in sorted(found.items(), key=_weight)
            for line in _group(why, nodes, operators)
        ),
    )


def _weight(group: tuple[Why, list[str]]) -> tuple[bool, int]:
    """What comes first: causes before their consequences, then what most nodes share."""
    return group[0] in CONSEQUENCES, -len(group[1])


def _group(why: Why, nodes: list[str], operators: Mapping[str, str]) -> list[str]:
    """The lines of the nodes with one reason: reason, nodes by operator, hint, empty line."""
    reason, hint = why
    by_operator: dict[str, list[str]] = {}
    for node in nodes:
        by_operator.setdefault(operators.get(node, ""), []).append(node)
    lines = [reason]
    for operator in sorted(by_operator):
        names = ", ".join(f"`{name}`" for name in by_operator[operator])
        lines.append(f"  {operator or 'unknown operator'}: {names}")
    return [*lines, *([f"  hint: {hint}"] if hint else []), ""]
