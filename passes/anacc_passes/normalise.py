"""Leave out what does nothing, and write what is left in one way.

1. `identity` goes.
2. A reshape, transpose, slice, pad or expand that changes nothing goes.
3. A reshape of a reshape is one reshape.
4. A clamp from zero to the largest binary32 number is a `relu`.
5. A clamp that bounds nothing goes.

Model inputs and outputs keep their names; origins of what goes are kept by the op before it, or,
where a model input comes before it, by nothing: such a node does nothing on the chip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from anacc.ir import Module, Op
from anacc_passes.rewrite import rebuild, resolve

_LARGEST = float(np.finfo(np.float32).max)
_MOVES = ("reshape", "transpose", "slice", "pad", "expand")


def _changes_nothing(module: Module, op: Op) -> bool:
    if op.kind == "identity":
        return True
    if op.kind == "clamp":
        return op.number("low") <= -_LARGEST and op.number("high") >= _LARGEST
    if op.kind not in _MOVES or module.tensor(op.operands[0]) != module.tensor(op.results[0]):
        return False
    if op.kind == "transpose":
        shape = module.tensor(op.operands[0]).shape or ()
        moved = [axis for axis in op.integers("permutation") if shape[axis] != 1]
        return moved == sorted(moved)
    if op.kind == "slice":
        steps, sizes = op.integers("steps"), op.integers("sizes")
        return all(step == 1 or size == 1 for step, size in zip(steps, sizes, strict=True))
    return True


def _simplified(op: Op, before: Op | None) -> Op:
    """The op by rules 3 and 4, knowing the op that gives its first operand."""
    if op.kind == "clamp" and op.number("low") == 0.0 and op.number("high") >= _LARGEST:
        return replace(op, kind="relu", attributes={})
    if op.kind == "reshape" and before is not None and before.kind == "reshape":
        return replace(op, operands=before.operands, origins=(*before.origins, *op.origins))
    return op


@dataclass(frozen=True)
class Normalise:
    """Graph to graph: fewer ops, the same values for every model output."""

    name = "normalise"

    def __call__(self, module: Module) -> Module:
        """Apply the rules above, each op once, in order."""
        renamed: dict[str, str] = {}
        ops: list[Op] = []
        places: dict[str, int] = {}  # of the op that gives a value, in `ops`
        for op in module.ops:
            source = resolve(op.operands[0], renamed) if op.operands else ""
            before = ops[places[source]] if source in places else None
            op = _simplified(op, before)
            if not _changes_nothing(module, op):
                places.update((result, len(ops)) for result in op.results if result)
                ops.append(op)
                continue
            kept = resolve(op.operands[0], renamed)
            renamed[op.results[0]] = kept
            if kept in places:
                giver = ops[places[kept]]
                ops[places[kept]] = replace(giver, origins=(*giver.origins, *op.origins))
        return rebuild(module, ops, renamed=renamed)
