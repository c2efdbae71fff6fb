"""One way to test an import: the module computes what ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from anacc.frontend import import_model
from anacc.ir import Module, verify
from anacc_passes.partition import Partition
from tests.frontend import interpreter

Array = npt.NDArray[Any]


def model(text: str, opset: int = 17, **constants: Any) -> ModelProto:
    """A model from the text of its graph; constants become initialisers."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    proto = parser.parse_model(f"{head} {text}")
    for name, value in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return proto


def floats(*shape: int, seed: int = 0) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def feed_of(proto: ModelProto, sizes: Mapping[str, int] | None = None, seed: int = 1) -> Any:
    """A random feed; symbols have the given sizes, else 3."""
    known = {entry.name for entry in proto.graph.initializer}
    feed = {}
    for entry in proto.graph.input:
        if entry.name in known:
            continue
        tensor = entry.type.tensor_type
        shape = [
            d.dim_value if d.HasField("dim_value") else (sizes or {}).get(d.dim_param, 3)
            for d in tensor.shape.dim
        ]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        array = np.asarray(np.random.default_rng(seed).standard_normal(shape))
        is_float = tensor.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE)
        feed[entry.name] = np.asarray((array if is_float else np.abs(array)).astype(dtype))
    return feed


def reference(proto: ModelProto, feed: Mapping[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes with the model as it is."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in proto.graph.output]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def check(
    proto: ModelProto,
    *kinds: str,
    sizes: Mapping[str, int] | None = None,
    shapes: Mapping[str, int] | None = None,
    sample: bool = False,
) -> Module:
    """Import; the ops must be of these kinds, and the outputs those of ONNX Runtime.

    The same holds after the partition, whatever it moves to the host.
    """
    feed = feed_of(proto, sizes)
    module = import_model(proto, shapes=shapes, sample=feed if sample else None)
    verify(module)
    assert [op.kind for op in module.ops] == list(kinds)
    partitioned = Partition()(module)
    verify(partitioned)
    expected = reference(proto, feed)
    for each in (module, partitioned):
        actual = interpreter.run(each, feed)
        assert actual.keys() == expected.keys()
        for name, array in expected.items():
            assert actual[name].shape == array.shape
            np.testing.assert_allclose(actual[name], array, rtol=1e-4, atol=1e-5)
    return module


def host_reason(proto: ModelProto, **options: Any) -> str:
    """The reason why the only node stays on the host; the outputs must be right."""
    module = check(proto, "host", **options)
    reasons: Any = module.ops[0].attributes["reasons"]
    return str(reasons[0])


__all__ = ["check", "feed_of", "floats", "host_reason", "model", "onnx", "reference"]
