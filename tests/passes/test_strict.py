"""The error that lists all host nodes at once."""

from __future__ import annotations

import pytest

from anacc.errors import CompileError
from anacc.frontend import import_model
from anacc.ir.parse import parse_module
from anacc_passes.partition import Partition
from anacc_passes.strict import refuse_host_nodes
from tests.frontend.check import floats, model


def test_nodes_of_one_reason_stand_together_and_consequences_last() -> None:
    text = """g (float[N,4] x) => (float[N,4] y) {
        a = MatMul (x, w)
        b = Floor (a)
        c = Relu (b)
        d = Floor (c)
        e = Tanh (d)
        f = Relu (e)
        y = Softmax (f)
    }"""
    module = import_model(model(text, 17, w=floats(4, 4)))
    with pytest.raises(CompileError) as caught:
        Partition(strict=True)(module)
    assert caught.value.message.startswith("6 of 7 nodes would run on the host")
    assert [line for line in caught.value.details if not line.startswith("  hint: ")] == [
        "the chip has no operator Floor",
        "  Floor: `Floor:b`, `Floor:d`",
        "",
        "the chip has no operator Softmax",
        "  Softmax: `Softmax:y`",
        "",
        "its neighbours run on the host: on the chip, it would only move data over the border",
        "  Relu: `Relu:c`, `Relu:f`",
        "  Tanh: `Tanh:e`",
        "",
    ]
    assert sum(line.startswith("  hint: ") for line in caught.value.details) == 3


def test_a_module_without_a_model_and_without_hints() -> None:
    module = parse_module(
        """module "m" level=graph batch=N {
          input %x : float32[N, 4]
          %y : float32[N, 4] = host(%x) {nodes = ["a"], reasons = ["b"]} from "a"
          output "y" = %y
        }"""
    )
    with pytest.raises(CompileError) as caught:
        refuse_host_nodes(module)
    assert caught.value.details == ("b", "  unknown operator: `a`", "")
    assert caught.value.message.startswith("1 node would")
