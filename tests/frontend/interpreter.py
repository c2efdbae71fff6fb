"""What graph modules mean: every op in float64 NumPy, segments of the host in ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from anacc.ir import BATCH, Module, Op
from anacc.ir.functions import evaluate
from anacc.ir.graph_shapes import INTEGERS
from tests import recurrent_layers

Array = npt.NDArray[Any]


def run(module: Module, feed: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a graph module for a feed."""
    values: dict[str, Array] = {f"@{name[1:]}": a for name, a in module.constants.items()}
    values |= {f"%{name}": np.asarray(array) for name, array in feed.items()}
    for op in module.ops:
        operands = [values[name] if name else None for name in op.operands]
        if op.kind == "host":
            results = _host(module, op, values)
        else:
            results = _OPS[op.kind](op, *operands)
        results = results if isinstance(results, tuple) else (results,)
        values |= {n: r for n, r in zip(op.results, results, strict=False) if n}
    return {name: values[value] for name, value in module.outputs}


def _host(module: Module, op: Op, values: Mapping[str, Array]) -> tuple[Array, ...]:
    inputs = tuple(name[1:] for name in op.operands)
    outputs = tuple(name[1:] for name in op.results)
    names: Any = op.attributes["nodes"]
    model = module.source.extract(names, inputs, outputs)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {}
    for name in inputs:
        array = values[f"%{name}"]
        feed[name] = array.astype(np.float32) if array.dtype == np.float64 else array
    return tuple(session.run(list(outputs), feed))


def _windows(x: Array, kernel: Any, strides: Any, dilations: Any) -> Array:
    """(N, C, positions..., taps...) of a padded x."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    steps = [slice(None)] * 2 + [slice(None, None, s) for s in strides]
    return view[(*steps, *(slice(None, None, d) for d in dilations))]


def _padded(x: Array, pads: Any, value: float) -> Array:
    count = x.ndim - 2
    spatial = [(pads[i], pads[i + count]) for i in range(count)]
    return np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), *spatial], constant_values=value)


def _conv(op: Op, x: Array, weight: Array, bias: Array | None = None) -> Array:
    a: Any = op.attributes
    windows = _windows(_padded(x, a["pads"], 0), weight.shape[2:], a["strides"], a["dilations"])
    count, per_group = weight.ndim - 2, weight.shape[0] // a["group"]
    taps = tuple(range(-count, 0))
    parts = []
    for group in range(a["group"]):
        part = windows[:, group * weight.shape[1] : (group + 1) * weight.shape[1]]
        kernels = weight[group * per_group : (group + 1) * per_group].astype(np.float64)
        product = np.tensordot(part, kernels, ([1, *taps], [1, *range(2, 2 + count)]))
        parts.append(np.moveaxis(product, -1, 1))
    y = np.concatenate(parts, axis=1)
    return y if bias is None else y + bias.reshape(-1, *(1,) * count)


def _max_pool(op: Op, x: Array) -> Array:
    a: Any = op.attributes
    windows = _windows(_padded(x, a["pads"], -np.inf), a["kernel"], a["strides"], a["dilations"])
    largest = np.asarray(windows.max(axis=tuple(range(x.ndim, windows.ndim))))
    return largest.astype(x.dtype) if x.dtype.kind in "iu" else largest


def _average_pool(op: Op, x: Array) -> Array:
    a: Any = op.attributes
    holes = a.get("dilations", (1,) * len(a["kernel"]))
    windows = _windows(_padded(x, a["pads"], 0), a["kernel"], a["strides"], holes)
    mask = _padded(np.ones_like(x), a["pads"], float(a["count_include_pad"]))
    counts = _windows(mask, a["kernel"], a["strides"], holes)
    taps = tuple(range(x.ndim, windows.ndim))
    total = windows.sum(axis=taps)
    return np.asarray(total if a.get("total") else total / counts.sum(axis=taps))


def _shape(op: Op, x: Array) -> tuple[int, ...]:
    shape: Any = op.attributes["shape"]
    known = math.prod(dim for dim in shape if dim != BATCH)
    return tuple(x.size // known if dim == BATCH else dim for dim in shape)


def _expand(op: Op, x: Array) -> Array:
    shape: Any = op.attributes["shape"]
    sizes = (1,) * (len(shape) - x.ndim) + x.shape
    target = [size if dim == BATCH else dim for dim, size in zip(shape, sizes, strict=True)]
    return np.broadcast_to(x, target)


def _slice(op: Op, x: Array) -> Array:
    a: Any = op.attributes
    for axis, (start, step, size) in enumerate(
        zip(a["starts"], a["steps"], a["sizes"], strict=True)
    ):
        count = x.shape[axis] if size == -1 else size
        x = np.take(x, [start + step * i for i in range(count)], axis=axis)
    return x


def _pad(op: Op, x: Array) -> Array:
    a: Any = op.attributes
    amounts = list(zip(a["before"], a["after"], strict=True))
    return np.pad(x, amounts, constant_values=a["value"])


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, np.float64))))


def _quantise(op: Op, x: Array) -> Array:
    a: Any = op.attributes
    low, high = INTEGERS[a["dtype"]]
    # Binary32, as in ONNX: which side of a tie a number lies on depends on it.
    steps = np.asarray(x, np.float32) / np.float32(a["scale"])
    numbers = np.clip(np.rint(steps.astype(np.float64)) + a["zero"], low, high)
    return np.asarray(numbers, a["dtype"])


_OPS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "linear": lambda op, x, w, b=None: np.asarray(x, np.float64) @ w + (0 if b is None else b),
    "affine": lambda op, x, scale, offset: np.asarray(x, np.float64) * scale + offset,
    "add": lambda op, left, right: left + right,
    "multiply": lambda op, left, right: left * right,
    "relu": lambda op, x: np.maximum(x, 0),
    "clamp": lambda op, x: np.clip(x, op.attributes["low"], op.attributes["high"]),
    "sigmoid": lambda op, x: _sigmoid(x),
    "tanh": lambda op, x: np.tanh(x),
    "function": lambda op, x: evaluate(op.nested("steps"), x),
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "reshape": lambda op, x: x.reshape(_shape(op, x)),
    "transpose": lambda op, x: x.transpose(op.attributes["permutation"]),
    "slice": _slice,
    "pad": _pad,
    "concat": lambda op, *xs: np.concatenate(xs, axis=op.attributes["axis"]),
    "expand": _expand,
    **dict.fromkeys(("lstm", "gru", "rnn"), recurrent_layers.layer),
    "identity": lambda op, x: x,
    "quantise": _quantise,
    "dequantise": lambda op, x: (
        (x.astype(np.float64) - op.attributes["zero"]) * op.attributes["scale"]
    ),
}
