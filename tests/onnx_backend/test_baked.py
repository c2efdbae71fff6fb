"""Node tests with their weights baked: the products truly run on crossbars, accurately."""

from __future__ import annotations

from typing import Any

import pytest
from onnx.backend.test.case.test_case import TestCase

import anacc.onnx_backend as backend
from anacc.baking import parameter_inputs
from anacc.errors import AnaccError
from anacc.program.image import Image
from tests.onnx_backend.cases import (
    LISTED,
    cases_of,
    complaints,
    data_sets,
    model_of,
    onnx_runtime,
)
from tests.onnx_backend.recurrent_tolerance import recurrent_bounds
from tests.onnx_backend.tolerance import Array, inaccuracy, product_bound

BAKED = LISTED["baked"]

PRODUCTS = ("conv", "convtranspose", "gemm", "matmul")
RECURRENT = ("gru", "lstm", "rnn")
STATEFUL = ("GRU", "LSTM", "RNN")


def why(case: TestCase) -> str | None:
    """Why a case fails in baked mode, None if it passes."""
    model = model_of(case)
    for values, _ in data_sets(case):
        inputs = dict(zip((entry.name for entry in model.graph.input), values, strict=True))
        baked = {name: inputs[name] for name in parameter_inputs(model)}
        prepared = backend.prepare(model, baked=baked)
        try:
            found = prepared.run({name: inputs[name] for name in inputs if name not in baked})
        except AnaccError as error:
            return str(error)
        assert prepared.program is not None
        image = prepared.program.image
        reasons = [
            reason
            for segment in prepared.program.report()["host"]
            for name, reason in zip(segment["nodes"], segment["reasons"], strict=True)
        ]
        if reasons or not image.code.weights:
            return f"it is not on a crossbar: {reasons}"
        bounds = _bounds(case, image, inputs)
        names = [entry.name for entry in model.graph.output]
        for name, output, exact in zip(names, found, onnx_runtime(model, values), strict=True):
            # States of recurrent layers reach 1, and may all be small where the gates are shut.
            reach = 1.0 if model.graph.node[0].op_type in STATEFUL else 0.0
            reason = inaccuracy(output, exact, bounds[name], reach)
            if reason:
                return f"output `{name}`: {reason}"
    return None


def _bounds(case: TestCase, image: Image, inputs: dict[str, Any]) -> dict[str, Array]:
    """The largest error of each output."""
    model = model_of(case)
    (node,) = model.graph.node
    if node.op_type in STATEFUL:
        return recurrent_bounds(node, image, inputs)
    return {node.output[0]: product_bound(model, image, inputs)}


@pytest.mark.parametrize("module", [*PRODUCTS, *RECURRENT])
def test_nodes_on_crossbars(module: str) -> None:
    assert complaints(cases_of(module), BAKED.get(module, {}), why) == []
