"""Rows of products that exporters flatten, time and batch into one axis."""

from typing import Any

import numpy as np
import pytest

from tests.frontend.check import check, floats, model

# Behind attention, time leads and heads are apart.
ROWS = """g (float[N,7,6] x) => (float[7,N,5] y) {
    t = Transpose <perm=[1,0,2]> (x)
    heads = Reshape (t, apart)
    flat = Reshape (heads, rows)
    BODY
}"""
SHAPES: dict[str, Any] = {
    "apart": np.array([7, -1, 2, 3]),
    "rows": np.array([-1, 6]),
    "grouped": np.array([7, -1, 5]),
}


def rows(body: str, **constants: Any) -> Any:
    return model(ROWS.replace("BODY", body), **SHAPES, **constants)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5)])
def test_a_product_of_flattened_rows_is_on_the_chip(
    transposed: int, bias: tuple[int, ...] | None
) -> None:
    weight = floats(5, 6) if transposed else floats(6, 5)
    operands = "flat, w" if bias is None else "flat, w, b"
    proto = rows(
        f"p = Gemm <transB={transposed}> ({operands})  y = Reshape (p, grouped)",
        w=weight,
        **({} if bias is None else {"b": floats(*bias, seed=3)}),
    )
    kinds = ["transpose", "reshape", "reshape", "linear", *([] if bias is None else ["affine"])]
    module = check(proto, *kinds)
    assert module.batch is None


def test_shape_arithmetic_behind_a_product_does_not_keep_it_on_the_host() -> None:
    """As PyTorch exports it: the number of columns is computed, and nothing needs it."""
    proto = model(
        """g (float[N,7,6] x) => (float[7,N,5] y) {
            t = Transpose <perm=[1,0,2]> (x)
            before = Shape (t)
            size = Gather (before, one)
            sevenfold = Mul (size, seven)
            row = Unsqueeze (sevenfold, zero)
            target = Concat <axis=0> (row, six)
            flat = Reshape (t, target)
            p = Gemm (flat, w)
            behind = Shape (p)
            last = Gather (behind, one)
            a = Unsqueeze (size, zero)
            b = Unsqueeze (last, zero)
            grouped = Concat <axis=0> (sevens, a, b)
            y = Reshape (p, grouped)
        }""",
        w=floats(6, 5),
        one=np.array(1),
        zero=np.array([0]),
        seven=np.array(7),
        sevens=np.array([7]),
        six=np.array([6]),
    )
    module = check(proto, "transpose", "reshape", "linear")
    fates = {node.name: node.fate for node in module.source.listing}
    assert fates["Gemm:p"] == "" and fates["Reshape:y"] == fates["Mul:sevenfold"] == "folded"


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        # The last axis is no row of the product.
        ("p = Gemm (flat, w)  z = Reshape (p, other)  y = Reshape (z, grouped)",
         {"w": floats(6, 5), "other": np.array([7, -1, 1])}),
        # A factor, and a matrix that is added.
        ("p = Gemm <alpha=0.5> (flat, w)  y = Reshape (p, grouped)", {"w": floats(6, 5)}),
        # Something else reads the rows.
        ("p = Gemm (flat, w)  z = Reshape (p, grouped)  q = Reshape (p, grouped)  y = Add (z, q)",
         {"w": floats(6, 5)}),
    ],
)  # fmt: skip
def test_other_products_stay_as_they_are(body: str, constants: dict[str, Any]) -> None:
    kinds = [node.split(" = ")[0] for node in body.split("  ")]
    ends = ["add"] if "Add" in body else []
    hosts = ["host"] * (1 + len(kinds) - len(ends))
    check(rows(body, **constants), "transpose", "reshape", *hosts, *ends)
