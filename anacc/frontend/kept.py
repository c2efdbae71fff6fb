"""Weights of quantised models keep their codes.

The weights of a quantised model are integers and a scale; constants fold, so that importers see
float32 numbers.  What is, bit for bit, a product of integers in [-128, 127] with one scale for each
output column is written as those integers, of type int8, and an `affine` with the scales behind the
convolution or product: fusing gives them to the LDPU.  All other weights, blocked ones for example,
or such whose zero point takes them out of that range, stay real numbers, which are quantised anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from onnx import GraphProto

from anacc.frontend.external import Array
from anacc.frontend.naming import unused_name
from anacc.frontend.node import Scope
from anacc.ir import Op, Value
from anacc.ir.module import Recoded

_LARGEST = 128


def steps_of_weights(graph: GraphProto, values: Mapping[str, Array]) -> dict[str, Array]:
    """The scales of all constants that a DequantizeLinear computes, by the name of its result."""
    return {
        node.output[0]: np.asarray(values[node.input[1]], np.float32).reshape(-1)
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.output[0] in values
        and node.input[1] in values
    }


def keep_codes(scope: Scope, steps: Mapping[str, Array]) -> None:
    """Write the weights of convolutions and products as integers where they are such.

    Args:
        scope: the module under construction, all of its nodes imported.
        steps: scales of constants by name; what an importer derived from a constant `w` is called
            `w.` and a suffix.
    """
    known = {**steps, **scope.steps}
    ops: list[Op] = []
    for op in scope.ops:
        step = _step_of(op.operands[1], known) if op.kind in ("conv", "linear") else None
        if step is None:
            ops.append(op)
            continue
        name = op.operands[1]
        found = _integers(scope.constants[name], step, op.kind)
        if found is None:
            lost = _bits_lost(scope.constants[name], step, op.kind)
            scope.recoded.append(Recoded(name[1:], "weight", lost, 0))
            ops.append(op)
            continue
        ops += _split(scope, op, *found)
        beyond = int(np.count_nonzero(found[0] == -_LARGEST))
        if beyond:
            scope.recoded.append(Recoded(name[1:], "weight", 0.0, beyond))
    scope.ops[:] = ops


def _step_of(constant: str, known: Mapping[str, Array]) -> Array | None:
    name = constant.removeprefix("@")
    while name not in known:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return known[name]


def _bits_lost(weight: Array, step: Array, kind: str) -> float:
    """By how many bits the LSB of a column, 1/127 of its largest weight, exceeds the model's; the
    most of all columns, or, where scales are not those of columns, against the finest scale."""
    axis = 0 if kind == "conv" else 1
    others = tuple(k for k in range(weight.ndim) if k != axis)
    lsb = np.abs(weight).max(axis=others, initial=0.0) / np.float32(_LARGEST - 1)
    own = step if step.size in (1, len(lsb)) else np.full(1, step.min(initial=np.inf))
    share = lsb / own
    largest = float(share[np.isfinite(share)].max(initial=0.0))
    return math.log2(largest) if largest > 0 else 0.0


def _integers(weight: Array, step: Array, kind: str) -> tuple[Array, Array] | None:
    """int8 codes in the shape of the weight, and the scale of each output column; None if there are
    none that give the weight bit for bit."""
    axis = 0 if kind == "conv" else 1
    columns = weight.shape[axis]
    if step.size not in (1, columns) or not (step > 0).all() or not np.isfinite(step).all():
        return None
    scale = np.broadcast_to(step, (columns,))
    shaped = scale.reshape([-1 if k == axis else 1 for k in range(weight.ndim)])
    codes = np.rint(weight / shaped)
    if codes.size == 0 or codes.min() < -_LARGEST or codes.max() >= _LARGEST:
        return None
    same = np.array_equal((codes.astype(np.float32) * shaped).astype(np.float32), weight)
    return (codes.astype(np.int8), np.ascontiguousarray(scale)) if same else None


def _split(scope: Scope, op: Op, codes: Array, scale: Array) -> list[Op]:
    """The op on integers, and the affine op that gives its result."""
    result = op.results[0]
    kind = scope.values[result].type
    column = (-1, *(1,) * (codes.ndim - 2)) if op.kind == "conv" else (-1,)
    offset = np.zeros_like(scale)
    if len(op.operands) > 2 and op.operands[2]:
        offset = scope.constants[op.operands[2]].reshape(-1)
    counted = unused_name(f"{result}.counted", scope.values.__contains__)
    scope.values[counted] = Value(counted, kind)
    tensor = result.removeprefix("%")
    scope.stands_for[counted] = scope.stands_for.get(result, tensor)
    if result in scope.integers:
        scope.integers[counted] = scope.integers[result]
    names = []
    for label, array in (
        ("codes", codes),
        ("scale", scale.reshape(column)),
        ("offset", offset.reshape(column)),
    ):
        names.append(unused_name(f"@{tensor}.{label}", scope.constants.__contains__))
        scope.constants[names[-1]] = array
    product = replace(op, operands=(op.operands[0], names[0]), results=(counted,))
    return [product, Op("affine", (counted, *names[1:]), (result,), {}, op.origins)]
