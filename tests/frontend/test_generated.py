"""Generated nodes: what the module computes is what ONNX Runtime computes."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

from anacc.frontend import import_model
from anacc.ir import BATCH, TensorType, verify
from tests.frontend import interpreter
from tests.frontend.check import feed_of, floats, reference


def single(
    op: str, shape: list[int | str], weights: dict[str, Any], opset: int = 17, **attributes: Any
) -> ModelProto:
    """A model of one node with one input."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *weights], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def agrees(proto: ModelProto, *never: str) -> None:
    """The module gives the outputs of ONNX Runtime, unless that refuses the model, and has no ops
    of some kinds."""
    feed = feed_of(proto)
    try:
        expected = reference(proto, feed)
    except Exception:  # ONNX Runtime checks more than ONNX: such a model does not count.
        return
    module = import_model(proto)
    verify(module)
    assert not {op.kind for op in module.ops} & set(never), module.ops
    actual = interpreter.run(module, feed)
    for name, array in expected.items():
        assert actual[name].shape == array.shape
        declared = module.values[dict(module.outputs)[name]].type
        assert isinstance(declared, TensorType)
        if declared.shape is not None:
            assert (
                tuple((module.batch or 3) if dim == BATCH else dim for dim in declared.shape)
                == array.shape
            )
        np.testing.assert_allclose(actual[name], array, rtol=1e-3, atol=1e-4)


@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    group, per_group, channels = (data.draw(st.integers(1, 3)) for _ in range(3))
    kernel, strides, dilations = (data.draw(_per_axis(axes, 1, 3)) for _ in range(3))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    auto = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    attributes["auto_pad"] = auto
    if auto == "NOTSET":
        attributes["pads"] = data.draw(_per_axis(2 * axes, 0, 3))
    sizes = data.draw(_per_axis(axes, 7, 9))
    weight = floats(group * per_group, channels, *kernel)
    agrees(single("Conv", ["N", group * channels, *sizes], {"w": weight}, **attributes))


@given(st.data())
def test_pools(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    kernel, strides = (data.draw(_per_axis(axes, 1, 4)) for _ in range(2))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    auto = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    attributes["auto_pad"] = auto
    if auto == "NOTSET":
        attributes["pads"] = [data.draw(st.integers(0, size - 1)) for size in kernel * 2]
        attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    op = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if op == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    agrees(single(op, ["N", 2, *data.draw(_per_axis(axes, 4, 9))], {}, 19, **attributes))


@given(st.data())
def test_slices(data: st.DataObject) -> None:
    bound = st.integers(-9, 9)
    axes = data.draw(st.sampled_from([[1], [2], [1, 2], [-1, 1]]))
    weights = {
        "s": [data.draw(bound) for _ in axes],
        "e": [data.draw(bound) for _ in axes],
        "a": axes,
        "t": [data.draw(st.sampled_from([-2, -1, 1, 2, 3])) for _ in axes],
    }
    agrees(single("Slice", ["N", 5, 7], {k: np.array(v, np.int64) for k, v in weights.items()}))


@given(st.permutations(range(4)))
def test_transposes(permutation: list[int]) -> None:
    agrees(single("Transpose", ["N", 2, 3, 4], {}, perm=permutation))


@given(st.lists(st.sampled_from([-1, 0, 1, 2, 3, 4, 6, 8, 12]), min_size=1, max_size=4))
def test_reshapes(target: list[int]) -> None:
    if target.count(-1) == 1 and 0 not in target[3:]:
        try:
            agrees(single("Reshape", ["N", 2, 3, 4], {"s": np.array(target, np.int64)}))
        except Exception as error:
            # A target that does not hold for every batch is refused, naming the dimension.
            assert "is not the batch" in str(error)


@given(st.data())
def test_broadcasts(data: st.DataObject) -> None:
    op = data.draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    shape = [data.draw(st.sampled_from([1, size])) for size in (2, 3, 4)]
    constant = floats(*shape[data.draw(st.integers(0, 3)) :]) + np.float32(9)
    agrees(single(op, ["N", 2, 1, 4], {"c": constant}))


def _per_axis(count: int, low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=count, max_size=count)
