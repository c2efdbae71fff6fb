"""Settle the scale of every float32 value.

1. A value that calibration did not see (made by the importer) takes the scale of its operand.
2. Moving codes does not change them: maximum pooling, reshape, transpose, slice, pad and expand
   keep the scale of their operand, and so does a concatenation whose operands agree.  Padding
   with a value that no code of that scale holds does not, unless it is so low that the maximum
   pooling that alone reads it never sees it: the least code then serves as well.
3. The hidden states of recurrent layers lie in [-1, 1], as long as the functions of the cell say
   so: their scale is 1/127.  Else it is that of the sequence of states.  It is larger if an
   initial state goes beyond.
4. The last cell state of an LSTM and all that is only ever needed in binary16 take a power of two,
   which binary16 scales hold exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from anacc.ir import Module, Op, Value
from anacc.ir.cells import CELLS, INITIAL_H, is_bounded
from anacc_passes.formats import BINARY16, demands
from anacc_passes.ranges import LARGEST_CODE

_KEEPS = ("max_pool", "reshape", "transpose", "slice", "pad", "expand", "concat")


def _power_of_two(scale: float) -> float:
    return 2.0 ** round(math.log2(scale))


@dataclass(frozen=True)
class Quantise:
    """Layer to layer: afterwards every float32 value has a scale."""

    name = "quantise"

    def __call__(self, module: Module) -> Module:
        """Apply the rules above in order of the ops."""
        needed = demands(module)
        unseen = _only_pooled(module)
        values = dict(module.values)

        def settle(name: str, scale: float) -> None:
            if needed[name] <= {BINARY16}:
                scale = _power_of_two(scale)
            values[name] = replace(values[name], scale=scale)

        for name in module.inputs:
            value = values[name]
            if value.scale is not None:
                settle(name, value.scale)
        ops = []
        for op in module.ops:
            kept = _kept_scale(op, values, unseen)
            hidden = 1.0 / LARGEST_CODE
            if op.kind in CELLS:
                hidden = _hidden_scale(module, op)
                op = replace(op, attributes={**op.attributes, "hidden_scale": hidden})
            ops.append(op)
            for position, result in enumerate(op.results):
                if not result or getattr(values[result].type, "dtype", "") != "float32":
                    continue
                if kept is not None:
                    values[result] = replace(values[result], scale=kept)
                elif op.kind in CELLS and position < 2:
                    values[result] = replace(values[result], scale=hidden)
                else:
                    settle(result, values[result].scale or _operand_scale(op, values))
        return replace(module, values=values, ops=tuple(ops))


def _hidden_scale(module: Module, op: Op) -> float:
    """The scale of a recurrent layer's hidden states, from what calibration saw of them."""
    name = op.operands[INITIAL_H] if len(op.operands) > INITIAL_H else ""
    limit = 1.0
    if not is_bounded(op):
        states = next(result for result in op.results if result)
        limit = (module.values[states].scale or limit) * LARGEST_CODE
    if name.startswith("@"):
        limit = max(limit, float(np.abs(module.constants[name]).max(initial=0.0)))
    elif name:
        limit = max(limit, (module.values[name].scale or 0.0) * LARGEST_CODE)
    return limit / LARGEST_CODE


def _kept_scale(op: Op, values: dict[str, Value], only_pooled: set[str]) -> float | None:
    if op.kind not in _KEEPS:
        return None
    scales = {values[name].scale for name in op.operands if name.startswith("%")}
    kept = scales.pop() if len(scales) == 1 else None
    if kept is None or abs(op.number("value")) <= LARGEST_CODE * kept:
        return kept
    return kept if op.number("value") < 0 and op.results[0] in only_pooled else None


def _only_pooled(module: Module) -> set[str]:
    """Values that maximum pooling alone reads."""
    returned = {name for _, name in module.outputs}
    return {
        name
        for name, readers in module.consumers().items()
        if readers and name not in returned and all(op.kind == "max_pool" for op in readers)
    }


def _operand_scale(op: Op, values: dict[str, Value]) -> float:
    for name in op.operands:
        if name.startswith("%") and values[name].scale is not None:
            return values[name].scale or 1.0
    return 1.0 / LARGEST_CODE
