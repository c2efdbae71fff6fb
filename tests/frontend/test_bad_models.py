"""Models that are wrong on purpose: each is refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

import anacc
from anacc.errors import ModelError
from anacc.frontend import import_model
from tests.frontend.check import check, floats, model


def refusal(proto: ModelProto) -> str:
    """The sentence that refuses a model."""
    with pytest.raises(ModelError) as caught:
        anacc.compile(proto)
    assert "\n" not in caught.value.message
    return caught.value.message


def product(*shape: int | str, element: int = TensorProto.FLOAT) -> ModelProto:
    """A product with a matrix, its input of this shape and type."""
    proto = model("g (float[N,3] x) => (float[N,4] y) { y = MatMul (x, w) }", w=floats(3, 4))
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", element, list(shape)))
    return proto


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((-3, 3), "input `x` has a negative dimension"),
        (("N", -3), "input `x` has a negative dimension"),
        ((2**40, 3), "takes 3,072 GiB for one sample, and 4 GiB are the limit"),
        (("N", 2**62, 3), "4 GiB are the limit"),
        ((2**63 - 1, 2**63 - 1, 3), "4 GiB are the limit"),
    ],
)
def test_sizes_of_inputs(shape: tuple[int | str, ...], reason: str) -> None:
    assert reason in refusal(product(*shape))


def test_minus_one_is_an_open_dimension() -> None:
    """So some exporters write it."""
    assert import_model(product(-1, 3)).values["%x"].type == import_model(
        product("N", 3)).values["%x"].type  # fmt: skip


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        ("y = Expand (x, s)", {"s": np.array([10**6, 10**6, 1, 3])}, "4 GiB are the limit"),
        ("y = Tile (x, s)", {"s": np.array([1, 10**12])}, "node `Tile:y` (Tile) of shape (N, 3"),
        ("y = Pad (x, s)", {"s": np.array([0, 0, 0, 2**40])}, "4 GiB are the limit"),
        ("y = Pad (x, s)", {"s": np.array([0, 2**62, 0, 2**62])}, "Integer overflow"),
        ("y = Pad (x, s)", {"s": np.array([0, -7, 0, 0])}, "has a negative size: (N, -4)"),
        ("y = ConstantOfShape (s)", {"s": np.array([10**12])}, "4 GiB are the limit"),
    ],
)
def test_sizes_of_results(body: str, constants: dict[str, Any], reason: str) -> None:
    assert reason in refusal(model(f"g (float[N,3] x) => (float y) {{ {body} }}", **constants))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "Conv", "ConvTranspose"])
@pytest.mark.parametrize(
    "window",
    ["pads=[1073741824,0,0,0]", "strides=[0,1]", "strides=[-1,1]", "dilations=[0,1]",
     "dilations=[4611686018427387904,1]", "kernel_shape=[0,3]", "pads=[1]", "pads=[-9,-9,-9,-9]"],
)  # fmt: skip
def test_windows(operator: str, window: str) -> None:
    weight = ", k" if operator.startswith("Conv") else ""
    size = "" if weight or "kernel" in window else "kernel_shape=[2,2], "
    text = f"g (float[N,2,6,6] x) => (float y) {{ y = {operator} <{size}{window}> (x{weight}) }}"
    assert f"node `{operator}:y`" in refusal(model(text, 19, k=floats(2, 2, 3, 3)))


def test_types() -> None:
    for element in (0, 99):
        assert refusal(product("N", 3, element=element)) == "input `x` has no element type"
    wrong = product("N", 3)
    wrong.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    assert refusal(wrong) == "output `y` is declared int64, but is float32"


def test_versions_that_are_none() -> None:
    proto = product("N", 3)
    proto.opset_import.add(domain="own", version=2**40)
    assert refusal(proto) == "the model uses operator set 1099511627776 of `own`"
    proto = product("N", 3)
    proto.ir_version = -1
    assert "is not an ONNX model" in refusal(proto)


def test_an_output_of_an_unknown_type_is_not_judged() -> None:
    proto = product("N", 3)
    proto.graph.output[0].type.tensor_type.elem_type = -7
    assert import_model(proto).ops


def test_names_with_control_characters() -> None:
    """They would break messages and reports into lines."""
    proto = product("N", 3)
    proto.graph.node[0].name = "one\ntwo"
    assert "the name 'one\\ntwo' is not printable" in refusal(proto)


def with_functions(*functions: str) -> ModelProto:
    """A model that calls `own.f`."""
    imports = '<domain: "own", opset_import: ["" : 17, "own" : 1]>'
    return parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "own" : 1]>'
        " g (float[N,3] x) => (float[N,3] y) { y = own.f (x) } "
        + " ".join(text if text[0] == "<" else f"{imports} {text}" for text in functions)
    )


def test_functions_that_call_themselves() -> None:
    alone = with_functions("f (a) => (b) { b = own.f (a) }")
    assert refusal(alone) == "function `own.f` calls itself"
    pair = with_functions("f (a) => (b) { b = own.h (a) }", "h (a) => (b) { b = own.f (a) }")
    assert "calls itself" in refusal(pair)
    assert "cannot be expanded" in refusal(with_functions(*["f (a) => (b) { b = Relu (a) }"] * 2))


def test_functions_that_grow_without_end() -> None:
    """Each calls the next one twice."""
    calls = [f"f{i} (a) => (b) {{ c = own.f{i + 1} (a)  b = own.f{i + 1} (c) }}" for i in range(40)]
    proto = with_functions(
        "f (a) => (b) { b = own.f0 (a) }", *calls, "f40 (a) => (b) { b = Abs (a) }"
    )
    assert refusal(proto) == "the functions of the model expand to more than 100,000 nodes"


def test_functions_that_call_one_another_without_end() -> None:
    """Each calls the next one; Python would run out of stack."""
    calls = [f"f{i} (a) => (b) {{ b = own.f{i + 1} (a) }}" for i in range(1500)]
    proto = with_functions(
        "f (a) => (b) { b = own.f0 (a) }", *calls, "f1500 (a) => (b) { b = Abs (a) }"
    )
    assert refusal(proto) == "the functions of the model call one another more than 100 deep"


def test_functions_of_other_operator_sets() -> None:
    other = '<domain: "own", opset_import: ["" : {}]> f (a) => (b) {{ {} }}'
    same = with_functions(other.format(14, "b = Relu (a)"))
    check(same, "relu")
    wider = with_functions(other.format(11, "c = Mul (a, a)  b = Flatten (c)"))
    check(wider, "multiply", "reshape")
    assert "has a function that cannot be expanded" in refusal(
        with_functions(other.format(9, "b = Upsample <scales=[1.0,1.0]> (a)"))
    )


def test_attributes_of_no_function() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y) { y = LeakyRelu <alpha=0.5> (x) }")
    proto.graph.node[0].attribute[0].ref_attr_name = "slope"
    assert "attribute `alpha` of node `LeakyRelu` is one of a function" in refusal(proto)


def test_inner_graphs_that_do_not_fit() -> None:
    proto = model(
        "g (float[N,3] x) => (float[N,3] y) { y = If (c) <then_branch = t () => (float[N,3] u) "
        "{ u = Relu (x) }, else_branch = e () => (float[N,3] v) { v = Tanh (x) }> }",
        c=np.array(True),
    )
    del proto.graph.node[0].attribute[0].g.output[:]
    assert "node `If:y` (If) does not fit its inner graph" in refusal(proto)


def sparse(*indices: int, shape: tuple[int, ...] = (3, 4)) -> ModelProto:
    """A product with a sparse matrix."""
    proto = product("N", 3)
    del proto.graph.initializer[:]
    values = numpy_helper.from_array(np.arange(1, len(indices) + 1, dtype=np.float32), "w")
    places = numpy_helper.from_array(np.array(indices, np.int64), "places")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, shape))
    return proto


def test_sparse_initialisers_are_written_out() -> None:
    module = import_model(sparse(1, 5))
    np.testing.assert_array_equal(
        module.constants["@w"], [[0, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    )
    assert refusal(sparse(1, 50)) == "the sparse tensor `w` is damaged: its indices do not fit"
    assert "4 GiB are the limit" in refusal(sparse(1, shape=(2**20, 2**20)))


def test_graphs_without_a_name() -> None:
    proto = product("N", 3)
    proto.graph.name = ""
    assert import_model(proto).name == "graph"


def nested(depth: int, condition: str) -> ModelProto:
    """Branches in branches."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["u0"])], "b", [], [info("u0", 1, ["N", 3])]
    )
    for level in range(1, depth + 1):
        node = helper.make_node("If", [condition], [f"u{level}"])
        for name in ("then_branch", "else_branch"):
            inner = graph if name == "then_branch" else helper.make_graph(
                [helper.make_node("Abs", ["x"], [f"e{level}"])], "e", [],
                [info(f"e{level}", 1, ["N", 3])],
            )  # fmt: skip
            node.attribute.add(name=name, type=5).g.CopyFrom(inner)
        graph = helper.make_graph([node], "b", [], [info(f"u{level}", 1, ["N", 3])])
    graph.input.extend([info("x", 1, ["N", 3]), info("k", 9, [])])
    graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("condition", ["c", "k"])
def test_the_deepest_nesting_that_files_can_have(condition: str) -> None:
    check(nested(31, condition), *(["relu", *["identity"] * 31] if condition == "c" else ["host"]))


@pytest.mark.parametrize("depth", [40, 400])
def test_nesting_that_no_file_can_have(depth: int) -> None:
    proto = product("N", 3)
    graph = proto.graph
    for _ in range(depth):
        node = graph.node.add(op_type="If", input=["c"], output=["u"])
        graph = node.attribute.add(name="then_branch", type=5).g
    assert refusal(proto) == "the graphs of the model are nested more than 33 deep"


def test_zero_sized_dimensions() -> None:
    proto = model(
        "g (float[N,3] x, float[0,5] z) => (float[N,4] y, float[0,5] e) "
        "{ y = MatMul (x, w)  e = Exp (z) }",
        w=floats(3, 4),
    )
    program = anacc.compile(proto, calibration={"x": floats(2, 3), "z": np.zeros((0, 5), "f4")})
    outputs = program.run({"x": floats(2, 3), "z": np.zeros((0, 5), np.float32)})
    assert outputs["e"].shape == (0, 5) and outputs["y"].shape == (2, 4)
    reshape = model(
        "g (float[2,0,3] x) => (float[2,3,0] y) { y = Reshape <allowzero=1> (x, s) }",
        s=np.array([2, 3, 0]),
    )
    outputs = anacc.compile(reshape).run({"x": np.zeros((2, 0, 3), np.float32)})
    assert outputs["y"].shape == (2, 3, 0)


def test_what_the_host_cannot_run_is_refused_when_it_is_compiled() -> None:
    proto = model(
        "g (float[5,N,3] x) => (float y) "
        '{ y = LSTM <hidden_size=2, activations=["Foo"]> (x, w, r) }',
        w=floats(1, 8, 3),
        r=floats(1, 8, 2),
    )
    assert "ONNX Runtime cannot load the model: " in refusal(proto)
