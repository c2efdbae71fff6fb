"""What the chip asks of every node, whatever its operator, and what to do about operators it lacks.

The functions are documented as the constraints of importers are; see `anacc.frontend.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto

from anacc.frontend.listing import operator_name
from anacc.ir import BATCH, TensorType


def has_known_shape(kind: TensorType) -> bool:
    """its shapes are known

    fix the sizes that shape arithmetic depends on (`--shape NAME=SIZE`), or export the model with
    fixed sizes
    """
    return kind.shape is not None


def is_float32(kind: TensorType) -> bool:
    """its tensors are float32

    integers and booleans are computed on the host; give them as float32 if they are activations
    """
    return kind.dtype == "float32"


def has_elements(kind: TensorType) -> bool:
    """its tensors have elements

    leave it to the host: empty tensors are no work for a chip
    """
    return 0 not in (kind.shape or ())


def has_batch(kind: TensorType) -> bool:
    """its tensors have a batch axis

    leave it to the host: what is the same for all samples is computed there once
    """
    return BATCH in (kind.shape or ())


GENERAL = (has_known_shape, is_float32, has_elements, has_batch)
"""All of them, in the order in which they are checked."""


_SHAPES = "export the model with fixed sizes, or bind them with `--shape NAME=SIZE`: it then folds"
_INTEGERS = "leave it to the host: it computes indices or conditions, no activations"
_NORMALISATION = (
    "train with BatchNormalization instead, which is merged into the layer before it, or leave it "
    "to the host: mean and variance of each sample need sums that no digital unit has"
)
_SOFTMAX = (
    "leave it out of the model if only the order of its outputs matters; at the end of a network "
    "it costs one crossing of the border"
)

HOST_OPERATORS: Mapping[str, str] = {
    "ArgMax": "return its input from the model, and take the largest outside",
    "ConstantOfShape": _SHAPES,
    "CumSum": "leave it to the host: it is a recurrence without weights",
    "Equal": _INTEGERS,
    "GridSample": "fold it into the pre- or postprocessing",
    "GroupNormalization": _NORMALISATION,
    "InstanceNormalization": _NORMALISATION,
    "LayerNormalization": _NORMALISATION,
    "LogSoftmax": _SOFTMAX,
    "NonMaxSuppression": "return boxes and scores from the model, and select outside",
    "NonZero": _INTEGERS,
    "OneHot": _INTEGERS,
    "Range": _SHAPES,
    "ScatterND": _INTEGERS,
    "Shape": _SHAPES,
    "Size": _SHAPES,
    "Softmax": _SOFTMAX,
    "TopK": "return its input from the model, and take the largest outside",
    "Where": "leave it to the host, or multiply by a mask of zeros and ones",
}
"""Operators of trained networks that no chip of this kind runs, each with what a user can do."""

_ANOTHER = (
    "leave it to the host, which runs it exactly, or express it by operators of "
    "docs/supported-operators.md"
)


def absent(node: NodeProto) -> tuple[str, str]:
    """Reason and hint for a node whose operator the chip does not have."""
    operator = operator_name(node)
    return f"the chip has no operator {operator}", HOST_OPERATORS.get(operator, _ANOTHER)
