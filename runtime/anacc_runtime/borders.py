"""The borders of the chip: what a user feeds becomes tokens, and tokens become what a user gets.

docs/numerics.md, Borders, states the arithmetic.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import prod
from types import EllipsisType
from typing import Any

import numpy as np

from anacc.errors import FeedError, ProgramError
from anacc.host_values import NUMBERS, is_tensor, mismatch
from anacc.program.manifest import Border, Manifest, Port
from anacc.program.model import Channel, Float32Array, Format
from anacc.program.names import shown
from anacc_runtime import arithmetic
from anacc_runtime.registers import Array

_FLOATS = ("float16", "float32", "float64")
"""Types that are converted where a border and its port have different ones."""

PART = 1 << 16
"""Elements that are converted at a time."""


def check_feed(feed: Mapping[str, Array], manifest: Manifest) -> int:
    """The batch size of a feed, once every input was found as the program expects it.

    Args:
        feed: for each model input its array: name, element type and shape as in ONNX Runtime.

    Returns:
        The number of samples; 1 where no input has a batch axis.

    Raises:
        FeedError: a name is unknown or missing, or an array has another type or shape, or the
            inputs disagree about the batch, or a value is not a number.
    """
    known = [port.name for port in manifest.inputs]
    for name in feed:
        if name not in known:
            raise FeedError(f"the program has no input `{name}`", _suggestion(name, known))
    batch = manifest.batch
    first = None
    for port in manifest.inputs:
        if port.name not in feed:
            raise FeedError(f"the feed lacks input `{port.name}`", _listing("input", known))
        size = _check_array(feed[port.name], port)
        if size is None:
            continue
        if batch is None:
            batch, first = size, port.name
        elif size != batch:
            reason = f"but input `{first}` has {batch}" if first else f"but the program has {batch}"
            raise FeedError(f"input `{port.name}` has {size} samples, {reason}")
    return 1 if batch is None else batch


def check_result(value: Any, border: Border, channel: Channel, batch: int) -> Any:
    """A result of a host segment, once it was found to be what its border says.

    A tensor that stays on the host may have a shape that nobody knew before, stated as no axes;
    and only there is a value that is no tensor.

    Raises:
        ProgramError: it has another type or shape.
    """
    name = shown(border.name)
    reason = mismatch(value, border.dtype)
    if reason is not None:
        raise ProgramError(f"host segment: its result `{name}` {reason}")
    unknown = channel.format is Format.TENSOR and not border.shape
    expected = _sizes(border, batch)
    if not unknown and list(value.shape) != expected:
        raise ProgramError(
            f"host segment: its result `{name}` has shape {list(value.shape)}, not {expected}"
        )
    return value


def check_output(tensor: Array, port: Port, batch: int) -> Array:
    """An output of the model, once it was found to be what the program says.

    Raises:
        ProgramError: it has another shape.
    """
    expected = _sizes(port, batch)
    if is_tensor(port.dtype) and not port.dynamic and list(tensor.shape) != expected:
        name = shown(port.name)
        raise ProgramError(f"output `{name}` has shape {list(tensor.shape)}, not {expected}")
    return typed(tensor, port)


def typed(tensor: Array, described: Border | Port) -> Array:
    """A tensor in the type of a border or port: a float32 border may have a port of other floats.

    Inputs and outputs of the model alone cross such borders.
    """
    dtype = getattr(tensor, "dtype", None)
    if described.dtype not in _FLOATS or dtype not in _FLOATS or dtype == described.dtype:
        return tensor
    with np.errstate(over="ignore"):  # a binary16 tensor may overflow
        return tensor.astype(described.dtype)


def _sizes(described: Border | Port, batch: int) -> list[int | None]:
    """The shape of a tensor for a batch."""
    return [
        batch if axis == described.batch_axis else size for axis, size in enumerate(described.shape)
    ]


def encode(tensor: Array, border: Border, channel: Channel, batch: int) -> Array:
    """The tokens of a tensor, (batch, tokens, token size); of a TENSOR channel the tensor itself.

    INT8 channels get clamp(rint((v - zero) / scale), -127, 127) and BINARY16 channels
    h((v - zero) / scale), difference and division in binary32.

    Raises:
        FeedError: a value is not a number.
        ProgramError: the tensor does not fill whole tokens.
    """
    if channel.format is Format.TENSOR:
        return tensor
    code = channel.format is Format.INT8
    elements = np.empty(tensor.shape, np.int8 if code else np.float16)
    scale = np.float32(border.scale)
    # Infinities, and numbers that become infinite here, saturate below like all large ones.
    with np.errstate(over="ignore"):
        for part in _parts(tensor.shape):
            values = tensor[part].astype(np.float32, copy=False)
            if border.zero:
                values = values - np.float32(border.zero)
            values = values / scale
            if np.isnan(values.max()):
                raise FeedError(f"tensor `{border.name}` holds a value that is not a number (NaN)")
            elements[part] = arithmetic.code(values) if code else arithmetic.h(values)
    # The elements are moved last, when they are small.
    result: Array = elements.transpose(_token_axes(border))
    if border.batch_axis is None:
        result = result[np.newaxis]
    tokens, rest = divmod(prod(result.shape[1:]), channel.token_size)
    if rest:
        raise ProgramError(f"tensor `{border.name}` does not fill whole tokens")
    result = result.reshape(len(result), tokens, channel.token_size)
    if len(result) == batch:
        return result
    return np.broadcast_to(result, (batch, tokens, channel.token_size))


def _token_axes(border: Border) -> list[int]:
    """The axes of a tensor in the order in which tokens hold its elements, the batch first."""
    axes = [axis for axis in range(len(border.shape)) if axis != border.batch_axis]
    batch = [] if border.batch_axis is None else [border.batch_axis]
    return batch + [axes[axis] for axis in border.permutation]


def decode(tokens: Array, border: Border, channel: Channel, batch: int) -> Array:
    """The tensor that tokens stand for: element * scale + zero in binary32, then the tensor's type.

    Raises:
        ProgramError: the tokens do not fill the tensor, or the tensor has no batch axis but there
            is not exactly one sample.
    """
    if channel.format is Format.TENSOR:
        return tokens
    sizes = [size for axis, size in enumerate(border.shape) if axis != border.batch_axis]
    shape = [sizes[axis] for axis in border.permutation]
    known = [size for size in shape if size is not None]
    elements = tokens.shape[1] * tokens.shape[2]
    if len(known) < len(shape) or prod(known) != elements:
        raise ProgramError(f"tensor `{border.name}` is not filled by its {elements} elements")
    if border.batch_axis is None and batch != 1:
        raise ProgramError(
            f"tensor `{border.name}` has no batch axis, but there are {batch} samples"
        )
    lead = [] if border.batch_axis is None else [batch]
    axes = _token_axes(border)
    moved = tokens.reshape([*lead, *known]).transpose([axes.index(k) for k in range(len(axes))])
    result = np.empty(moved.shape, border.dtype)
    scale = np.float32(border.scale)
    with np.errstate(over="ignore"):  # a scale may be as large as binary32 allows
        for part in _parts(moved.shape):
            if result.dtype == np.float32 and not border.zero:
                _multiply(moved[part], scale, result[part])
            else:
                values = _multiply(moved[part], scale, None)
                if border.zero:
                    values += np.float32(border.zero)
                result[part] = _cast(values, result.dtype)
    return result


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[int | slice | EllipsisType, ...]]:
    """Indices of parts, contiguous ones, that are small enough to stay in a core's caches."""
    axis = len(shape) - 1
    while axis > 0 and prod(shape[axis:]) <= PART:
        axis -= 1
    if axis < 0:
        yield (...,)
    elif prod(shape):
        size = max(PART // prod(shape[axis + 1 :]), 1)
        for lead in product(*map(range, shape[:axis])):
            for first in range(0, shape[axis], size):
                yield *lead, slice(first, first + size)


def _multiply(elements: Array, scale: np.float32, result: Float32Array | None) -> Float32Array:
    """Finite elements of a channel times a scale, in binary32.

    NumPy converts binary16 number by number.  Moving exponent and mantissa to their places gives
    the number times 2**-112, subnormal ones included, at several times the speed.
    """
    if elements.dtype != np.float16:
        return np.multiply(elements.astype(np.float32, order="C"), scale, out=result)
    bits = elements.view(np.int16).astype(np.int32, order="C")
    bits <<= 13
    bits &= np.int32(-0x70002000)  # the sign is extended into what is above the exponent
    values = bits.view(np.float32)
    # Powers of two are exact, so that the one product rounds as the two do.
    if scale < 2.0**15:
        return np.multiply(values, scale * np.float32(2.0**112), out=result)
    values *= np.float32(2.0**112)
    return np.multiply(values, scale, out=result)


def _cast(values: Float32Array, kind: np.dtype[Any]) -> Array:
    """Binary32 to a tensor's type; integers round to nearest even and saturate."""
    if kind.kind in "fb":
        return values.astype(kind)  # a binary16 tensor may overflow
    limits = np.iinfo(kind)
    rounded = np.rint(values.astype(np.float64))
    # On-chip values are far below 2**53, so that the limits of 64-bit types never matter.
    return np.clip(rounded, float(limits.min), float(limits.max)).astype(kind)


def _check_array(array: Any, port: Port) -> int | None:
    """Check one input; its batch size, or None where it has no batch axis."""
    reason = mismatch(array, port.dtype)
    if reason is not None:
        numbers = port.dtype in NUMBERS and isinstance(array, np.ndarray)
        name = port.dtype.replace("bool", "bool_")
        hint = f"convert it with `.astype(numpy.{name})`" if numbers else None
        raise FeedError(f"input `{port.name}` {reason}", hint)
    if not is_tensor(port.dtype):
        return None
    fits = array.ndim == len(port.shape) and all(
        expected is None or axis == port.batch_axis or size == expected
        for axis, (size, expected) in enumerate(zip(array.shape, port.shape, strict=True))
    )
    if not fits:
        expected_shape = ", ".join("batch" if n is None else str(n) for n in port.shape)
        raise FeedError(
            f"input `{port.name}` has shape {list(array.shape)}, not [{expected_shape}]"
        )
    return None if port.batch_axis is None else int(array.shape[port.batch_axis])


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{close[0]}`?" if close else _listing("input", known)


def _listing(what: str, names: Iterable[str]) -> str:
    return f"the {what}s are " + ", ".join(f"`{name}`" for name in names)
