"""Constants fold, within bounds, and are shared rather than copied."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from anacc.frontend import import_model
from tests.frontend.check import check, floats, model, reference


def test_constant_nodes_and_weights_that_are_computed() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,6] y) {
            two = Constant <value = float {2.0}> ()
            flat = Reshape (w, s)
            double = Mul (flat, two)
            y = MatMul (x, double)
        }""",
        w=floats(2, 2, 6),
        s=np.array([4, 6]),
    )
    module = check(proto, "linear")
    assert list(module.source.constants) == ["double"]


def test_weights_in_eight_bits() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,6] y) {
            w = DequantizeLinear (q, scale, zero)
            y = MatMul (x, w)
        }""",
        q=np.arange(-12, 12, dtype=np.int8).reshape(4, 6),
        scale=np.float32(0.25),
        zero=np.int8(3),
    )
    module = check(proto, "linear", "affine")
    codes = module.constants["@y.codes"]
    assert codes.dtype == np.int8
    assert codes.tolist() == (np.arange(-12, 12).reshape(4, 6) - 3).tolist()


def test_a_value_that_grows_too_much_stays_a_node() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,4] y) {
            huge = ConstantOfShape (size)
            mean = ReduceMean <keepdims=0> (huge)
            y = Add (x, mean)
        }""",
        size=np.array([10**9]),
    )
    module = import_model(proto)
    assert [op.kind for op in module.ops] == ["host", "host", "host"]


def test_random_numbers_do_not_fold() -> None:
    proto = model("g () => (float[2] y) { y = RandomNormal <shape=[2]> () }")
    assert [op.kind for op in import_model(proto).ops] == ["host"]


def test_a_shared_weight_is_one_constant() -> None:
    proto = model(
        "g (float[N,4] x) => (float[N,4] y) "
        "{ a = Gemm <transB=1> (x, w)  b = Gemm <transB=1> (a, w)  y = Gemm (b, w) }",
        w=floats(4, 4),
    )
    module = check(proto, "linear", "linear", "linear")
    assert sorted(module.constants) == ["@w", "@w.transposed"]
    assert np.shares_memory(module.constants["@w"], module.constants["@w.transposed"])


def test_outputs_that_are_inputs_or_constants() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y, float[2] c) { y = Relu (x) }", c=floats(2))
    proto.graph.output.append(proto.graph.input[0])
    module = import_model(proto)
    assert [op.kind for op in module.ops] == ["relu", "host", "identity"]
    assert module.outputs == (("y", "%y"), ("c", "%c.copy"), ("x", "%x.copy"))
    feed = {"x": floats(2, 3)}
    values = module.source.activations(feed, tuple(value for _, value in module.outputs))
    for name, value in module.outputs:
        np.testing.assert_array_equal(values[value], reference(proto, feed)[name])


@pytest.mark.parametrize("inputs", ["", "float[1,3] x"])
def test_an_output_that_is_a_constant_needs_no_batch(inputs: str) -> None:
    proto = model(
        f"g ({inputs}) => (float[2] c) {{ c = Constant <value = float[2] {{1.0, 2.0}}> () }}"
    )
    module = check(proto, "host")
    assert "`c` is a constant" in str(module.ops[0].attributes["reasons"])


def test_a_constant_that_grows_too_much_is_expanded_on_the_host() -> None:
    proto = model(
        "g (float[1,3] x) => (float[3] z) "
        "{ y = Expand (c, s)  m = ReduceMean <axes=[0]> (y)  z = Squeeze (m)}",
        c=floats(1, 3),
        s=np.array([2000000, 3]),
    )
    assert [op.kind for op in import_model(proto).ops][0] == "host"


def test_unused_nodes_and_constants_go() -> None:
    proto = model(
        "g (float[N,3] x, float[N,3] z) => (float[N,3] y) "
        "{ y = Relu (x)  a = Shape (x)  b = MatMul (z, w) }",
        w=floats(3, 3),
    )
    module = check(proto, "relu")
    assert module.inputs == ("%x", "%z") and not module.constants


def test_names_that_clash_with_derived_ones() -> None:
    proto = model(
        "g (float[N,3] x) => (float[N,3] a) { y = Mul (x, c)  a = Add (y, d) }", c=floats(3)
    )
    proto.graph.node[1].input[1] = "y.offset"
    proto.graph.initializer.append(numpy_helper.from_array(floats(3, seed=5), "y.offset"))
    module = check(proto, "affine", "affine")
    assert {"@c", "@y.offset", "@y.offset#2"} <= module.constants.keys()


def test_scalars_run_on_the_chip() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [])],
        [helper.make_tensor_value_info("y", 1, [])],
    )
    opsets = [helper.make_opsetid("", 17)]
    check(helper.make_model(graph, opset_imports=opsets, ir_version=8), "relu")
