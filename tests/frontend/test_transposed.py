"""Transposed convolutions over the space of their attributes: exactly those of ONNX Runtime."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.check import floats
from tests.frontend.test_generated import agrees, single


def per_axis(count: int, low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=count, max_size=count)


@settings(max_examples=200)
@given(st.data())
def test_transposed_convolutions(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    group, per_group, channels = (data.draw(st.integers(1, 3)) for _ in range(3))
    kernel = data.draw(per_axis(axes, 1, 4))
    strides, dilations = (data.draw(per_axis(axes, 1, 3)) for _ in range(2))
    sizes = data.draw(per_axis(axes, 1, 4))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    auto = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    # With auto_pad, ONNX and its runtime differ on what output_padding does to the shape.
    if auto == "NOTSET" and data.draw(st.booleans()):
        attributes["output_padding"] = [data.draw(st.integers(0, s - 1)) for s in strides]
    attributes["auto_pad"] = auto
    if data.draw(st.booleans()):
        full = [s * (n - 1) + d * (k - 1) + 1
                for s, n, d, k in zip(strides, sizes, dilations, kernel, strict=True)]  # fmt: skip
        # ONNX infers no shape where the output is smaller than the input.
        attributes["output_shape"] = [
            data.draw(st.integers(max(size, n - 3), max(size, n) + 2))
            for size, n in zip(sizes, full, strict=True)
        ]
    elif auto == "NOTSET":
        attributes["pads"] = data.draw(per_axis(2 * axes, 0, 3))
    weights = {"w": floats(group * channels, per_group, *kernel)}
    if data.draw(st.booleans()):
        weights["b"] = floats(group * per_group, seed=3)
    proto = single("ConvTranspose", ["N", group * channels, *sizes], weights, **attributes)
    agrees(proto, "host")
