"""Settle the scale of every float32 value.

1. A value that calibration did not see (made by the importer) takes the scale of its operand.
2. Moving codes does not change them: maximum pooling, reshape, transpose, slice, pad and expand
   keep the scale of their operand, and so does a concatenation whose operands agree.  Padding
   with a value that no code of that scale holds does not, unless it is so low that the maximum
   pooling that alone reads it never sees it: the least code then serves as well.
3. The hidden states of recurrent layers lie in [-1, 1], as long as the functions of the cell say
   so: their scale is 1/127.  Else it is that of the sequence of states.  It is larger if an
   initial state goes beyond.
4. A value of a quantised model keeps its scale.  It keeps a zero point too, up to `LARGEST_ZERO`,
   where crossbars alone take it, moved or not, and a crossbar or the border makes it; any other
   gets symmetric codes for the same range.
5. The last cell state of an LSTM and all that is only ever needed in binary16 take a power of two,
   which binary16 scales hold exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from anacc.ir import Module, Op, Value
from anacc.ir.cells import CELLS, INITIAL_H, is_bounded
from anacc.ir.module import Recoded
from anacc_passes.formats import BINARY16, INT8, demands
from anacc_passes.grids import LARGEST_ZERO, symmetric
from anacc_passes.integers import is_integer
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
        with_zero = _may_have_zero(module)
        unseen = _only_pooled(module)
        values = dict(module.values)

        def settle(name: str, scale: float) -> None:
            zero = values[name].zero
            if zero and not (name in with_zero and needed[name] == {INT8}):
                scale, zero = float(np.float32(symmetric(scale, zero))), 0
            if needed[name] <= {BINARY16}:
                scale = _power_of_two(scale)
            values[name] = replace(values[name], scale=scale, zero=zero)

        for name in module.inputs:
            value = values[name]
            if value.scale is not None and not is_integer(module, name):
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
                    values[result] = replace(values[result], scale=kept[0], zero=kept[1])
                elif op.kind in CELLS and position < 2:
                    values[result] = replace(values[result], scale=hidden)
                else:
                    settle(result, values[result].scale or _operand_scale(op, values))
        recoded = (*module.recoded, *_recoded(module, values, needed))
        return replace(module, values=values, ops=tuple(ops), recoded=recoded)


def _recoded(
    module: Module, values: Mapping[str, Value], needed: Mapping[str, frozenset[str]]
) -> Iterator[Recoded]:
    """What the codes of each tensor that the model quantises are, in order of the values."""
    moved = {op.results[0] for op in module.ops if op.kind in _KEEPS}
    for name, value in values.items():
        if name in module.grids and INT8 in needed[name] and name not in moved:
            tensor, lsb = module.grids[name]
            bits = math.log2((value.scale or lsb) / lsb)
            kept = abs(bits) < 1e-6  # scales are rounded to binary32
            yield Recoded(tensor, "activation", 0.0 if kept else bits, int(kept))


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


def _kept_scale(
    op: Op, values: dict[str, Value], only_pooled: set[str]
) -> tuple[float, int] | None:
    """The scale and the zero point of the operands, if the result has them too."""
    if op.kind not in _KEEPS:
        return None
    found = {
        (values[name].scale, values[name].zero) for name in op.operands if name.startswith("%")
    }
    scale, zero = found.pop() if len(found) == 1 else (None, 0)
    if scale is None:
        return None
    if abs(op.number("value")) <= LARGEST_CODE * scale or zero:
        return scale, zero
    return (scale, zero) if op.number("value") < 0 and op.results[0] in only_pooled else None


def _may_have_zero(module: Module) -> set[str]:
    """Values whose codes may have a zero point: see rule 4."""
    consumers, producers = module.consumers(), module.producers()
    returned = {value for _, value in module.outputs}

    def crossbars_take(name: str) -> bool:
        return name not in returned and all(
            name not in op.operands[1:]
            if op.kind == "crossbar"
            else _moves_with_zero(op, module.values[name]) and crossbars_take(op.results[0])
            for op in consumers[name]
        )

    return {
        name
        for name, value in module.values.items()
        if 0 < abs(value.zero) <= LARGEST_ZERO
        and name in producers
        and producers[name].kind in ("crossbar", "dequantise")
        and crossbars_take(name)
    }


def _moves_with_zero(op: Op, value: Value) -> bool:
    """Whether an op moves codes that have a zero point: a concatenation would have to join
    different ones, and padding must be a code."""
    reach = (LARGEST_CODE - abs(value.zero)) * (value.scale or 1.0)
    return op.kind in _KEEPS and op.kind != "concat" and abs(op.number("value")) <= reach


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
