"""The node tests of the ONNX Backend Test Suite, module by module, and what ONNX Runtime says.

A module of `onnx.backend.test.case.node` makes its cases when it is imported, some of them in
seconds: so a test is about one module, and imports only that.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.case import node
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.runner import Runner

from anacc.host_values import for_onnx_runtime

LISTED: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parent / "listed.toml").read_text(encoding="utf-8")
)
"""Way to run (`as they are`, `baked`) -> module or folder -> name of a case -> why it fails."""

Run = Callable[[ModelProto, list[Any]], Sequence[Any]]
"""Gives the outputs of a model for its inputs in order."""


def modules() -> list[str]:
    """The names of all modules, without the package that they have in common."""
    prefix = f"{node.__name__}."
    found = pkgutil.walk_packages(node.__path__, prefix)
    return sorted(module.name.removeprefix(prefix) for module in found if not module.ispkg)


@cache
def cases_of(module: str) -> tuple[TestCase, ...]:
    """The cases that a module makes; always the same random numbers."""
    name = f"{node.__name__}.{module}"
    if name in sys.modules:
        raise RuntimeError(f"`{name}` was imported before: its cases are to be had here alone")
    first = len(node._NodeTestCases)
    np.random.seed(0)
    with np.errstate(all="ignore"):
        importlib.import_module(name)
    return tuple(node._NodeTestCases[first:])


def model_of(case: TestCase) -> ModelProto:
    """The model of a case of a node, which always has one."""
    assert case.model is not None
    return case.model


def data_sets(case: TestCase) -> list[tuple[list[Any], list[Any]]]:
    """Inputs and expected outputs of a case as arrays."""
    sets = case.data_sets or ()
    return [([*map(_value, inputs)], [*map(_value, outputs)]) for inputs, outputs in sets]


def _value(value: Any) -> Any:
    """An array; some tests have it as a protocol buffer or as a scalar."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def failure(case: TestCase, run: Run) -> str | None:
    """Why a case fails, in a line; None if it passes by the suite's own comparison."""
    try:
        for inputs, expected in data_sets(case):
            found = run(model_of(case), inputs)
            Runner.assert_similar_outputs(expected, found, rtol=case.rtol, atol=case.atol)
    except Exception as error:  # whatever it is, the case fails
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return None


def onnx_runtime(model: ModelProto, inputs: list[Any]) -> Sequence[Any]:
    """The outputs that ONNX Runtime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    feed = {name: for_onnx_runtime(value) for name, value in zip(names, inputs, strict=True)}
    outputs: Sequence[Any] = session.run(None, feed)
    return outputs


def complaints(
    cases: Sequence[TestCase], listed: dict[str, str], why: Callable[[TestCase], str | None]
) -> list[str]:
    """What is wrong with the cases that ONNX Runtime passes, and with what is listed of them.

    Args:
        cases: the cases; those that ONNX Runtime fails count as not being there.
        listed: reasons by name of the cases that may fail, and must.
        why: the reason for which a case fails, None if it passes.
    """
    known = {case.name: case for case in cases if failure(case, onnx_runtime) is None}
    found = [f"{name} is listed, but is no case" for name in listed if name not in known]
    for name, case in known.items():
        reason = why(case)
        if name in listed and reason is None:
            found.append(f"{name} is listed, but passes: take it off the list")
        if name not in listed and reason is not None:
            found.append(f"{name}: {reason}")
    return found
