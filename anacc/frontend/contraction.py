"""Products of an activation with a constant tensor, as Einstein sums, on crossbars.

Each axis of the activation, the constant and the result has a label.  A label is

1. *summed* if the activation has it and the result has not,
2. a *row* if the activation and the result have it: another vector for the same matrix,
3. a *column* if the constant and the result have it,
4. a *group* if all three have it: another matrix for each index.

Without groups, the sum is a product of rows with one matrix: `linear` where the summed axes are the
last ones, `conv` with a kernel of one element where they follow the batch (a constant on the left):
neither moves any data.  In other cases the rows are brought to the front first.

With groups it is a grouped `conv` with a kernel of one element: one stream of the bridge feeds all
matrices, and those that are small share a crossbar along its diagonal and one step.  A slice, a
product and a place in a concatenation for each matrix would pass the whole activation through the
bridge once for each of them, and take a step for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anacc.frontend.chain import Chain
from anacc.frontend.einsum import Labels
from anacc.frontend.external import Array
from anacc.frontend.node import Unsupported
from anacc.ir import BATCH
from anacc.ir.module import Dim


@dataclass(frozen=True)
class Operand:
    """The constant of a product.

    Attributes:
        position: the input of the node that it is.
        array: its values, an axis for each label.
        labels: of its axes.
        suffix: for its name, if the values are not those of the input.
    """

    position: int
    array: Array
    labels: Labels
    suffix: str = ""


def contract(
    chain: Chain, labels: Labels, constant: Operand, result: Labels, bias: str = ""
) -> Chain:
    """Sum the products of an activation with a constant over the labels that the result lacks.

    Args:
        chain: the activation.
        labels: of its axes.  An axis of 1 is repeated to what the other operand has.
        constant: the other operand.
        result: the labels of the result.
        bias: a constant of the module with one element for each column, or "".

    Raises:
        Unsupported: if crossbars cannot compute it.
    """
    _check(labels, constant, result)
    labels, constant = _without_ones(chain, labels, constant)
    sizes: dict[str, Dim] = dict(zip(labels, chain.shape, strict=True))
    array, inside = _without_lone(constant, labels, result, sizes)
    summed = [label for label in labels if label not in result]
    groups = [label for label in labels if label in inside and label in result]
    rows = [label for label in labels if label in result and label not in inside]
    columns = [label for label in result if label not in labels]
    if not summed:
        raise Unsupported("it sums over an axis of the activation")
    sizes.update((label, array.shape[inside.index(label)]) for label in columns)
    width = math.prod(int(sizes[label]) for label in columns)
    depth = math.prod(int(sizes[label]) for label in summed)
    order = [inside.index(label) for label in (*groups, *summed, *columns)]
    matrix = array.transpose(order).reshape(-1, depth, width)  # (groups, in, out)

    def weight(values: Array) -> str:
        if not constant.suffix and _is_same_memory(values, chain.node.constant(constant.position)):
            return chain.node.weight(constant.position)
        turned = _is_same_memory(values, constant.array.T)
        suffix = f"{'transposed' if turned else 'matrix'}.{constant.suffix}".strip(".")
        return chain.node.weight(constant.position, values, suffix)

    extra = (bias,) if bias else ()
    first = rows[:1] if rows and sizes[rows[0]] in (BATCH, 1) else []
    batched = BATCH in chain.shape
    is_column_form = (first or not batched) and list(labels) == [
        *first,
        *summed,
        *rows[len(first) :],
    ]
    if groups or (is_column_form and list(labels) != [*rows, *summed]):
        lead = [label for label in rows if sizes[label] == BATCH] if groups else first
        others = [label for label in rows if label not in lead]
        _arrange(chain, labels, [*lead, *groups, *summed, *others])
        size: Dim = sizes[lead[0]] if lead else 1
        chain.reshape((size, len(matrix) * depth, _product(sizes, others)))
        _pointwise_conv(chain, weight(_kernel(matrix)), extra, len(matrix))
        found = [*lead, *groups, *columns, *others]
    else:
        _arrange(chain, labels, [*rows, *summed])
        chain.reshape((*(sizes[label] for label in rows), depth))
        chain.apply("linear", "product", weight(matrix[0]), *extra)
        found = [*rows, *columns]
    chain.reshape([sizes[label] for label in found])
    return _arrange(chain, tuple(found), result)


def _check(labels: Labels, constant: Operand, result: Labels) -> None:
    if len(set(labels)) < len(labels):
        raise Unsupported("it takes no diagonal of an activation")
    if len(set(result)) < len(result) or not set(result) <= {*labels, *constant.labels}:
        raise Unsupported("each axis of its result is one of its operands'")


def _without_ones(chain: Chain, labels: Labels, constant: Operand) -> tuple[Labels, Operand]:
    """Drop the axes of 1 that the other operand repeats, and those that repeat nothing."""
    mine = dict(zip(labels, chain.shape, strict=True))
    theirs = dict(zip(constant.labels, constant.array.shape, strict=True))
    for label in mine.keys() & theirs.keys():
        if mine[label] != theirs[label] and 1 not in (mine[label], theirs[label]):
            raise Unsupported("its constant is the same for every sample")
    dropped = {label for label in labels if mine[label] == 1 and theirs.get(label, 1) != 1}
    kept = tuple(label for label in labels if label not in dropped)
    chain.reshape([mine[label] for label in kept])
    ones = tuple(
        axis
        for axis, label in enumerate(constant.labels)
        if constant.array.shape[axis] == 1 and label in kept
    )
    inside = tuple(label for axis, label in enumerate(constant.labels) if axis not in ones)
    return kept, replace(constant, array=constant.array.squeeze(ones), labels=inside)


def _is_same_memory(one: Array, two: Array | None) -> bool:
    """Whether two arrays are the same elements in the same order, by where they are."""
    return (
        two is not None
        and (one.shape, one.strides, one.dtype) == (two.shape, two.strides, two.dtype)
        and one.ctypes.data == two.ctypes.data
    )


def _without_lone(
    constant: Operand, labels: Labels, result: Labels, sizes: dict[str, Dim]
) -> tuple[Array, list[str]]:
    """The constant, summed over what it alone has, repeated along what only the activation has and
    the result has not; with its labels."""
    own = dict.fromkeys(constant.labels)
    kept = [label for label in own if label in labels or label in result]
    array = constant.array
    if list(constant.labels) != kept:
        number = {label: place for place, label in enumerate(own)}
        array = np.einsum(array, [number[n] for n in constant.labels], [number[n] for n in kept])
    for label in labels:
        if label not in kept and label not in result and isinstance(sizes[label], int):
            array = np.repeat(array[..., np.newaxis], int(sizes[label]), axis=-1)
            kept.append(label)
    return np.asarray(array, constant.array.dtype), kept


def _arrange(chain: Chain, labels: Sequence[str], wanted: Sequence[str]) -> Chain:
    return chain.transpose([list(labels).index(label) for label in wanted])


def _product(sizes: dict[str, Dim], labels: Sequence[str]) -> int:
    return math.prod(int(sizes[label]) for label in labels)


def _kernel(matrix: Array) -> Array:
    """(groups, in, out) as the weight (M, C / group, 1) of a convolution."""
    return matrix.transpose(0, 2, 1).reshape(-1, matrix.shape[1], 1)


def _pointwise_conv(chain: Chain, weight: str, extra: tuple[str, ...], group: int) -> None:
    chain.apply(
        "conv", "product", weight, *extra, strides=(1,), pads=(0, 0), dilations=(1,), group=group
    )
