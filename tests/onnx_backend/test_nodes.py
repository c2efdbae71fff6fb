"""The node tests of the suite: what ONNX Runtime passes passes, inputs being inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from onnx import ModelProto
from onnx.backend.test.case.test_case import TestCase

import anacc.onnx_backend as backend
from tests.onnx_backend.cases import (
    LISTED,
    cases_of,
    complaints,
    failure,
    model_of,
    modules,
    onnx_runtime,
)

AS_THEY_ARE = LISTED["as they are"]
STORED = ("simple", "pytorch-operator", "pytorch-converted")


def run(model: ModelProto, inputs: list[Any]) -> Sequence[Any]:
    return backend.prepare(model, "CPU").run(inputs)


def why(case: TestCase) -> str | None:
    if not backend.is_compatible(model_of(case), "CPU"):
        return "the model is said to be incompatible"
    return failure(case, run)


@pytest.mark.parametrize("module", modules())
def test_nodes(module: str) -> None:
    assert complaints(cases_of(module), AS_THEY_ARE.get(module, {}), why) == []


def test_few_are_listed() -> None:
    """Less than 2 % of the cases that ONNX Runtime passes; counted as far as that takes."""
    listed = sum(map(len, AS_THEY_ARE.values()))
    assert AS_THEY_ARE.keys() <= {*modules(), *STORED}
    passed = 0
    for module in modules():
        for case in cases_of(module):
            passed += failure(case, onnx_runtime) is None
            if listed < 0.02 * passed:
                return
    pytest.fail(f"{listed} of {passed} cases are listed")
