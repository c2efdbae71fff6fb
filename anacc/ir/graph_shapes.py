"""Shape rules of the graph vocabulary: the types of the results, from operands and attributes.

Every rule raises ValueError with the reason if the operands do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from anacc.ir.cells import CELLS, DIRECTIONS, directions_of, functions_of
from anacc.ir.module import BATCH, AttributeValue, Dim, Module, Op, TensorType, Type
from anacc.ir.spec import with_shape

INTEGERS: Mapping[str, tuple[int, int]] = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits in (4, 8, 16, 32)
    for sign in ("", "u")
    if (sign, bits) != ("u", 32)
}
"""The element types of quantised tensors: lowest and highest number."""


def convolution_type(
    x: TensorType,
    weight: TensorType,
    *,
    strides: AttributeValue,
    pads: AttributeValue,
    dilations: AttributeValue,
    group: AttributeValue,
) -> TensorType:
    """The result (N, M, *S') of a convolution.

    Args:
        x: (N, C, *S), up to three axes S.
        weight: (M, C / group, *K).
        strides, dilations: one int for each axis S.
        pads: elements of zeros before each axis S, then those after.
        group: number of groups.

    Raises:
        ValueError: if they do not fit.
    """
    shape, kernel = _known(x), _known(weight)
    if len(shape) not in (3, 4, 5) or len(kernel) != len(shape):
        raise ValueError("a convolution has one to three spatial axes, as its weight has")
    _leading_batch(shape)
    if not isinstance(group, int) or group < 1 or not isinstance(kernel[0], int):
        raise ValueError("the number of groups is a positive integer")
    if kernel[0] % group or not isinstance(kernel[1], int) or shape[1] != kernel[1] * group:
        raise ValueError(f"{shape[1]} channels in {group} groups do not fit a weight {kernel}")
    spatial = _windows(shape[2:], kernel[2:], strides, pads, dilations)
    return with_shape(x, (shape[0], kernel[0], *spatial))


def _known(kind: TensorType) -> tuple[Dim, ...]:
    if kind.shape is None:
        raise ValueError("only the host may hold a tensor of unknown shape")
    return kind.shape


def _leading_batch(shape: tuple[Dim, ...], axis: int = 0) -> None:
    if shape[axis] not in (BATCH, 1):
        raise ValueError(f"axis {axis} must be the batch, not {shape[axis]}")


def _ints(value: AttributeValue, count: int, least: int, name: str) -> list[int]:
    if not isinstance(value, tuple) or len(value) != count:
        raise ValueError(f"{name} must have {count} integers")
    numbers = [item for item in value if isinstance(item, int) and item >= least]
    if len(numbers) != count:
        raise ValueError(f"{name} must be integers of at least {least}")
    return numbers


def _windows(
    spatial: tuple[Dim, ...],
    kernel: tuple[Dim, ...],
    strides: AttributeValue,
    pads: AttributeValue,
    dilations: AttributeValue,
) -> list[int]:
    """The number of positions of a window along each spatial axis."""
    count = len(spatial)
    steps, holes = _ints(strides, count, 1, "strides"), _ints(dilations, count, 1, "dilations")
    padding = _ints(pads, 2 * count, 0, "pads")
    positions = []
    for axis, (size, taps) in enumerate(zip(spatial, kernel, strict=True)):
        if not isinstance(size, int) or not isinstance(taps, int) or taps < 1:
            raise ValueError("the batch cannot be a spatial axis")
        room = size + padding[axis] + padding[axis + count] - holes[axis] * (taps - 1) - 1
        if room < 0:
            raise ValueError(f"a window of {taps} is larger than the padded axis of {size}")
        positions.append(room // steps[axis] + 1)
    return positions


def _broadcasts(shape: tuple[Dim, ...], onto: tuple[Dim, ...]) -> bool:
    """Whether a tensor of this shape can be repeated to the other one."""
    aligned = onto[len(onto) - len(shape) :]
    return len(shape) <= len(onto) and all(
        dim in (1, other) for dim, other in zip(shape, aligned, strict=True)
    )


def infer_conv(module: Module, op: Op) -> tuple[Type | None, ...]:
    """x (N, C, *S), weight (M, C / group, *K), bias (M)."""
    x, weight = module.tensor(op.operands[0]), module.tensor(op.operands[1])
    keys = ("strides", "pads", "dilations", "group")
    result = convolution_type(x, weight, **{key: op.attributes[key] for key in keys})
    _check_bias(module, op, _known(weight)[:1])
    return (result,)


def infer_linear(module: Module, op: Op) -> tuple[Type | None, ...]:
    """x (..., in), weight (in, out), bias (out)."""
    x, weight = module.tensor(op.operands[0]), _known(module.tensor(op.operands[1]))
    shape = _known(x)
    if len(weight) != 2 or not shape or shape[-1] != weight[0]:
        raise ValueError(f"(..., in) = {shape} does not fit a weight (in, out) = {weight}")
    _check_bias(module, op, weight[1:])
    return (with_shape(x, (*shape[:-1], weight[1])),)


def _check_bias(module: Module, op: Op, shape: tuple[Dim, ...]) -> None:
    if len(op.operands) > 2 and op.operands[2] and module.tensor(op.operands[2]).shape != shape:
        raise ValueError(f"the bias must have shape {shape}")


def infer_affine(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The shape of x."""
    x = module.tensor(op.operands[0])
    for name in op.operands[1:]:
        if not _broadcasts(_known(module.tensor(name)), _known(x)):
            raise ValueError(f"{name} cannot be repeated to the shape {x.shape}")
    return (x,)


def infer_pair(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Two operands of one shape."""
    left, right = (module.tensor(name) for name in op.operands)
    if _known(left) != _known(right):
        raise ValueError(f"the operands differ in shape: {left.shape} and {right.shape}")
    return (left,)


def infer_pool(module: Module, op: Op) -> tuple[Type | None, ...]:
    """x (N, C, *S); no window lies in the padding alone."""
    x = module.tensor(op.operands[0])
    shape = _known(x)
    if len(shape) < 3:
        raise ValueError("pooling takes (N, C, *S)")
    _leading_batch(shape)
    count = len(shape) - 2
    kernel = tuple(_ints(op.attributes["kernel"], count, 1, "kernel"))
    pads = _ints(op.attributes["pads"], 2 * count, 0, "pads")
    dilations = op.attributes.get("dilations", (1,) * count)
    positions = _windows(shape[2:], kernel, op.attributes["strides"], tuple(pads), dilations)
    holes = _ints(dilations, count, 1, "dilations")
    strides = _ints(op.attributes["strides"], count, 1, "strides")
    for axis, (size, positions_of) in enumerate(zip(shape[2:], positions, strict=True)):
        if isinstance(size, int) and isinstance(positions_of, int):
            first = np.arange(positions_of)[:, None] * strides[axis] - pads[axis]
            taps = first + np.arange(kernel[axis]) * holes[axis]
            if not ((taps >= 0) & (taps < size)).any(axis=1).all():
                raise ValueError("a window would lie in the padding alone")
    return (with_shape(x, (*shape[:2], *positions)),)


def _shape_attribute(op: Op) -> tuple[Dim, ...]:
    shape = op.attributes["shape"]
    if not isinstance(shape, tuple):
        raise ValueError("shape must be a list")
    dims = tuple(dim for dim in shape if dim == BATCH or (isinstance(dim, int) and dim >= 0))
    if len(dims) != len(shape) or shape.count(BATCH) > 1:
        raise ValueError(f"shape must hold integers and at most one {BATCH}")
    return tuple(dim if isinstance(dim, int) else BATCH for dim in dims)


def infer_reshape(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The shape of the attribute, if it keeps the elements of each sample."""
    x = module.tensor(op.operands[0])
    before, after = _known(x), _shape_attribute(op)
    if not keeps_samples(before, after):
        raise ValueError(f"{before} cannot become {after} sample by sample")
    return (with_shape(x, after),)


def keeps_samples(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> bool:
    """Whether a reshape moves no element and lets each element keep its place in the batch."""
    if (BATCH in before) != (BATCH in after):
        return False
    sizes = []
    for shape in (before, after):
        cut = shape.index(BATCH) if BATCH in shape else 0
        outer = math.prod(dim for dim in shape[:cut] if isinstance(dim, int))
        sizes.append((outer, math.prod(dim for dim in shape if isinstance(dim, int))))
    return sizes[0] == sizes[1]


def infer_transpose(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The axes of x in the order of the permutation."""
    x = module.tensor(op.operands[0])
    shape = _known(x)
    permutation = _ints(op.attributes["permutation"], len(shape), 0, "permutation")
    if sorted(permutation) != list(range(len(shape))):
        raise ValueError(f"{permutation} is not a permutation of the axes")
    return (with_shape(x, tuple(shape[axis] for axis in permutation)),)


def infer_slice(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The sizes, and the batch whole."""
    x = module.tensor(op.operands[0])
    shape = _known(x)
    starts = _ints(op.attributes["starts"], len(shape), 0, "starts")
    sizes = _ints(op.attributes["sizes"], len(shape), -1, "sizes")
    steps = op.attributes["steps"]
    if not isinstance(steps, tuple) or len(steps) != len(shape):
        raise ValueError(f"steps must have {len(shape)} integers")
    result: list[Dim] = []
    for dim, start, step, size in zip(shape, starts, steps, sizes, strict=True):
        if not isinstance(dim, int):
            if (start, step, size) != (0, 1, -1):
                raise ValueError("the batch must not be cut: its start is 0, step 1, size -1")
            result.append(dim)
            continue
        if not isinstance(step, int) or step == 0 or size < 1:
            raise ValueError("steps are not 0, and sizes are at least 1")
        if start >= dim or not 0 <= start + (size - 1) * step < dim:
            raise ValueError(f"{size} elements from {start} by {step} leave an axis of {dim}")
        result.append(size)
    return (with_shape(x, tuple(result)),)


def infer_pad(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Each axis but the batch, longer."""
    x = module.tensor(op.operands[0])
    shape = _known(x)
    before = _ints(op.attributes["before"], len(shape), 0, "before")
    after = _ints(op.attributes["after"], len(shape), 0, "after")
    result: list[Dim] = []
    for dim, front, back in zip(shape, before, after, strict=True):
        if not isinstance(dim, int) and (front or back):
            raise ValueError("the batch must not be padded")
        result.append(dim + front + back if isinstance(dim, int) else dim)
    return (with_shape(x, tuple(result)),)


def infer_concat(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The sum of the sizes on one axis that is not the batch."""
    axis = op.attributes["axis"]
    parts = [module.tensor(name) for name in op.operands]
    if not parts:
        raise ValueError("there is nothing to concatenate")
    shapes = [_known(part) for part in parts]
    first = shapes[0]
    if not isinstance(axis, int) or not 0 <= axis < len(first):
        raise ValueError(f"there is no axis {axis}")
    sizes = [shape[axis] for shape in shapes if len(shape) == len(first)]
    whole = [size for size in sizes if isinstance(size, int)]
    if len(whole) != len(parts):
        raise ValueError("the batch must not be concatenated, and the ranks must be equal")
    if any((*s[:axis], *s[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]) for s in shapes):
        raise ValueError(f"the shapes differ outside axis {axis}")
    return (with_shape(parts[0], (*first[:axis], sum(whole), *first[axis + 1 :])),)


def infer_expand(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The shape of the attribute, if x can be repeated to it."""
    x = module.tensor(op.operands[0])
    shape = _shape_attribute(op)
    if (BATCH in _known(x)) != (BATCH in shape) or not _broadcasts(_known(x), shape):
        raise ValueError(f"{x.shape} cannot be repeated to {shape}")
    return (with_shape(x, shape),)


def infer_recurrent(module: Module, op: Op) -> tuple[Type | None, ...]:
    """x (T, N, F), D directions: y (T, D, N, H), the last states (D, N, H)."""
    cell, hidden = CELLS[op.kind], op.attributes["hidden"]
    if op.attributes["direction"] not in DIRECTIONS or not isinstance(hidden, int) or hidden < 1:
        raise ValueError(f"direction is one of {', '.join(DIRECTIONS)}, hidden positive")
    count, rows = directions_of(op), len(cell.gates) * hidden
    for way in range(count):
        functions_of(op, way)
    x = module.tensor(op.operands[0])
    shape = _known(x)
    if len(shape) != 3:
        raise ValueError(f"an op `{op.kind}` takes (T, N, F)")
    steps, batch, features = shape
    _leading_batch(shape, axis=1)
    layouts = ((count, rows, features), (count, rows, hidden), (count, 2 * rows))
    wanted = dict(zip(op.operands[1:4], layouts, strict=False))
    wanted |= dict.fromkeys(op.operands[6:], (count, len(cell.peepholes) * hidden))
    for name, dims in wanted.items():
        if name and module.tensor(name).shape != dims:
            raise ValueError(f"{name} must have shape {dims}")
    for name in op.operands[4:6]:
        allowed = {(count, batch, hidden)} | ({(count, 1, hidden)} if name[:1] == "@" else set())
        if name and module.tensor(name).shape not in allowed:
            raise ValueError(f"{name} must have shape {(count, batch, hidden)}")
    state = with_shape(x, (count, batch, hidden))
    return (with_shape(x, (steps, count, batch, hidden)), *(state for _ in cell.results[1:]))


def infer_quantise(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The shape of x, with the element type of the attribute."""
    x, dtype = module.tensor(op.operands[0]), op.attributes["dtype"]
    if dtype not in INTEGERS:
        raise ValueError(f"the element type is one of {', '.join(INTEGERS)}")
    return (TensorType(str(dtype), x.shape),)


def infer_dequantise(module: Module, op: Op) -> tuple[Type | None, ...]:
    """The shape of x, in float32."""
    x = module.tensor(op.operands[0])
    if x.dtype not in INTEGERS:
        raise ValueError(f"the element type of x is one of {', '.join(INTEGERS)}")
    return (TensorType("float32", x.shape),)
