"""Convolutions and batch normalisation."""

from __future__ import annotations

import numpy as np

from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.windows import has_batch_first, has_known_padding, window_of
from anacc.frontend.registry import imports
from anacc.frontend.steps import affine_constants


def has_constant_parameters(node: Node) -> bool:
    """its parameters are constants

    make them initialisers: weights that are inputs of the model, or computed, cannot be
    programmed
    """
    positions = range(1, len(node.proto.input))
    return all(node.constant(i) is not None for i in positions if node.has(i))


def has_up_to_three_axes(node: Node) -> bool:
    """it has one, two or three spatial axes

    rewrite it with fewer spatial axes, or leave it to the host
    """
    return len(node.shape(0)) in (3, 4, 5)


def is_inference(node: Node) -> bool:
    """it normalises by the stored statistics, for each channel

    export the model in inference mode
    """
    others = any(node.uses(i) for i in range(1, len(node.proto.output)))
    trains = node.attribute("training_mode", 0)
    return not others and not trains and node.attribute("spatial", 1) == 1


@imports(
    "Conv",
    requires=(has_constant_parameters, has_up_to_three_axes, has_known_padding, has_batch_first),
)
def import_conv(node: Node) -> None:
    """Conv becomes `conv`."""
    kernel = node.constant(1)
    window = window_of(node, kernel.shape[2:] if kernel is not None else ())
    operands = (node.value(0), node.weight(1), *((node.weight(2),) if node.has(2) else ()))
    node.emit(
        "conv",
        operands,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        group=int(node.attribute("group", 1)),
    )


@imports("BatchNormalization", requires=(has_constant_parameters, is_inference))
def import_batch_normalization(node: Node) -> None:
    """BatchNormalization becomes `affine`, its parameters merged in double precision."""
    scale, bias, mean, variance = (
        np.asarray(node.constant(i), np.float64).reshape(-1, *(1,) * (len(node.shape(0)) - 2))
        for i in range(1, 5)
    )
    spread = variance + node.attribute("epsilon", 1e-5)
    if not np.all(spread > 0):
        raise Unsupported("no variance is negative")
    factor = scale / np.sqrt(spread)
    constants = affine_constants(node, factor, bias - mean * factor, node.proto.output[0])
    node.emit("affine", (node.value(0), *constants))
