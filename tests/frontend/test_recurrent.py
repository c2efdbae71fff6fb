"""Recurrent operators: directions, attributes, initial states and outputs."""

from typing import Any

import numpy as np
import pytest

from anacc.frontend import import_model
from anacc_passes.partition import Partition
from tests.frontend import interpreter
from tests.frontend.check import Array, check, feed_of, floats, model, reference

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def weights(operator: str, count: int = 1) -> dict[str, Array]:
    rows = 5 * GATES[operator]
    return {"w": floats(count, rows, 3), "r": floats(count, rows, 5), "b": floats(count, 2 * rows)}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("state", ["none", "constant", "input"])
@pytest.mark.parametrize("operator", GATES)
def test_directions_and_states(operator: str, direction: str, state: str) -> None:
    count = 2 if direction == "bidirectional" else 1
    constants = weights(operator, count)
    inputs, operands = "float[7,N,3] x", "x, w, r"
    lstm = operator == "LSTM"
    if state == "constant":
        constants |= {"h": np.repeat(floats(count, 1, 5), 3, axis=1)}
        operands += ", b, , h"
    if state == "input":
        inputs += f", float[{count},N,5] h"
        inputs += f", float[{count},N,5] c" if lstm else ""
        operands += ", , , h, c" if lstm else ", , , h"
    outputs = "y, , k" if lstm else "y, k"
    text = (
        f"g ({inputs}) => (float[7,{count},N,5] y, float[{count},N,5] k) "
        f'{{ {outputs} = {operator} <hidden_size=5, direction="{direction}"> ({operands}) }}'
    )
    fixed = {"N": 3} if state == "constant" else None
    module = check(model(text, 14, **constants), operator.lower(), shapes=fixed)
    assert module.ops[0].results == (("%y", "", "%k") if lstm else ("%y", "%k"))
    assert module.batch == (3 if fixed else None)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("LSTM", "clip=0.3"),
        ("LSTM", "input_forget=1"),
        ("LSTM", 'activations=["HardSigmoid", "Relu", "Tanh"]'),
        ("LSTM", 'activations=["hardsigmoid", "tanh", "scaledtanh"], activation_alpha=[0.3, 0.7], '
                 "activation_beta=[0.4, 1.1]"),
        ("LSTM", 'clip=0.3, activations=["HardSigmoid", "Relu", "Sigmoid"]'),
        ("GRU", "clip=0.3"),
        ("GRU", "linear_before_reset=1"),
        ("GRU", 'activations=["HardSigmoid", "Relu"]'),
        ("GRU", 'linear_before_reset=1, activations=["HardSigmoid", "Affine"], '
                "activation_alpha=[0.3, 0.5], activation_beta=[0.4, 0.1]"),
        ("RNN", "clip=0.3"),
        ("RNN", 'activations=["Relu"]'),
        ("RNN", 'activations=["Sigmoid"]'),
        ("RNN", 'activations=["HardSigmoid"], activation_alpha=[-0.3], activation_beta=[0.6]'),
    ],
)  # fmt: skip
def test_attributes(operator: str, attributes: str) -> None:
    text = (
        "g (float[7,N,3] x) => (float[7,1,N,5] y, float[1,N,5] k) "
        f"{{ y, k = {operator} <hidden_size=5, {attributes}> (x, w, r, b) }}"
    )
    check(model(text, 14, **weights(operator)), operator.lower())


@pytest.mark.parametrize("zero", [True, False])
def test_peepholes(zero: bool) -> None:
    text = (
        "g (float[7,N,3] x) => (float[7,1,N,5] y) "
        "{ y = LSTM <hidden_size=5> (x, w, r, b, , , , p) }"
    )
    peepholes = floats(1, 15) * np.float32(0 if zero else 1)
    module = check(model(text, 14, **weights("LSTM"), p=peepholes), "lstm")
    assert len(module.ops[0].operands) == (6 if zero else 7)


def test_directions_with_functions_of_their_own() -> None:
    text = (
        "g (float[7,N,3] x) => (float[7,2,N,5] y) "
        '{ y = RNN <hidden_size=5, direction="bidirectional", activations=["Relu", "Affine"], '
        "activation_alpha=[0.5], activation_beta=[0.25]> (x, w, r, b) }"
    )
    module = check(model(text, 14, **weights("RNN", 2)), "rnn")
    functions = ((("relu", 0.0, 0.0),), (("affine", 0.5, 0.25),))
    assert module.ops[0].attributes["functions"] == functions


def test_a_sequence_that_nothing_reads_has_a_name_for_calibration() -> None:
    text = "g (float[7,N,3] x) => (float[1,N,5] k) { , k = RNN <hidden_size=5> (x, w, r) }"
    proto = model(text, 14, **weights("RNN"))
    module = check(proto, "rnn")
    assert module.ops[0].results == ("%k.sequence", "%k")
    feed = feed_of(proto)
    states = module.source.activations(feed, ("%k.sequence", "%k"))
    np.testing.assert_array_equal(states["%k.sequence"][-1], states["%k"])


@pytest.mark.parametrize("operator", GATES)
def test_batch_first(operator: str) -> None:
    """ONNX Runtime does not run layout 1: the same with layout 0 is the reference."""
    head = "g (float[N,7,3] x, float[N,1,5] h) => (float[N,7,1,5] y, float[N,1,5] k)"
    first = f"{head} {{ y, k = {operator} <hidden_size=5, layout=1> (x, w, r, b, , h) }}"
    second = (
        f"{head} {{ t = Transpose <perm=[1,0,2]> (x)  g = Transpose <perm=[1,0,2]> (h) "
        f"s, l = {operator} <hidden_size=5> (t, w, r, b, , g) "
        "y = Transpose <perm=[2,0,1,3]> (s)  k = Transpose <perm=[1,0,2]> (l) }"
    )
    kinds = ("transpose", "transpose", operator.lower(), "transpose", "transpose")
    proto = model(second, 14, **weights(operator))
    expected = interpreter.run(check(proto, *kinds), feed_of(proto))
    module = import_model(model(first, 14, **weights(operator)))
    assert tuple(op.kind for op in module.ops) == kinds
    for each in (module, Partition()(module)):
        found = interpreter.run(each, feed_of(proto))
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array)


def test_initial_state_of_zeros_for_each_sample() -> None:
    """As PyTorch exports it: zeros of the size of the batch."""
    proto = model(
        """g (float[7,N,3] x) => (float[7,1,N,5] y) {
            shape = Shape (x)
            size = Gather (shape, one)
            row = Unsqueeze (size, zero)
            whole = Concat <axis=0> (front, row, back)
            h = ConstantOfShape <value = float[1] {0.5}> (whole)
            y = LSTM <hidden_size=5> (x, w, r, , , h, h)
        }""",
        14,
        w=floats(1, 20, 3),
        r=floats(1, 20, 5),
        one=np.array(1),
        zero=np.array([0]),
        front=np.array([1]),
        back=np.array([5]),
    )
    module = check(proto, "lstm")
    assert module.batch is None
    assert module.constants["@h.state"].shape == (1, 1, 5)


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_initial_state_of_zeros_for_a_fixed_batch(operator: str) -> None:
    """As PyTorch exports it: zeros for three samples, expanded to three samples."""
    states = "h, h" if operator == "LSTM" else "h"
    proto = model(
        f"""g (float[3,7,3] x) => (float[7,1,3,5] y) {{
            t = Transpose <perm=[1,0,2]> (x)
            shape = Shape (t)
            size = Gather (shape, one)
            row = Unsqueeze (size, zero)
            whole = Concat <axis=0> (front, row, back)
            h = Expand (zeros, whole)
            y = {operator} <hidden_size=5> (t, w, r, , , {states})
        }}""",
        14,
        **{name: array for name, array in weights(operator).items() if name != "b"},
        zeros=np.zeros((1, 3, 5), np.float32),
        one=np.array(1),
        zero=np.array([0]),
        front=np.array([1]),
        back=np.array([5]),
    )
    assert check(proto, "transpose", operator.lower()).batch == 3


def test_states_that_differ_between_samples_are_no_batch() -> None:
    proto = model(
        """g (float[7,3,3] x) => (float[7,1,3,5] y) {
            h = Expand (states, whole)
            y = GRU <hidden_size=5> (x, w, r, b, , h)
        }""",
        14,
        **weights("GRU"),
        states=floats(1, 3, 5),
        whole=np.array([1, 3, 5]),
    )
    check(proto, "host")


def test_two_directions_of_two_samples() -> None:
    """Either axis of the initial state could be the batch."""
    text = (
        "g (float[7,2,3] x, float[2,2,5] h) => (float[2,2,5] k) "
        '{ , k = GRU <hidden_size=5, direction="bidirectional"> (x, w, r, b, , h) }'
    )
    check(model(text, 14, **weights("GRU", 2)), "gru")


@pytest.mark.parametrize("opset", [11, 14])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", GATES)
def test_lengths_from_an_input(operator: str, direction: str, opset: int) -> None:
    count = 2 if direction == "bidirectional" else 1
    text = (
        f"g (float[7,N,3] x, int32[N] l, float[{count},N,5] h) => "
        f"(float[7,{count},N,5] y, float[{count},N,5] k) {{ y, k = {operator} "
        f'<hidden_size=5, direction="{direction}"> (x, w, r, b, l, h) }}'
    )
    proto = model(text, opset, **weights(operator, count))
    feed = feed_of(proto, {"N": 4}) | {"l": np.array([7, 1, 4, 6], np.int32)}
    expected = reference(proto, feed)
    module = import_model(proto)
    assert [op.kind for op in module.ops].count(operator.lower()) == count
    for each in (module, Partition()(module)):
        found = interpreter.run(each, feed)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_lengths_stay_where_the_last_cell_state_is_read() -> None:
    text = (
        "g (float[7,N,3] x, int32[N] l) => (float[1,N,5] k) "
        "{ , , k = LSTM <hidden_size=5> (x, w, r, b, l) }"
    )
    module = import_model(model(text, 14, **weights("LSTM")))
    (op,) = module.ops
    assert "no last cell state is read" in str(op.nested("reasons")[0])


@pytest.mark.parametrize("shape", [(), (5,), (1, 5)])
def test_an_initial_state_without_three_axes(shape: tuple[int, ...]) -> None:
    """ONNX Runtime judges it when it runs."""
    text = "g (float[7,N,3] x) => (float[7,1,N,5] y) { y = RNN <hidden_size=5> (x, w, r, , , h) }"
    module = import_model(model(text, 14, **weights("RNN"), h=np.zeros(shape, np.float32)))
    (op,) = module.ops
    reasons: Any = op.attributes["reasons"]
    assert "its initial state has three axes" in reasons[0]


def test_a_last_cell_state_that_only_an_inner_graph_reads() -> None:
    """It is in no sequence of states, so that the node cannot become one of full sequences."""
    text = """g (float[7,N,3] x, int32[N] n, bool c) => (float[7,1,N,5] y, float[1,N,5] z) {
        y, , k = LSTM <hidden_size=5> (x, w, r, b, n)
        z = If (c) <
            then_branch = t () => (float[1,N,5] u) { u = Neg (k) },
            else_branch = e () => (float[1,N,5] v) { v = Abs (k) }
        >
    }"""
    module = import_model(model(text, 14, **weights("LSTM")))
    assert [op.kind for op in module.ops] == ["host", "host"]
