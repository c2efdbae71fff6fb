"""Settle the scale of every float32 value.

1. A value that calibration did not see (made by the importer) takes the scale of its operand.
2. Moving codes does not change them: maximum pooling, reshape, transpose, slice, pad and expand
   keep the scale of their operand, and so does a concatenation whose operands agree.  Padding
   with a value that no code of that scale holds does not.
3. The hidden states of an LSTM lie in [-1, 1]: their scale is 1/127.  Its last cell state and all
   that is only ever needed in binary16 take a power of two, which binary16 scales hold exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from anacc.ir import Module, Op, Value
from anacc_passes.calibrate import CODES
from anacc_passes.formats import VALUES, demands

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
        values = dict(module.values)

        def settle(name: str, scale: float) -> None:
            if needed[name] <= {VALUES}:
                scale = _power_of_two(scale)
            values[name] = replace(values[name], scale=scale)

        for name in module.inputs:
            value = values[name]
            if value.scale is not None:
                settle(name, value.scale)
        for op in module.ops:
            kept = _kept_scale(op, values)
            for position, result in enumerate(op.results):
                if not result or getattr(values[result].type, "dtype", "") != "float32":
                    continue
                if kept is not None:
                    values[result] = replace(values[result], scale=kept)
                elif op.kind == "lstm" and position < 2:
                    values[result] = replace(values[result], scale=1.0 / CODES)
                else:
                    settle(result, values[result].scale or _operand_scale(op, values))
        return replace(module, values=values)


def _kept_scale(op: Op, values: dict[str, Value]) -> float | None:
    if op.kind not in _KEEPS:
        return None
    scales = {values[name].scale for name in op.operands if name.startswith("%")}
    kept = scales.pop() if len(scales) == 1 else None
    if kept is None or abs(op.number("value")) > CODES * kept:
        return None
    return kept


def _operand_scale(op: Op, values: dict[str, Value]) -> float:
    for name in op.operands:
        if name.startswith("%") and values[name].scale is not None:
            return values[name].scale or 1.0
    return 1.0 / CODES
