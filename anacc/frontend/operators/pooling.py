"""Pooling."""

from __future__ import annotations

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.convolution import has_up_to_three_axes
from anacc.frontend.operators.windows import has_batch_first, has_known_padding, window_of
from anacc.frontend.registry import QUANTISED, imports
from anacc.ir.module import AttributeValue


def gives_no_indices(node: Node) -> bool:
    """nothing reads the places of its maxima

    leave it to the host, or upsample without the places (ConvTranspose instead of MaxUnpool)
    """
    return not node.uses(1)


@imports(
    "MaxPool",
    requires=(has_up_to_three_axes, gives_no_indices, has_known_padding, has_batch_first),
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
    requires=(has_up_to_three_axes, has_known_padding, has_batch_first),
)
def import_average_pool(node: Node) -> None:
    """AveragePool becomes `average_pool`."""
    window = window_of(node, tuple(node.attribute("kernel_shape", ())))
    counts = bool(node.attribute("count_include_pad", 0))
    if counts and any(window.extra):
        raise Unsupported("rounding up its positions does not enlarge windows whose pads count")
    dilated = any(hole != 1 for hole in window.dilations)
    holes: dict[str, AttributeValue] = {"dilations": window.dilations} if dilated else {}
    node.emit(
        "average_pool",
        (node.value(0),),
        None,
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        count_include_pad=counts,
        **holes,
    )
