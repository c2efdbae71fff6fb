"""Pooling, and the reductions that are pooling over everything."""

from __future__ import annotations

from anacc.frontend.node import Node, Unsupported, spatial
from anacc.frontend.operators.windows import has_batch_first, has_known_padding, window_of
from anacc.frontend.registry import QUANTISED, imports
from anacc.ir.module import AttributeValue


def has_one_or_two_axes(node: Node) -> bool:
    """it has one or two spatial axes"""
    return len(node.shape(0)) in (3, 4)


def gives_no_indices(node: Node) -> bool:
    """nothing reads the places of its maxima"""
    return not node.uses(1)


def has_no_dilation(node: Node) -> bool:
    """its window has no dilation"""
    return all(hole == 1 for hole in node.attribute("dilations", []))


@imports(
    "MaxPool",
    requires=(has_one_or_two_axes, gives_no_indices, has_known_padding, has_batch_first),
    elements=QUANTISED,
)
def import_max_pool(node: Node) -> None:
    """MaxPool becomes `max_pool`: padding never wins, so rounding up only pads more."""
    window = window_of(node, tuple(node.attribute("kernel_shape", ())))
    node.emit(
        "max_pool",
        (node.value(0),),
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )


@imports(
    "AveragePool",
    requires=(has_one_or_two_axes, has_no_dilation, has_known_padding, has_batch_first),
)
def import_average_pool(node: Node) -> None:
    """AveragePool becomes `average_pool`."""
    window = window_of(node, tuple(node.attribute("kernel_shape", ())))
    counts = bool(node.attribute("count_include_pad", 0))
    if counts and any(window.extra):
        raise Unsupported("rounding up its positions does not enlarge windows whose pads count")
    node.emit(
        "average_pool",
        (node.value(0),),
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        count_include_pad=counts,
    )


def covers_all_axes(node: Node) -> bool:
    """it reduces all spatial axes and no other"""
    rank = len(node.shape(0))
    return rank in (3, 4) and _reduced_axes(node) == list(range(2, rank))


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
    requires=(covers_all_axes, has_batch_first),
)
def import_global_pool(node: Node) -> None:
    """A window over everything; without keepdims, a `reshape` drops the axes."""
    kernel = spatial(node.shape(0))
    ones, zeros = (1,) * len(kernel), (0,) * (2 * len(kernel))
    is_mean = node.proto.op_type in ("GlobalAveragePool", "ReduceMean")
    kind = "average_pool" if is_mean else "max_pool"
    last: AttributeValue = False if is_mean else ones
    window: dict[str, AttributeValue] = {
        "kernel": kernel,
        "strides": ones,
        "pads": zeros,
        "count_include_pad" if is_mean else "dilations": last,
    }
    if len(node.result()) == len(node.shape(0)):
        node.emit(kind, (node.value(0),), None, **window)
        return
    pooled = node.derive(kind, (node.value(0),), "pooled", node.proto.output[0], **window)
    node.emit("reshape", (pooled,), shape=node.result())
