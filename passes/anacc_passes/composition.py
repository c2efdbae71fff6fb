"""Elementwise ops that together are one function of one value.

Each value that elementwise ops with constant numbers compute from a single other value, its root,
is a function of that root, whatever the graph between them looks like.  A root is a value that is
no such function; so is what an LDPU computes behind a crossbar on the way, which costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anacc.ir import Module, Op
from anacc.ir.functions import Step, Steps
from anacc.targets import Target
from anacc_passes.rewrite import only_consumer
from anacc_passes.units import fuses

MOST_STEPS = 64

_CURVES = ("function", "sigmoid", "tanh", "multiply")


@dataclass(frozen=True)
class Expression:
    """A value as a function of its root.

    Attributes:
        root: the value that the function is of.
        steps: see `anacc.ir.functions`; empty for the root itself.
        ops: positions of the ops that compute it, in the order of the module.
    """

    root: str
    steps: Steps = ()
    ops: frozenset[int] = frozenset()

    def is_curve(self, module: Module) -> bool:
        """Whether several ops compute it, and not only such as an LDPU computes exactly."""
        kinds = [module.ops[index].kind for index in self.ops]
        several = len([kind for kind in kinds if kind != "identity"]) > 1
        return several and any(kind in _CURVES for kind in kinds)

    def origins(self, module: Module) -> tuple[str, ...]:
        """The ONNX nodes of its ops, in the order of the graph."""
        found = (name for index in sorted(self.ops) for name in module.ops[index].origins)
        return tuple(dict.fromkeys(found))


def expressions(module: Module, target: Target) -> dict[str, Expression]:
    """The values of a graph module that are a function of one other value."""
    found: dict[str, Expression] = {}
    behind = _behind_crossbars(module, target)
    for index, op in enumerate(module.ops):
        operands = [
            found.get(name, Expression(name)) for name in op.operands if name.startswith("%")
        ]
        if index in behind or len({each.root for each in operands}) != 1:
            continue
        steps = _steps(module, op, [each.steps for each in operands])
        if steps is not None and len(steps) <= MOST_STEPS:
            ops = frozenset({index}).union(*(each.ops for each in operands))
            found[op.results[0]] = Expression(operands[0].root, steps, ops)
    return found


def _behind_crossbars(module: Module, target: Target) -> set[int]:
    """Positions of the ops that can join the layer in front of them, see `anacc_passes.fuse`."""
    consumers = module.consumers()
    layers = {op.results[0] for op in module.ops if op.kind in ("conv", "linear")}
    behind = set()
    for index, op in enumerate(module.ops):
        joins = fuses(target, op.kind) and any(
            name in layers and only_consumer(module, consumers, name) is op for name in op.operands
        )
        if joins:
            behind.add(index)
            layers.add(op.results[0])
    return behind


def _steps(module: Module, op: Op, operands: list[Steps]) -> Steps | None:
    """The function that an op computes, its operands being functions of one root; None if it is no
    elementwise op, or has a constant of several numbers."""
    match op.kind:
        case "identity":
            return operands[0]
        case "add" | "multiply":
            steps, places = _joined(operands)
            return (*steps, (op.kind, *places))
        case "relu" | "sigmoid" | "tanh":
            return _chained(operands[0], ((op.kind, 0),))
        case "clamp":
            return _chained(operands[0], (("clamp", 0, op.number("low"), op.number("high")),))
        case "affine":
            scale, offset = (_number(module, name) for name in op.operands[1:3])
            if scale is None or offset is None:
                return None
            return _chained(operands[0], (("affine", 0, scale, offset),))
        case "function":
            return _chained(operands[0], op.nested("steps"))
    return None


def _number(module: Module, name: str) -> float | None:
    """A constant whose elements are all the same."""
    array = module.constants[name]
    first = float(array.flat[0]) if array.size else 0.0
    return first if bool(np.all(array == first)) else None


def _joined(parts: list[Steps]) -> tuple[Steps, list[int]]:
    """The steps of several functions of one root, equal ones once, and the place of each result."""
    steps: list[Step] = []
    places = []
    for part in parts:
        moved = [0]
        for step in part:
            new = _renumbered(step, moved)
            if new not in steps:
                steps.append(new)
            moved.append(steps.index(new) + 1)
        places.append(moved[-1])
    return tuple(steps), places


def _chained(first: Steps, second: Steps) -> Steps:
    """The second function of the result of the first."""
    steps, moved = list(first), [len(first)]
    for step in second:
        steps.append(_renumbered(step, moved))
        moved.append(len(steps))
    return tuple(steps)


def _renumbered(step: Step, moved: list[int]) -> Step:
    return tuple(moved[item] if isinstance(item, int) else item for item in step)
