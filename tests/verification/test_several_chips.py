"""Programs of several chips and rounds have no fault, and damage to their links is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from anacc.compiler import compile_image
from anacc.program.image import Image
from anacc.verification.check import verify
from tests.end_to_end.network import Network


def compiled(folder: Path, **options: Any) -> tuple[Image, Path]:
    """Three products on chips of one core each: what the second gives is read by the third, which
    is on another chip, and by the host; the third reads an input too."""
    net = Network(seed=1)
    x, shift = net.input("N", 9), net.input("N", 5)
    for columns in (40, 24):
        x = net.node("Relu", net.node("MatMul", x, net.weight(*_last(net, x), columns, sums=9)))
        net.outputs.append(x)
    y = net.node("MatMul", x, net.weight(24, 5, sums=24))
    net.outputs.append(net.node("Add", y, shift))
    image, _ = compile_image(
        net.model(),
        calibration=[net.feed(4, seed=2)],
        settings={"grid": "1x1", "crossbar": "40x40"},
        packing="never",
        row_copies="never",
        **options,
    )
    path = folder / "model.onnx"
    onnx.save(net.model(), path)
    return image, path


def _last(net: Network, x: str) -> tuple[int]:
    return (int(net.shapes[x][-1]),)


@pytest.mark.parametrize(
    "options", [{"chips": 3}, {"chips": "auto"}, {"reload": True}, {"chips": 2, "reload": True}]
)
def test_the_host_reaches_every_chip(tmp_path: Path, options: dict[str, Any]) -> None:
    image, path = compiled(tmp_path, **options)
    assert [fault.message for fault in verify(image, path).faults] == []


def test_a_link_between_chips_that_is_missing_is_found(tmp_path: Path) -> None:
    image, path = compiled(tmp_path, chips=3)
    channels = image.code.channels
    crossing = [number for number, channel in enumerate(channels) if channel.route]
    assert len(crossing) == 2
    for number in crossing:
        without = tuple(
            replace(channel, route=()) if other == number else channel
            for other, channel in enumerate(channels)
        )
        damaged = replace(image, code=replace(image.code, channels=without))
        (fault,) = verify(damaged, path).faults
        assert fault.kind == "link"
        assert f"channel {number}," in fault.message and "but must cross" in fault.message
