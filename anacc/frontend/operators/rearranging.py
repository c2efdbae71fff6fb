"""Operators that spread blocks over space, repeat elements, or choose them by place."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from anacc.frontend.chain import Chain
from anacc.frontend.evaluation import evaluate
from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.windows import has_batch_first
from anacc.frontend.registry import imports
from anacc.frontend.selection import select
from anacc.ir import BATCH


def has_constant_repeats(node: Node) -> bool:
    """its repeats are constants, and it does not repeat the batch

    make its repeats an initialiser
    """
    repeats = node.integers(1)
    shape = node.shape(0)
    if repeats is None or len(repeats) != len(shape) or min(repeats, default=1) < 1:
        return False
    return all(times == 1 for times, dim in zip(repeats, shape, strict=True) if dim == BATCH)


def takes_nearest(node: Node) -> bool:
    """it takes the nearest element, by constant scales or sizes, and stretches no region

    use mode nearest, or fold the scaling into the pre- or postprocessing
    """
    constants = all(node.constant(i) is not None for i in range(1, 4) if node.has(i))
    mode = node.attribute("coordinate_transformation_mode", "half_pixel")
    stretches = node.attribute("keep_aspect_ratio_policy", "stretch") == "stretch"
    nearest = node.attribute("mode", "nearest") == "nearest"
    return constants and nearest and stretches and mode != "tf_crop_and_resize"


@imports("DepthToSpace", requires=(has_batch_first,))
def import_depth_to_space(node: Node) -> None:
    """DepthToSpace becomes `reshape`, `transpose`, `reshape`."""
    batch, channels, height, width = _image(node)
    block = int(node.attribute("blocksize", 1))
    if block < 1 or channels % block**2:
        raise Unsupported("its blocks fit its channels")
    depth = channels // block**2
    chain = Chain(node, node.value(0))
    if node.attribute("mode", "DCR") == "CRD":
        chain.reshape((batch, depth, block, block, height, width)).transpose((0, 1, 4, 2, 5, 3))
    else:
        chain.reshape((batch, block, block, depth, height, width)).transpose((0, 3, 4, 1, 5, 2))
    chain.reshape((batch, depth, height * block, width * block)).finish()


@imports("SpaceToDepth", requires=(has_batch_first,))
def import_space_to_depth(node: Node) -> None:
    """SpaceToDepth becomes `reshape`, `transpose`, `reshape`."""
    batch, channels, height, width = _image(node)
    block = int(node.attribute("blocksize", 1))
    if block < 1 or height % block or width % block:
        raise Unsupported("its blocks fit its height and width")
    rows, columns = height // block, width // block
    chain = Chain(node, node.value(0))
    chain.reshape((batch, channels, rows, block, columns, block)).transpose((0, 3, 5, 1, 2, 4))
    chain.reshape((batch, channels * block**2, rows, columns)).finish()


def _image(node: Node) -> tuple[int | str, int, int, int]:
    shape = node.shape(0)
    if len(shape) != 4 or BATCH in shape[1:]:
        raise Unsupported("it takes images")
    batch, *others = shape
    channels, height, width = (int(dim) for dim in others)
    return batch, channels, height, width


@imports("Tile", requires=(has_constant_repeats,))
def import_tile(node: Node) -> None:
    """Tile becomes `expand` between two `reshape`."""
    chain = Chain(node, node.value(0))
    indices = {
        axis: list(range(int(dim))) * times
        for axis, (dim, times) in enumerate(zip(chain.shape, node.integers(1) or [], strict=True))
        if times != 1
    }
    select(chain, indices).finish()


@imports("Resize", "Upsample", requires=(takes_nearest,))
def import_resize(node: Node) -> None:
    """Resize to the nearest element becomes `expand` between two `reshape`, or `slice`."""
    chain = Chain(node, node.value(0))
    indices = {
        axis: _nearest(node, axis, dim, size)
        for axis, (dim, size) in enumerate(zip(chain.shape, node.result(), strict=True))
        if isinstance(dim, int) and isinstance(size, int) and dim != size
    }
    select(chain, indices).finish()


def _nearest(node: Node, axis: int, dim: int, size: int) -> list[int]:
    """Which element of an axis each element of the result is: ONNX Runtime knows the rounding."""
    along = NodeProto()
    along.CopyFrom(node.proto)
    kept = [entry for entry in along.attribute if entry.name != "axes"]
    del along.attribute[:], along.input[1:]
    for entry in kept:
        if entry.name == "scales":
            entry.floats[:] = [entry.floats[axis]]
        along.attribute.append(entry)
    arrays: dict[str, Array] = {along.input[0]: np.arange(dim, dtype=np.float32)}
    place = _place(node, axis)
    for position, name in enumerate(node.proto.input[1:], start=1):
        constant = node.constant(position)
        is_region = position == 1 and len(node.proto.input) > 2
        if constant is None or not constant.size or is_region:
            along.input.append("")
            continue
        along.input.append(name)
        arrays[name] = np.asarray(constant[place : place + 1])
    # Sets 11 and 12 say the same as 13, but leave no input out.
    version = 13 if node.version in (11, 12) else node.version
    opset = helper.make_opsetid("", version)
    found = evaluate(along, arrays, [opset])
    if found is None or found[0].shape != (size,):
        raise Unsupported("ONNX Runtime resizes each axis for itself")
    return [int(place) for place in found[0]]


def _place(node: Node, axis: int) -> int:
    """Where scales and sizes speak of an axis."""
    axes = node.attribute("axes")
    rank = len(node.shape(0))
    return axis if not axes else [int(a) % rank for a in axes].index(axis)
