"""The number of positions of a pooling window when it is rounded up.

ONNX's shape inference counts a last window that would start in the end padding; ONNX Runtime, and
so the text of the operators since set 22, leaves it out.  What runs decides.
"""

from __future__ import annotations

from onnx import NodeProto, TypeProto

_POOLS = {"AveragePool", "LpPool", "MaxPool"}


def rounded_up(size: int, begin: int, end: int, reach: int, stride: int) -> int:
    """The positions along an axis.

    Args:
        size: of the axis.
        begin, end: padding.
        reach: elements from the first to the last tap of the window.
        stride: of the window.
    """
    positions = -(-(size + begin + end - reach) // stride) + 1
    return positions - 1 if (positions - 1) * stride >= size + begin else positions


def correct_pool(node: NodeProto, shape: tuple[int, ...] | None, result: TypeProto) -> None:
    """Put the right sizes into the type that shape inference gives a pool that rounds up.

    Args:
        node: any node; only pools with `ceil_mode` are concerned.
        shape: of its input, (N, C, *S).
        result: the inferred type of its first output, corrected in place.
    """
    if node.op_type not in _POOLS or node.domain != "" or shape is None:
        return
    attributes = {attribute.name: attribute for attribute in node.attribute}
    explicit = "auto_pad" not in attributes or attributes["auto_pad"].s == b"NOTSET"
    if not explicit or "ceil_mode" not in attributes or not attributes["ceil_mode"].i:
        return
    count = len(shape) - 2
    ints = {name: list(attribute.ints) for name, attribute in attributes.items()}
    kernel, strides = ints.get("kernel_shape", []), ints.get("strides") or [1] * count
    dilations, pads = ints.get("dilations") or [1] * count, ints.get("pads") or [0] * 2 * count
    if not len(kernel) == len(strides) == len(dilations) == count or len(pads) != 2 * count:
        return
    for axis in range(count):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        positions = rounded_up(
            shape[axis + 2], pads[axis], pads[axis + count], reach, strides[axis]
        )
        result.tensor_type.shape.dim[axis + 2].dim_value = positions
