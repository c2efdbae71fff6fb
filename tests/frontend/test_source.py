"""The model behind a module: activations, segments, ports."""

import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from anacc.errors import CompileError, FeedError
from anacc.frontend import Port, SourceModel, import_model
from anacc.ir import Module
from tests.frontend.check import feed_of, floats, model

TEXT = """net (float[N,3,4] x, float[N,3,1] z) => (float[N,12] y) {
    a = Add (x, z)
    r = Relu (a)
    s = Softmax (r)
    y = Flatten (s)
}"""


@pytest.fixture(scope="module")
def module() -> Module:
    return import_model(model(TEXT))


def test_activations(module: Module) -> None:
    feed = {"x": floats(2, 3, 4), "z": floats(2, 3, 1, seed=1)}
    source: SourceModel = module.source
    values = source.activations(feed, ("x", "r", "%a", "%z.expanded"))
    np.testing.assert_array_equal(values["x"], feed["x"])
    np.testing.assert_array_equal(values["r"], np.maximum(feed["x"] + feed["z"], 0))
    np.testing.assert_array_equal(values["%a"], feed["x"] + feed["z"])
    np.testing.assert_array_equal(values["%z.expanded"], np.repeat(feed["z"], 4, axis=2))
    with pytest.raises(KeyError, match="nothing"):
        source.activations(feed, ("nothing",))


def test_large_constants_are_shared_with_onnx_runtime() -> None:
    proto = model("g (float[N,40] x) => (float[N,60] y) { y = MatMul (x, w) }", w=floats(40, 60))
    feed = feed_of(proto)
    values = import_model(proto).source.activations(feed, ("y", "w"))
    np.testing.assert_allclose(values["y"], feed["x"] @ values["w"], rtol=1e-5)


def test_segments(module: Module) -> None:
    source: SourceModel = module.source
    first = source.extract(("Softmax:s", "Flatten:y"), ("r",), ("y",))
    assert first == source.extract(("Flatten:y", "Softmax:s"), ("r",), ("y",))
    segment = onnx.load_from_string(first)
    onnx.checker.check_model(segment)
    assert segment.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    session = ort.InferenceSession(first, providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        assert session.run(None, {"r": floats(batch, 3, 4)})[0].shape == (batch, 12)


def test_a_segment_fills_gaps(module: Module) -> None:
    """A pass may drop ops that do nothing: their nodes come back."""
    segment = onnx.load_from_string(module.source.extract(("Flatten:y",), ("r",), ("y",)))
    assert [node.op_type for node in segment.graph.node] == ["Softmax", "Flatten"]


def test_impossible_segments(module: Module) -> None:
    for nodes, inputs, outputs, reason in (
        (("Nothing",), ("r",), ("y",), "no node `Nothing`"),
        (("Flatten:y",), (), ("y",), "which is not an input"),
        (("Flatten:y",), ("s",), ("r",), "no node of the segment gives"),
    ):
        with pytest.raises(ValueError, match=reason):
            module.source.extract(nodes, inputs, outputs)


def test_ports(module: Module) -> None:
    source: SourceModel = module.source
    assert source.graph_name == module.name == "net"
    assert source.ports.inputs[0] == Port("x", "float32", (None, 3, 4), 0)
    assert source.ports.outputs == (Port("y", "float32", (None, 12), 0),)
    assert len(source.sha256) == 64


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ({"x": floats(2, 3, 4)}, "input `z` is missing"),
        (
            {"x": floats(2, 3, 4), "z": floats(3, 3, 1)},
            r"`z` has shape .*, not \(N, 3, 1\)",
        ),
        ({"x": floats(2, 3), "z": floats(2, 3, 1)}, r"`x` has shape \(2, 3\)"),
        ({"x": floats(2, 3, 4).astype("f8"), "z": floats(2, 3, 1)}, "float64, not float32"),
        ({"q": floats(1)}, "the model has no input `q`"),
    ],
)
def test_feeds_that_do_not_fit(module: Module, feed: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(FeedError, match=reason):
        module.source.activations(feed, ("r",))


def test_a_segment_that_no_file_can_hold() -> None:
    """A table of 2.4 GB, which takes no memory here."""
    proto = model("g (int64[N] i) => (float[N,4] y) { y = Gather (w, i) }", w=floats(5, 4))
    source = import_model(proto).source
    table = np.broadcast_to(np.float32(0), (150_000_000, 4))
    large = dataclasses.replace(source, constants={"w": table})
    with pytest.raises(CompileError, match=r"reads? 2\.2 GiB of constants, and a segment holds"):
        large.extract(("Gather:y",), ("i",), ("y",))
