"""Chip or host: which side ops take, and how the host's are merged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.frontend import import_model
from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, verify
from anacc_passes.partition import Partition, _atoms
from tests.frontend import interpreter
from tests.frontend.check import feed_of, floats, model, reference
from tests.passes.chips import target
from tests.passes.golden_text import check as check_golden
from tests.work import work

W: dict[str, Any] = {"w": floats(4, 4)}
HOSTED = {"nodes": ("Mul:y",), "reasons": ("no unit can",), "hints": ("",)}


def partitioned(text: str, **constants: Any) -> Module:
    """The module after the pass; its outputs must be right."""
    proto = model(text, 17, **constants)
    module = Partition()(import_model(proto))
    verify(module)
    feed = feed_of(proto)
    actual = interpreter.run(module, feed)
    for name, array in reference(proto, feed).items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-4, atol=1e-5)
    return module


def kinds(module: Module) -> list[str]:
    return [op.kind for op in module.ops]


def host(module: Module) -> list[Op]:
    return [op for op in module.ops if op.kind == "host"]


def test_without_a_host_nothing_changes() -> None:
    module = import_model(
        model("g (float[N,4] x) => (float[N,4] y) { a = MatMul (x, w)  y = Relu (a) }", **W)
    )
    assert Partition()(module) == module


@pytest.mark.parametrize(
    ("body", "expected", "nodes"),
    [
        # On a tie the chip wins: the relu stays with its product.
        ("a = MatMul (x, w)  r = Relu (a)  y = Softmax (r)", "linear relu host", 1),
        # Between two host nodes, a pointwise op would only move data.
        ("a = MatMul (x, w)  s = Softmax (a)  r = Relu (s)  y = Floor (r)", "linear host", 3),
        # A product stays on the chip all the same.
        ("a = Floor (x)  b = MatMul (a, w)  y = Floor (b)", "host linear host", 1),
        # What only moves inputs to the host, or has nothing to do with a product, moves.
        ("a = Relu (x)  y = Floor (a)", "host", 2),
        ("y = Relu (x)  a = MatMul (x, w)  z = Floor (a)", "linear host", 2),
        # A constant factor after a product fuses there: it stays.
        ("a = MatMul (x, w)  b = Mul (a, c)  y = Floor (b)", "linear affine host", 1),
        # Both operands of the sum come from the host, and only the host reads it.
        (
            "a = MatMul (x, w)  p = Floor (a)  q = Ceil (p)  s = Sub (p, q)  y = Floor (s)",
            "linear host",
            4,
        ),
    ],
)
def test_sides(body: str, expected: str, nodes: int) -> None:
    outputs = "float[N,4] y, float[N,4] z" if "z =" in body else "float[N,4] y"
    text = f"g (float[N,4] x) => ({outputs}) {{ {body} }}"
    module = partitioned(text, **W, c=np.full(4, 0.5, np.float32))
    assert kinds(module) == expected.split()
    assert len(host(module)[-1].origins) == nodes


@pytest.mark.parametrize(
    "name",
    [
        "partition_3_tie",
        "partition_3_time",
        "partition_4_lone",
        "partition_segments",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    check_golden(name, Partition(target()), update_golden)


def test_what_the_target_lacks_has_a_hint() -> None:
    lacking = target(bridge__functions=["window", "reshape", "requantise"])
    module = import_model(
        model(
            "g (float[N,4] x) => (float[N,5] y) { a = MatMul (x, w)  y = Pad (a, p) }",
            17,
            **W,
            p=np.array([0, 0, 0, 1]),
        )
    )
    (op,) = host(Partition(lacking)(module))
    assert op.nested("reasons") == (f"the bridge of `{lacking.chip.name.value}` has no pad",)
    assert op.nested("hints")[0].startswith("compile for `hermes`")


def test_reasons_name_every_node() -> None:
    module = partitioned(
        "g (float[N,4] x) => (float[N,4] y) "
        "{ a = MatMul (x, w)  s = Softmax (a)  r = Relu (s)  y = Floor (r) }",
        **W,
    )
    op = host(module)[0]
    assert op.operands == ("%a",) and op.results == ("%y",)
    assert op.attributes["nodes"] == ("Softmax:s", "Relu:r", "Floor:y") == op.origins
    reasons: Any = op.attributes["reasons"]
    assert reasons[0] == "the chip has no operator Softmax"
    assert reasons[1].startswith("its neighbours run on the host")
    hints: Any = op.attributes["hints"]
    assert hints[0].startswith("leave it out of the model")
    assert hints[1] == "nothing to do: it follows its neighbours as soon as they run on the chip"
    assert "%s" not in module.values


def test_the_reason_of_what_has_no_product_near_it() -> None:
    module = partitioned(
        "g (float[N,4] x) => (float[N,4] y, float[N,4] z) "
        "{ y = Relu (x)  a = MatMul (x, w)  s = Floor (a)  z = Tanh (s) }",
        **W,
    )
    (op,) = host(module)
    nodes: Any = op.attributes["nodes"]
    reasons: Any = op.attributes["reasons"]
    assert dict(zip(nodes, reasons, strict=True)) == {
        "Relu:y": "no convolution, product or recurrent layer is near it: on the chip, it would "
        "only cross the border",
        "Floor:s": "the chip has no operator Floor",
        "Tanh:z": "its neighbours run on the host: on the chip, it would only move data over the "
        "border",
    }


def test_long_models_do_not_take_long() -> None:
    """Finding what belongs together takes work in proportion to the ops, not to their square."""
    short, long = chain(1000), chain(4000)
    assert _atoms(long) == [i - i % 2 for i in range(4000)]
    assert work(lambda: _atoms(long)) < 5 * work(lambda: _atoms(short))


def chain(count: int) -> Module:
    """Activations one after another; two ops share an ONNX node."""
    kind = TensorType("float32", (BATCH, 4))
    return Module(
        level=Level.GRAPH,
        name="long",
        batch=None,
        inputs=("%0",),
        outputs=(("y", f"%{count}"),),
        values={f"%{i}": Value(f"%{i}", kind) for i in range(count + 1)},
        constants={},
        ops=tuple(
            Op("relu", (f"%{i}",), (f"%{i + 1}",), {}, (f"a{i // 2}", f"b{i}"))
            for i in range(count)
        ),
    )


def test_segments_of_one_level_merge_across_branches() -> None:
    module = partitioned(
        """g (float[N,4] x) => (float[N,4] p, float[N,4] q) {
            a = MatMul (x, w)
            p = Softmax (a)
            b = Gemm (x, w)
            q = Floor (b)
        }""",
        **W,
    )
    assert kinds(module) == ["linear", "linear", "host"]
    assert host(module)[0].results == ("%p", "%q")


def test_segments_do_not_merge_into_a_circle() -> None:
    module = partitioned(
        """g (float[N,4] x) => (float[N,4] y) {
            e = Floor (x)
            a = MatMul (e, w)
            f = Floor (a)
            s = Add (e, f)
            y = Erf (s)
        }""",
        **W,
    )
    assert kinds(module) == ["host", "linear", "host"]
    assert host(module)[1].operands == ("%a", "%e")


def test_ops_of_one_node_stay_together() -> None:
    """The `expand` of a broadcast has the origin of its `add`."""
    module = partitioned(
        """g (float[N,2,4] x) => (float[N,2,4] y) {
            a = MatMul (x, w)
            m = ReduceSum (a, axis)
            n = Floor (m)
            s = Sub (a, n)
            y = Floor (s)
        }""",
        **W,
        axis=np.array([1]),
    )
    assert kinds(module) == ["linear", "host"]
    assert "Sub:s" in host(module)[0].origins


def test_what_needs_vanished_shape_arithmetic_stays() -> None:
    """`states` repeats one sample: its constant is on the chip, its nodes are gone."""
    module = import_model(
        model(
            """g (float[N,4] x) => (float[N,4] y) {
                shape = Shape (x)
                ones = ConstantOfShape <value = float[1] {1.0}> (shape)
                a = Floor (x)
                b = Add (a, ones)
                c = MatMul (b, w)
                y = Floor (c)
            }""",
            17,
            **W,
        )
    )
    assert kinds(module) == ["host", "affine", "linear", "host"]
    assert kinds(Partition()(module)) == kinds(module)


def test_vanished_shape_arithmetic_is_computed_again_on_the_host() -> None:
    """Between two host nodes the sum would only move data: the host repeats `ones` itself."""
    module = partitioned(
        """g (float[N,4] x) => (float[N,4] y) {
            m = MatMul (x, w)
            shape = Shape (x)
            ones = ConstantOfShape <value = float[1] {1.0}> (shape)
            a = Floor (m)
            b = Add (a, ones)
            y = Floor (b)
        }""",
        **W,
    )
    assert kinds(module) == ["linear", "host"]
    assert host(module)[0].operands == ("%m", "%x")  # the shape of x


def test_shape_arithmetic_of_what_the_target_lacks_is_computed_again() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,4] y) {
            m = MatMul (x, w)
            shape = Shape (x)
            twos = ConstantOfShape <value = float[1] {2.0}> (shape)
            y = Mul (m, twos)
        }""",
        17,
        **W,
    )
    lacking = target(gdpu__functions=[], ldpu__functions=["affine", "accumulate", "requantise"])
    module = import_model(proto)
    hosted = replace(module.ops[-1], kind="host", attributes=dict(HOSTED), operands=("%m",))
    made = Partition(lacking)(replace(module, ops=(*module.ops[:-1], hosted)))
    assert host(made)[0].operands == ("%m", "%x")


def test_what_cannot_be_computed_again_stays() -> None:
    """`ones` has the shape of a value that no model input tells."""
    module = partitioned(
        """g (float[N,4] x) => (float[N,4] y) {
            m = MatMul (x, w)
            shape = Shape (m)
            ones = ConstantOfShape <value = float[1] {1.0}> (shape)
            a = Floor (m)
            b = Add (a, ones)
            y = Floor (b)
        }""",
        **W,
    )
    assert kinds(module) == ["linear", "host", "affine", "host"]


@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    """Any mixture: the partition is valid, and computes the same."""
    lines, names = [], ["x"]
    unary = ["Relu", "Exp", "Tanh", "Softmax", "Sigmoid", "Erf"]
    for number in range(data.draw(st.integers(1, 10))):
        left, right = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        choice = data.draw(st.sampled_from([*unary, "Add", "Mul", "MatMul", "MatMul"]))
        operands = f"{left}, {right}" if choice in ("Add", "Mul") else left
        bounded = f"{left}, w" if choice == "MatMul" else operands
        lines.append(f"t{number} = {choice} ({bounded})  v{number} = Tanh (t{number})")
        names += [f"t{number}", f"v{number}"]
    outputs = ", ".join(
        f"float[N,4] {name}" for name in {names[-1], data.draw(st.sampled_from(names[1:]))}
    )
    partitioned(f"g (float[N,4] x) => ({outputs}) {{ {'  '.join(lines)} }}", **W)
