"""Functions of single elements on both targets: every way to run a program gives the same bits, and
these are what ONNX Runtime computes, but for the rounding to 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc import Program
from anacc.compiler import compile_image
from tests.end_to_end.checks import (
    PRECISE,
    Results,
    assert_accurate,
    assert_same_bits,
    onnx_results,
)
from tests.frontend.check import floats, model

Array = npt.NDArray[Any]

EXACT = {
    "LeakyRelu <alpha=0.1> (a)": 16,
    "PRelu (a, s)": 16,
    "Abs (a)": 13,
    "HardSigmoid (a)": 14,
    "HardSwish (a)": 14,
    "Swish <alpha=1.5> (a)": 24,
    'Gelu <approximate="tanh"> (a)': 20,
    "Pow (a, two)": 15,
    "Pow (a, three)": 15,
    "Max (a, b)": 13,
    "Min (a, s)": 13,
    "Max (a, b, s)": 13,
}
"""Calls that the units of HERMES compute, and their operator sets."""
TABLES = {
    "Gelu (a)": 20,
    "Erf (a)": 13,
    "Elu <alpha=0.7> (a)": 17,
    "Selu (a)": 17,
    "Celu <alpha=0.5> (a)": 17,
    "Softplus (a)": 17,
    "Softsign (a)": 17,
    "Mish (a)": 18,
    "ThresholdedRelu <alpha=0.5> (a)": 17,
    "Shrink (a)": 17,
    "Exp (a)": 17,
    "Sin (a)": 17,
    "Cos (a)": 17,
    "Atan (a)": 17,
    "Asinh (a)": 17,
    "Pow (a, four)": 15,
}
"""Calls that need general tables."""
DECOMPOSED = {
    "gelu": "d = Div (a, root) e = Erf (d) f = Add (e, one) g = Mul (a, f) y = Mul (g, half)",
    "silu": "g = Sigmoid (a) y = Mul (a, g)",
    "mish": "p = Softplus (a) t = Tanh (p) y = Mul (a, t)",
    "hard swish": "p = Add (a, three) c = Clip (p, zero, six) m = Mul (a, c) y = Div (m, six)",
    "softplus": "e = Exp (a) p = Add (e, one) y = Log (p)",
    "tanh shrink": "t = Tanh (a) y = Sub (a, t)",
    "inverse root": "q = Mul (a, a) p = Add (q, one) r = Sqrt (p) k = Reciprocal (r) "
    "y = Mul (a, k)",
}
"""What exporters write in the place of a function: one table each."""
NUMBERS = {
    "zero": 0,
    "half": 0.5,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "six": 6,
    "root": np.sqrt(2),
}
SAMPLES, FEATURES = 24, 12


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """HERMES and HERMES with tables, whose converters do not limit the accuracy."""
    folder = tmp_path_factory.mktemp("targets")
    found = {}
    for name in ("hermes", "hermes-ext"):
        found[name] = folder / f"{name}.toml"
        text = PRECISE.replace('"hermes"', f'"{name}"')
        found[name].write_text(text, encoding="utf-8")
    return found


def between_products(body: str, opset: int, seed: int = 0) -> onnx.ModelProto:
    """A product, something of its result a (and of another, b), and a product."""
    text = (
        f"g (float[N,{FEATURES}] x) => (float[N,{FEATURES}] z) "
        f"{{ a = MatMul (x, v) b = MatMul (x, u) {body} z = MatMul (y, w) }}"
    )
    size = (FEATURES, FEATURES)
    weights = {name: floats(*size, seed=seed + k) / 3 for k, name in enumerate("uvw")}
    numbers = {name: np.array(value, np.float32) for name, value in NUMBERS.items()}
    slope = np.linspace(-1.5, 1.5, FEATURES, dtype=np.float32)
    used = {name: array for name, array in numbers.items() if name in body.replace(",", " ,")}
    return model(text, opset, **weights, **used, **({"s": slope} if ", s)" in body else {}))


def run(proto: onnx.ModelProto, target: Path | str, read_mode: str, seed: int = 9) -> list[str]:
    """Compile, compare all ways to run, and compare with ONNX Runtime; the nodes on the host."""
    feed = {"x": floats(SAMPLES, FEATURES, seed=seed)}
    image, _ = compile_image(proto, target=target, calibration=[feed], read_mode=read_mode)
    found = assert_same_bits(image, feed)
    assert_same_bits(image, {"x": feed["x"] * np.float32(8)})
    expected: Results = onnx_results(proto, feed)
    # Three layers of 1.7 % each, see `assert_accurate`, of which a function may raise the errors of
    # the first by its slope: at most 3 here, over the values that occur.
    assert_accurate(found, expected, noise=np.hypot(3 * 0.017, np.hypot(0.017, 0.017)) * 1.5)
    return [name for host in Program(image).report()["host"] for name in host["nodes"]]


@pytest.mark.parametrize(("name", "read_mode"), [("hermes", "4-phase"), ("hermes-ext", "1-phase")])
@pytest.mark.parametrize("call", EXACT)
def test_what_every_target_computes(
    chips: dict[str, Path], name: str, read_mode: str, call: str
) -> None:
    proto = between_products(f"y = {call}", EXACT[call])
    assert run(proto, chips[name], read_mode) == []


@pytest.mark.parametrize("call", TABLES)
def test_what_needs_tables(chips: dict[str, Path], call: str) -> None:
    proto = between_products(f"y = {call}", TABLES[call])
    (node,) = run(proto, chips["hermes"], "4-phase")
    assert node.startswith(call.split(" ")[0])
    assert run(proto, chips["hermes-ext"], "4-phase") == []


@pytest.mark.parametrize("name", DECOMPOSED)
def test_chains_are_one_table(chips: dict[str, Path], name: str) -> None:
    proto = between_products(DECOMPOSED[name], 18)
    feed = {"x": floats(SAMPLES, FEATURES, seed=9)}
    image, _ = compile_image(proto, target=chips["hermes-ext"], calibration=[feed])
    lookups = [table for table in image.code.tables if table.entries == 1025]
    assert len(lookups) == len(image.code.tables) == 1
    (warning,) = [text for text in Program(image).report()["warnings"] if "tables" in text]
    assert "the outermost sample holds" in warning
    assert run(proto, chips["hermes-ext"], "1-phase") == []


UNARY = ("Gelu (%)", "Elu (%)", "Softplus (%)", "HardSwish (%)", "Abs (%)", "Tanh (%)", "Neg (%)")
BINARY = ("Add (%, %)", "Mul (%, %)", "Max (%, %)", "Sub (%, %)")


@st.composite
def pieces(draw: st.DrawFn) -> str:
    """Some nodes that compute y from a, b, and each other."""
    made, text = ["a", "b"], []
    count = draw(st.integers(2, 6))
    for number in range(count):
        call = draw(st.sampled_from(UNARY + BINARY))
        while "%" in call:
            call = call.replace("%", draw(st.sampled_from(made[-4:])), 1)
        made.append("y" if number == count - 1 else f"t{number}")
        text.append(f"{made[-1]} = {call}")
    return " ".join(text)


@settings(max_examples=15)
@given(body=pieces(), name=st.sampled_from(["hermes", "hermes-ext"]))
def test_any_graph_of_functions(body: str, name: str) -> None:
    """However functions are connected, the ways to run a program agree."""
    proto = between_products(body, 20)
    feed = {"x": floats(SAMPLES, FEATURES, seed=9)}
    image, _ = compile_image(proto, target=name, calibration=[feed])
    assert_same_bits(image, feed)
    assert_same_bits(image, {"x": feed["x"] * np.float32(8)})
