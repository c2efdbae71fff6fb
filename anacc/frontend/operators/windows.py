"""The window of convolution and pooling nodes: strides, dilations and pads in full."""

from __future__ import annotations

from dataclasses import dataclass

from anacc.frontend.node import Node, Unsupported, known_shape, spatial
from anacc.frontend.rounding import rounded_up
from anacc.ir import BATCH


@dataclass(frozen=True)
class Window:
    """A window that moves over the spatial axes.

    Attributes:
        kernel, strides, dilations: one int for each axis.
        pads: elements before each axis, then those after.
        extra: elements of `pads` that only rounding up the number of positions asks for.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    extra: tuple[int, ...]


def has_batch_first(node: Node) -> bool:
    """its first axis is the batch

    move the batch to the first axis by a Transpose
    """
    shape = node.shape(0)
    return len(shape) > 0 and shape[0] in (BATCH, 1)


def has_known_padding(node: Node) -> bool:
    """auto_pad is NOTSET, VALID, SAME_UPPER or SAME_LOWER, and no pad is negative

    state explicit pads that are not negative; a Slice before it cuts edges off
    """
    kinds = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pads = node.attribute("pads", [])
    return node.attribute("auto_pad", "NOTSET") in kinds and all(pad >= 0 for pad in pads)


def window_of(node: Node, kernel: tuple[int, ...]) -> Window:
    """The window of a node over its first input.

    Raises:
        Unsupported: if attributes and input do not fit.
    """
    sizes = spatial(known_shape(node.type(0)))
    count = len(sizes)
    strides = tuple(node.attribute("strides") or (1,) * count)
    dilations = tuple(node.attribute("dilations") or (1,) * count)
    pads = tuple(node.attribute("pads") or (0,) * (2 * count))
    if not len(kernel) == len(strides) == len(dilations) == count or len(pads) != 2 * count:
        raise Unsupported("its attributes have one entry for each spatial axis")
    if min((*kernel, *strides, *dilations)) < 1:
        raise Unsupported("its kernel, strides and dilations are positive")
    reach = tuple(hole * (taps - 1) + 1 for hole, taps in zip(dilations, kernel, strict=True))
    auto = node.attribute("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = (0,) * (2 * count)
    if auto.startswith("SAME"):
        begins, ends = [], []
        for size, stride, span in zip(sizes, strides, reach, strict=True):
            total = (-(-size // stride) - 1) * stride + span - size
            if total < 0 and node.proto.op_type != "Conv":
                raise Unsupported("its SAME padding is not negative")
            total = max(total, 0)
            small, large = total // 2, total - total // 2
            begins.append(small if auto == "SAME_UPPER" else large)
            ends.append(large if auto == "SAME_UPPER" else small)
        return Window(kernel, strides, dilations, (*begins, *ends), (0,) * count)
    extra = [0] * count
    if node.attribute("ceil_mode", 0):
        for axis, (size, stride, span) in enumerate(zip(sizes, strides, reach, strict=True)):
            padded = size + pads[axis] + pads[axis + count]
            positions = rounded_up(size, pads[axis], pads[axis + count], span, stride)
            extra[axis] = max((positions - 1) * stride + span - padded, 0)
    ends = [pad + more for pad, more in zip(pads[count:], extra, strict=True)]
    return Window(kernel, strides, dilations, (*pads[:count], *ends), tuple(extra))
