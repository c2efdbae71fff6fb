"""A GDPU works on so many hidden units at a time; the chunks of long layers take turns."""

from __future__ import annotations

from pathlib import Path

import onnx

from anacc.compiler import compile_image
from anacc.verification.check import verify
from tests.end_to_end.network import Network


def test_chunks_take_turns_on_a_gdpu(tmp_path: Path) -> None:
    net = Network(seed=4)
    x = net.input(2, "N", 5)
    weights = net.weight(1, 260, 5, sums=5), net.weight(1, 260, 65, sums=65)
    net.outputs.append(net.nodes("LSTM", (x, *weights), 1, hidden_size=65)[0])
    model = net.model()
    image, _ = compile_image(
        model, calibration=[net.feed(3, seed=1)], settings={"crossbar": "80x24"}
    )
    cells = [stream.unit for stream in image.code.streams if stream.unit.kind == "gdpu"]
    assert len(cells) > len(set(cells)), "no GDPU has two chunks"
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    assert [fault.message for fault in verify(image, path).faults] == []
