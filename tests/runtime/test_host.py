"""Host segments: whole tensors over the whole batch, between parts on the chip."""

import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.image import Image
from anacc_runtime.host import HostSegment
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.runtime.builder import BRIDGE, I8, TENSOR, Builder, i, loop, r


def model(*nodes: Any, initialisers: tuple[Any, ...] = (), shape: Any = ("n", 4)) -> bytes:
    """A segment from `a` to `y`."""
    graph = helper.make_graph(
        list(nodes),
        "segment",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        list(initialisers),
    )
    opsets = [helper.make_opsetid("", 20)]
    bytes_: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=10
    ).SerializeToString()
    return bytes_


# The mean over the batch: a result that depends on all samples.
LESS_MEAN = (
    helper.make_node("Constant", [], ["axes"], value_ints=[0]),
    helper.make_node("ReduceMean", ["a", "axes"], ["mean"]),
    helper.make_node("Sub", ["a", "mean"], ["y"]),
)


def sandwich() -> Image:
    """Chip, host, chip: the second part waits for the segment."""
    b = Builder()
    x, a, y, out = (b.channel(I8, 2) for _ in range(4))
    raw = b.channel(TENSOR, 0)
    b.input("x", x, (None, 4))
    copy = loop(2, i("recv", r(0, 2), x), i("send", a, r(0, 2)))
    b.stream(BRIDGE, [(I8, 2)], copy)
    b.segment(model(*LESS_MEAN), [b.border("a", a, (None, 4))], [b.border("y", y, (None, 4))])
    b.stream(BRIDGE, [(I8, 2)], loop(2, i("recv", r(0, 2), y), i("send", out, r(0, 2))))
    b.output("z", out, (None, 4))
    b.input("untouched", raw, (None, 3))
    b.output("untouched", raw, (None, 3))
    return b.image()


@pytest.mark.parametrize("executor", [Executor, NativeExecutor])
def test_a_segment_sees_the_whole_batch(executor: type[Executor]) -> None:
    image = sandwich()
    check(image)
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    raw = np.full((5, 3), np.nan, np.float32)
    result = executor(image, memory=1).run({"x": x, "untouched": raw})
    assert (result["z"] == x - x.mean(axis=0)).all()
    assert result["untouched"].tobytes() == raw.tobytes()


def test_a_broken_segment_is_one_sentence() -> None:
    with pytest.raises(ProgramError, match="host segment 0 failed: ") as error:
        HostSegment(0, [b"no model"]).run({}, ["y"])
    assert "\n" not in str(error.value)


def test_a_segment_may_not_name_a_file() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4], np.zeros(4, np.float32))
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    segment = model(helper.make_node("Add", ["a", "w"], ["y"]), initialisers=(tensor,))
    with pytest.raises(ProgramError, match="refers to a file for tensor `w`"):
        HostSegment(0, [segment]).run({"a": np.zeros((1, 4), np.float32)}, ["y"])


def test_onnx_runtime_is_loaded_only_for_segments() -> None:
    script = (
        "import sys; from tests.runtime import examples; from anacc_runtime import LoadedProgram\n"
        "image = examples.layer(); LoadedProgram(image).run(examples.feed(image, 1))\n"
        "print('onnx' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"], result.stderr
