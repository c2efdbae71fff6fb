"""The ONNX segments of a program against what its manifest says of them.

Only `anacc verify` asks: a run loads a segment into ONNX Runtime, which says the same later.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from google.protobuf.message import DecodeError

from anacc.errors import ProgramError
from anacc.program.image import Image
from anacc.program.manifest import Border


def check_segments(image: Image) -> None:
    """Check that each segment is an ONNX model with the inputs and outputs of its borders.

    Raises:
        ProgramError: naming the segment, and the tensor that is missing or superfluous.
    """
    for number, segment in enumerate(image.manifest.segments):
        graph = _model(number, image.segments[number]).graph
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [entry.name for entry in graph.input if entry.name not in constants]
        outputs = [entry.name for entry in graph.output]
        _compare(number, "input", inputs, [image.manifest.borders[i] for i in segment.inputs])
        _compare(number, "output", outputs, [image.manifest.borders[i] for i in segment.outputs])


def _model(number: int, data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise ProgramError(f"host segment {number} is not an ONNX model") from error
    if not model.ir_version or not model.HasField("graph"):
        raise ProgramError(f"host segment {number} is not an ONNX model")
    return model


def _compare(number: int, kind: str, names: Iterable[str], borders: Iterable[Border]) -> None:
    has, wanted = set(names), {border.name for border in borders}
    if has == wanted:
        return
    name = min(has ^ wanted)
    place = "manifest, not in the model" if name in wanted else "model, not in the manifest"
    raise ProgramError(f"host segment {number}: {kind} `{name}` is in the {place}")
