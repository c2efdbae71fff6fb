"""How far the chip may be from float32: what codes and converters lose, and nothing else.

Notation of docs/numerics.md.  Of a product y = sum of x w over R rows, with X the largest |x| and W
the largest |w| of a column, minmax ranges have the LSBs X / 127 and W / 127, and:

- **codes**: x errs by half an LSB at most, so does w:
  sum |w| X/254 + sum |x| W/254 + R X W / 254^2;
- **converter**: each of the two counts of a conversion rounds to half an LSB of the charge,
  2^b / a of the tile, which is worth X/127 W/127: together a whole one for each row tile;
- **full scale**: charges q+ and q- of the two signs, (sum |x w| +- y) / 2, lose what they exceed
  the largest count by;
- **binary16**: the constants of the LDPU, each partial sum and the result round to 2^-11 of what
  is added at most, the sum of all |x w| and the bias;
- **bridge**: results that are moved are codes, half an LSB of 1/127 of the largest.

All of these sums are the operator itself on magnitudes, so that ONNX Runtime computes them, with
padding, strides and groups as they are.  A compiler that chooses other ranges does so to lessen the
squared error on calibration data, here the very inputs: so the root mean square of the error is
bounded by that of this bound, and for minmax ranges each element is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto
from onnx.helper import get_attribute_value

from anacc.program.image import Image
from tests.onnx_backend.cases import onnx_runtime

Array = npt.NDArray[Any]

CODE = 127.0
ROUNDING = 2.0**-11


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute of a node."""
    return next((get_attribute_value(a) for a in node.attribute if a.name == name), default)


def lsb_of_charge(image: Image) -> float:
    """The coarsest step of a converter, in products of an input and a weight code."""
    return max(2.0**adc.shift / adc.multiplier for adc in image.code.adcs)


def full_scale(image: Image) -> float:
    """The least charge that a converter clips, in products of codes."""
    return min(2.0**adc.shift / adc.multiplier * adc.maximum for adc in image.code.adcs)


def product_bound(model: ModelProto, image: Image, inputs: Mapping[str, Array]) -> Array:
    """The largest error of each element of a Conv, ConvTranspose, Gemm or MatMul.

    Args:
        model: of the node alone, with all inputs.
        image: the program of the baked node.
        inputs: by name, in the node's order: activation, weight, bias.
    """
    (node,) = model.graph.node
    x, w, *bias = (inputs[name] for name in node.input)
    run = _linear(model, [np.zeros_like(b) for b in bias])
    columns = _column_maxima(node, w)
    largest = np.max(np.abs(x), initial=0.0)
    lsb_x = np.full_like(x, largest / CODE)
    lsb_w = np.broadcast_to(columns / CODE, w.shape).astype(np.float32)
    magnitude = run(np.abs(x), np.abs(w))
    codes = run(lsb_x / 2, np.abs(w)) + run(np.abs(x), lsb_w / 2) + run(lsb_x / 2, lsb_w / 2)
    # Of weights in units of their column, the charges in units of X; full scale likewise.
    relative = w / np.where(columns > 0, columns, 1)
    both, signed = run(np.abs(x), np.abs(relative)), run(x, relative)
    limit = full_scale(image) * largest / CODE**2
    step = float(np.max(columns, initial=0.0))
    excess = sum(np.maximum(0, (both + sign * signed) / 2 - limit) for sign in (1, -1)) * step
    tiles = max(1, len(image.code.weights))
    converter = tiles * lsb_of_charge(image) * largest * step / CODE**2
    added = magnitude + max((float(np.max(np.abs(b), initial=0.0)) for b in bias), default=0.0)
    halves = ROUNDING * (2 + tiles) * added
    bridge = np.max(added, initial=0.0) / (2 * CODE)
    return np.asarray(codes + excess + converter + halves + bridge, np.float64)


def _linear(model: ModelProto, bias: list[Array]) -> Callable[[Array, Array], Array]:
    """The node as a function of its activation and its weight, the bias being zero.

    Factors of Gemm are taken by their magnitudes, which is what all bounds but the signed sum want;
    where alpha is negative, that sum changes its sign, and the two charges change places.
    """
    plain = ModelProto()
    plain.CopyFrom(model)
    for entry in plain.graph.node[0].attribute:
        if entry.name in ("alpha", "beta"):
            entry.f = abs(entry.f)

    def run(x: Array, w: Array) -> Array:
        given = [np.asarray(x, np.float32), np.asarray(w, np.float32), *bias]
        return np.asarray(onnx_runtime(plain, given)[0], np.float64)

    return run


def _column_maxima(node: NodeProto, w: Array) -> Array:
    """The largest |weight| of each column of the crossbars, broadcast to the weight's rank.

    A column is an output channel; of a transposed convolution it may be one of an output position
    within the stride, whose range is smaller: then this is an upper bound.
    """
    match node.op_type:
        case "Conv":
            axes = tuple(range(1, w.ndim))
        case "ConvTranspose":
            axes = (0, *range(2, w.ndim))
        case "Gemm" if attribute(node, "transB", 0):
            axes = (1,)
        case _:
            axes = (max(w.ndim - 2, 0),)
    return np.asarray(np.max(np.abs(w), axis=axes, keepdims=True))


def inaccuracy(found: Any, exact: Any, bound: Any, reach: float = 0.0) -> str | None:
    """Why an output is too far from ONNX Runtime's, None if it is not.

    The root mean square of the error is compared with that of the bound.  That must be less than
    half of the output's own, or of `reach`, the magnitude that such an output may have: any result
    would pass otherwise.
    """
    if (found.dtype, found.shape) != (exact.dtype, exact.shape):
        return f"it is {found.dtype}{found.shape}, not {exact.dtype}{exact.shape}"
    error = np.sqrt(np.mean((found.astype(np.float64) - exact) ** 2))
    allowed = np.sqrt(np.mean(np.square(bound)))
    size = max(np.sqrt(np.mean(np.square(exact.astype(np.float64)))), reach)
    if allowed >= size / 2:
        return f"the bound {allowed:.3g} is no bound for a result of {size:.3g}"
    return f"the error {error:.3g} exceeds {allowed:.3g}" if error > allowed else None
