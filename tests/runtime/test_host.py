"""Host segments: whole tensors over the whole batch, between parts on the chip."""

import functools
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
from anacc.program.model import Format
from anacc_runtime.host import HostSegment
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.runtime.builder import BRIDGE, F16, I8, TENSOR, Builder, i, loop, r

Y = onnx.ValueInfoProto(name="y")  # of any type


def model(
    *nodes: Any, initialisers: tuple[Any, ...] = (), shape: Any = ("n", 4), output: Any = None
) -> bytes:
    """A segment from `a` to `y`."""
    if output is not None:
        shape = None
    graph = helper.make_graph(
        list(nodes),
        "segment",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, shape)],
        [output or helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
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


def segment_to(channel_format: Format, *nodes: Any) -> Image:
    """An input of two columns that goes through a segment to an output like it."""
    b = Builder()
    a, y = b.channel(TENSOR, 0), b.channel(channel_format, 0 if channel_format is TENSOR else 2)
    b.input("a", a, (None, 2))
    b.segment(
        model(*nodes, output=Y),
        [b.border("a", a, (None, 2))],
        [b.border("y", y, (None, 2))],
    )
    b.output("y", y, (None, 2))
    return b.image()


@pytest.mark.parametrize("format", [TENSOR, F16])
@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("ReduceSum", ["a"], ["y"], keepdims=0), r"has shape [], not [3, 2]"),
        (helper.make_node("Concat", ["a", "a"], ["y"], axis=0), "has shape [6, 2], not [3, 2]"),
        (helper.make_node("Concat", ["a", "a"], ["y"], axis=1), "has shape [3, 4], not [3, 2]"),
        (helper.make_node("SequenceConstruct", ["a"], ["y"]), "is not a NumPy array but list"),
        (
            helper.make_node("Cast", ["a"], ["y"], to=TensorProto.STRING),
            "has element type object, not float32",
        ),
        (
            helper.make_node("Cast", ["a"], ["y"], to=TensorProto.INT32),
            "has element type int32, not float32",
        ),
    ],
)
def test_a_result_is_what_its_border_says(format: Format, node: Any, reason: str) -> None:
    image = segment_to(format, node)
    check(image)
    with pytest.raises(ProgramError) as error:
        Executor(image).run({"a": np.ones((3, 2), np.float32)})
    assert f"host segment: its result `y` {reason}" == str(error.value)


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_shape_may_depend_on_the_data(dynamic: bool) -> None:
    b = Builder()
    a, y = b.channel(TENSOR, 0), b.channel(TENSOR, 0)
    b.input("a", a, (None, 2))
    b.segment(
        model(helper.make_node("Concat", ["a", "a"], ["y"], axis=1), output=Y),
        [b.border("a", a, (None, 2))],
        [b.border("y", y, (), batch_axis=None)],
    )
    b.output("y", y, (), batch_axis=None)
    b.outputs[0] = b.outputs[0].model_copy(update={"dynamic": dynamic})
    check(b.image())
    run = functools.partial(Executor(b.image()).run, {"a": np.ones((3, 2), np.float32)})
    if dynamic:
        assert run()["y"].shape == (3, 4)
    else:
        with pytest.raises(ProgramError, match=r"output `y` has shape \[3, 4\], not \[\]"):
            run()


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
