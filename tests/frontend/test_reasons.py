"""What stays on the host: the sentence says why, and the segment computes the same."""

from typing import Any

import numpy as np
import pytest

from tests.frontend.check import check, floats, host_reason, model

X4 = "float[N,3,8,8] x"
X2 = "float[N,3] x"
LSTM = (
    "g (float[7,N,3] x) => (float[7,1,N,5] y) "
    "{ y = LSTM <hidden_size=5 ATTRIBUTES> (x, w, r MORE) }"
)
WEIGHTS = {"w": floats(1, 20, 3), "r": floats(1, 20, 5)}
GRU_WEIGHTS = {"w": floats(1, 15, 3), "r": floats(1, 15, 5)}


def lstm(attributes: str = "", more: str = "") -> str:
    return LSTM.replace(" ATTRIBUTES", attributes).replace(" MORE", more)


def gru(attributes: str) -> str:
    return lstm(attributes).replace("LSTM", "GRU")


def pool(attributes: str) -> str:
    return f"g ({X4}) => (float[N,3,a,b] y) {{ y = {attributes} (x) }}"


CASES: list[tuple[str, dict[str, Any], str]] = [
    (f"g ({X2}) => (float[N,3] y) {{ y = Softmax (x) }}", {}, "the chip has no operator Softmax"),
    ("g (int64[N,3] x) => (int64[N,3] y) { y = Add (x, x) }", {}, "`x` is int64"),
    (
        "g (float[N,1,8,8] x, float[2,1,3,3] w) => (float[N,2,6,6] y) { y = Conv (x, w) }",
        {},
        "its parameters are constants",
    ),
    (
        "g (float[N,2,2,2,2,2] x) => (float[N,2,1,1,1,1] y) { y = Conv (x, w) }",
        {"w": floats(2, 2, 2, 2, 2, 2)},
        "one, two or three spatial axes",
    ),
    (
        "g (float[N,3,4] x, float[N,4,5] z) => (float[N,3,5] y) { y = MatMul (x, z) }",
        {},
        "a product of two activations is digital",
    ),
    (
        'g (float[N,3,3] x) => (float[N,3] y) { y = Einsum <equation="nii,i->ni"> (x, w) }',
        {"w": floats(3)},
        "no diagonal",
    ),
    (
        'g (float[N,3] x) => (float[N,3] y) { y = Einsum <equation="ni,i->ni"> (x, w) }',
        {"w": floats(3)},
        "sums over an axis",
    ),
    (
        'g (float[N,3] x) => (float[N] y) { y = Einsum <equation="ni->n"> (x) }',
        {},
        "permutes the axes",
    ),
    (
        f"g ({X2}, float[N,4] z) => (float[N,4] y) {{ y = Gemm (x, w, z) }}",
        {"w": floats(3, 4)},
        "what it adds is a constant",
    ),
    (f"g ({X2}, float[N,3] z) => (float[N,3] y) {{ y = Div (x, z) }}", {}, "divides by a constant"),
    (
        f"g ({X2}) => (float[N,3] y) {{ y = Div (x, c) }}",
        {"c": np.array([1, 1e-40, 2], np.float32)},
        "its reciprocal",
    ),
    (
        f"g ({X4}) => (float[N,3,8,8] y) {{ y = BatchNormalization (x, c, c, c, v) }}",
        {"c": floats(3), "v": np.array([1, -1, 2], np.float32)},
        "no variance is negative",
    ),
    (f"g ({X2}) => (float[N,3] y) {{ y = Add (x, c) }}", {"c": [np.float32(-np.inf)]}, "finite"),
    (
        f"g ({X2}) => (float[N,3] y) {{ y = Max (x, c, d) }}",
        {"c": floats(3), "d": floats(3)},
        "at most one of its operands is a constant",
    ),
    (f"g ({X2}) => (float[N,3] y) {{ y = PRelu (x, x) }}", {}, "its slope is a constant"),
    (f"g ({X2}) => (float[N,3] y) {{ y = Pow (x, x) }}", {}, "its exponent is one constant number"),
    (
        f"g ({X2}) => (float[N,3] y, bool[N,3] m) {{ y, m = Dropout (x) }}",
        {},
        "nothing reads its mask",
    ),
    (
        f"g ({X4}) => (float[N,3,a,b] y, int64[N,3,a,b] i) "
        "{ y, i = MaxPool <kernel_shape=[2,2]> (x) }",
        {},
        "nothing reads the places",
    ),
    (
        pool("AveragePool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1, count_include_pad=1>"),
        {},
        "windows whose pads count",
    ),
    (pool("LpPool <kernel_shape=[2,2]>"), {}, "no operator LpPool"),
    (
        f"g ({X4}) => (float[1,1,8,8] y) {{ y = ReduceMean <axes=[0,1]> (x) }}",
        {},
        "the batch not among them",
    ),
    (
        'g (float[N,4,6] x) => (float[N,4,5] y) { y = Pad <mode="reflect"> (x, p) }',
        {"p": np.array([0, 0, -2, 0, 0, 1])},
        "none is negative",
    ),
    (
        "g (float[N,4] x) => (float[N,4] y) { y = Slice (x, s, e, a, t) }",
        {"s": [-1], "e": [-(2**62)], "a": [0], "t": [-1]},
        "leaves the batch whole",
    ),
    (
        "g (float[N,40] x) => (float[N,30] y) { y = Gather <axis=1> (x, i) }",
        {"i": np.arange(30) ** 2 % 37},
        "at most 8 evenly spaced runs",
    ),
    (
        "g (float[N,3] x) => (float[2,3] y) { y = Gather <axis=0> (x, i) }",
        {"i": np.array([0, 0])},
        "leaves the batch whole",
    ),
    (
        "g (float[1,3] x) => (float[1,4] y) { y = Concat <axis=1> (x, c) }",
        {"c": floats(1, 1)},
        "none of its operands",
    ),
    (
        "g (float[N,2,3] x) => (float[2,N,3] y) { y = Reshape (x, s) }",
        {"s": [2, -1, 3]},
        "sample by sample",
    ),
    ("g (float[N,4] x) => (float[M] y) { y = Reshape (x, s) }", {"s": [-1]}, "mixes the batch"),
    (lstm(', activations=["Elu","Tanh","Tanh"]'), WEIGHTS, "activations are"),
    (lstm(', activations=["Sigmoid","Affine","Tanh"]'), WEIGHTS, "with numbers"),
    (lstm(', activations=["Sigmoid","Tanh","Relu"]'), WEIGHTS, "rectifies only sums"),
    (
        lstm(", clip=1.0", more=", , , , , p"),
        WEIGHTS | {"p": floats(1, 15)},
        "it clips and rectifies only sums of products",
    ),
    (gru(", linear_before_reset=1, clip=1.0"), GRU_WEIGHTS, "behind no peephole, reset gate"),
    (gru(', activations=["Relu","Tanh"]'), GRU_WEIGHTS, "within -1 and 1"),
    (lstm(more=", , l").replace("N", "3"), WEIGHTS | {"l": np.array([7, 7, 2], "i4")}, "full"),
    (
        lstm(more=", , , h").replace("N", "3"),
        WEIGHTS | {"h": floats(1, 3, 5)},
        "the same for every sample",
    ),
]


@pytest.mark.parametrize(("text", "constants", "reason"), CASES, ids=[c[2] for c in CASES])
def test_reason(text: str, constants: dict[str, Any], reason: str) -> None:
    assert reason in host_reason(model(text, 17, **constants))


def test_full_sequence_lengths_are_no_obstacle() -> None:
    text = lstm(more=", , l").replace("N", "3")
    check(model(text, 14, **WEIGHTS, l=np.array([7, 7, 7], "i4")), "lstm")


def test_tensors_that_depend_on_data_stay_on_the_host() -> None:
    proto = model(
        """g (float[N,3] x) => (float[M,2] y) {
            places = NonZero (x)
            turned = Transpose (places)
            some = Cast <to=1> (turned)
            y = Relu (some)
        }"""
    )
    module = check(proto, "host", "host", "host", "host")
    assert "depends on the data" in str(module.ops[-1].attributes["reasons"])


def test_what_mixes_samples_stays_on_the_host() -> None:
    proto = model(
        "g (float[N,3] x) => (float[N,3] y) { m = ReduceMean <axes=[0]> (x)  y = Add (x, m) }"
    )
    module = check(proto, "host", "host")
    reason = "it runs on the chip only if its tensors have a batch axis, but `m` has none"
    assert module.ops[1].attributes["reasons"] == (reason,)


def test_control_flow_stays_on_the_host() -> None:
    """The inner graph reads a tensor of the outer one; types come from ONNX Runtime."""
    proto = model(
        """g (float[N,3] x, bool[1] c) => (float[N,3] z) {
            y = Sigmoid (x)
            t = If (c) <
                then_branch = a () => (float[N,3] p) { p = Relu (y) },
                else_branch = b () => (float[N,3] q) { q = Neg (y) }
            >
            z = Tanh (t)
        }"""
    )
    module = check(proto, "sigmoid", "host", "tanh")
    assert module.ops[1].operands == ("%c", "%y")


def test_foreign_operators_stay_on_the_host() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y) { t = com.microsoft.Gelu (x)  y = Tanh (t) }")
    proto.opset_import.add(domain="com.microsoft", version=1)
    module = check(proto, "host", "tanh")
    assert module.ops[0].attributes["reasons"] == ("the chip has no operator com.microsoft.Gelu",)
