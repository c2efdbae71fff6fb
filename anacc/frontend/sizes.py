"""Absurd sizes are refused, before memory is taken for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from onnx import NodeProto

from anacc.errors import ModelError
from anacc.frontend.facts import Input
from anacc.ir import TensorType
from anacc.ir.module import Dim

MAX_BYTES = 4 * 2**30
"""Bytes of a tensor, the batch counting as one sample."""


def check_inputs(inputs: Iterable[Input]) -> None:
    """Refuse inputs that are too large, whatever size their symbols get.

    Raises:
        ModelError: naming the input.
    """
    for entry in inputs:
        _check(f"input `{entry.name}`", entry.shape, 1)


def check_results(nodes: Iterable[NodeProto], types: Mapping[str, TensorType]) -> None:
    """Refuse tensors that are too large, or of negative size.

    Raises:
        ModelError: naming the node.
    """
    for node in nodes:
        for name in node.output:
            kind = types.get(name)
            if kind is not None and kind.shape is not None:
                what = f"the result `{name}` of node `{node.name}` ({node.op_type})"
                _check(what, kind.shape, _bytes(kind.dtype))


def _bytes(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 1


def _check(what: str, shape: tuple[Dim, ...], element: int) -> None:
    sizes = [dim for dim in shape if isinstance(dim, int)]
    listed = ", ".join(map(str, shape))
    if min(sizes, default=0) < 0:
        raise ModelError(f"{what} has a negative size: ({listed})")
    size = math.prod(sizes) * element
    if size > MAX_BYTES or max(sizes, default=0) > 2**40:
        raise ModelError(
            f"{what} of shape ({listed}) takes {max(size / 2**30, 1):,.0f} GiB for one sample, and "
            f"{MAX_BYTES // 2**30} GiB are the limit"
        )
