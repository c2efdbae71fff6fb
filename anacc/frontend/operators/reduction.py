"""Reductions, which are pooling over all of some axes."""

from __future__ import annotations

import math

from anacc.frontend.chain import Chain
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import imports
from anacc.ir import BATCH
from anacc.ir.module import AttributeValue, Dim


def leaves_batch(node: Node) -> bool:
    """it reduces constant axes, the batch not among them

    make its axes an initialiser, and reduce each sample by itself
    """
    axes = _reduced_axes(node)
    return axes is not None and all(node.shape(0)[axis] != BATCH for axis in axes)


def _reduced_axes(node: Node) -> list[int] | None:
    rank = len(node.shape(0))
    if node.proto.op_type.startswith("Global"):
        return list(range(2, rank))
    axes = node.integers(1) if node.has(1) else node.attribute("axes")
    if axes is None and node.has(1):
        return None
    if not axes:
        return [] if node.attribute("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


@imports(
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    requires=(leaves_batch,),
)
def import_reduction(node: Node) -> None:
    """A window over everything; what is not (N, C, *S) is reshaped to that, and back.

    Other axes are reduced as the last of (N, C, P, R): R are the elements that one result reduces,
    C and P the results.
    """
    axes = _reduced_axes(node)
    if axes is None:
        raise Unsupported("its axes are constants")
    chain = Chain(node, node.value(0))
    if axes:
        kernel = _arranged(chain, axes)
        _pool(node, chain, kernel)
    chain.reshape(node.result()).finish()


def _arranged(chain: Chain, axes: list[int]) -> tuple[int, ...]:
    """Bring what is reduced to the spatial axes; the window that covers it."""
    shape = chain.shape
    if shape[0] in (BATCH, 1) and axes == list(range(2, len(shape))) and len(axes) <= 3:
        return tuple(int(dim) for dim in shape[2:])
    batch = [axis for axis, dim in enumerate(shape) if dim == BATCH]
    others = [axis for axis in range(len(shape)) if axis not in (*batch, *axes)]
    chain.transpose([*batch, *others, *axes])
    results, places, reduced = (
        math.prod(int(shape[axis]) for axis in part) for part in (others[:1], others[1:], axes)
    )
    first: Dim = BATCH if batch else 1
    chain.reshape((first, results, places, reduced))
    return (1, reduced)


def _pool(node: Node, chain: Chain, kernel: tuple[int, ...]) -> None:
    """Reduce each window of a size that does not move."""
    kind = "average_pool"
    more: dict[str, AttributeValue] = {"count_include_pad": False}
    if node.proto.op_type in ("GlobalMaxPool", "ReduceMax"):
        kind, more = "max_pool", {"dilations": (1,) * len(kernel)}
    if node.proto.op_type == "ReduceSum":
        more["total"] = True
    chain.apply(
        kind,
        "pooled",
        kernel=kernel,
        strides=(1,) * len(kernel),
        pads=(0,) * (2 * len(kernel)),
        **more,
    )
