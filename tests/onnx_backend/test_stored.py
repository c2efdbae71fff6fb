"""The tests of the suite that onnx brings as files: small models, and exports of PyTorch."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import (
    ModelProto,
    OptionalProto,
    SequenceProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

import anacc.onnx_backend as backend
from anacc.errors import AnaccError
from tests.onnx_backend.cases import (
    LISTED,
    complaints,
    data_sets,
    failure,
    model_of,
    onnx_runtime,
)
from tests.onnx_backend.test_nodes import STORED
from tests.onnx_backend.tolerance import Array, inaccuracy, product_bound

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@cache
def stored_cases(kind: str) -> tuple[TestCase, ...]:
    """The cases of a folder, their models and data read."""
    cases = load_model_tests(kind=kind)
    return tuple(_loaded(case, Path(case.model_dir)) for case in cases if case.model_dir)


def _loaded(case: TestCase, folder: Path) -> TestCase:
    model = onnx.load(folder / "model.onnx")
    stored = {entry.name for entry in model.graph.initializer}
    inputs = [entry.type for entry in model.graph.input if entry.name not in stored]
    outputs = [entry.type for entry in model.graph.output]
    sets = [
        (_values(data, "input", inputs), _values(data, "output", outputs))
        for data in sorted(folder.glob("test_data_set_*"))
    ]
    return replace(case, model=model, data_sets=sets)


def _values(folder: Path, what: str, kinds: list[TypeProto]) -> list[Any]:
    files = [folder / f"{what}_{number}.pb" for number in range(len(kinds))]
    return [_value(file, kind) for file, kind in zip(files, kinds, strict=True) if file.exists()]


def _value(file: Path, kind: TypeProto) -> Any:
    data = file.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(SequenceProto.FromString(data))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(OptionalProto.FromString(data))
    return numpy_helper.to_array(TensorProto.FromString(data))


def why(case: TestCase) -> str | None:
    """Why a case fails; weights are constants here, and so products lie on crossbars at once."""
    for values, _ in data_sets(case):
        prepared = backend.prepare(model_of(case))
        try:
            found = prepared.run(values)
        except AnaccError as error:
            return str(error)
        assert prepared.program is not None
        image = prepared.program.image
        if not image.code.weights:
            return failure(case, lambda model, inputs: backend.prepare(model).run(inputs))
        model, inputs = isolated(model_of(case), values)
        bound = product_bound(model, image, inputs)
        reason = inaccuracy(found[0], onnx_runtime(model, [*inputs.values()])[0], bound)
        if reason:
            return reason
    return None


def isolated(model: ModelProto, values: list[Any]) -> tuple[ModelProto, dict[str, Array]]:
    """The one product of a model, which gives its output, as a model of its own; and its inputs."""
    (node,) = (node for node in model.graph.node if node.op_type in PRODUCTS)
    assert node.output[0] == model.graph.output[0].name
    whole = ModelProto()
    whole.CopyFrom(model)
    names = list(dict.fromkeys(name for name in node.input if name))
    made = {name for each in model.graph.node for name in each.output}
    wanted = [name for name in names if name in made]
    del whole.graph.output[:]
    whole.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    fed = [entry.name for entry in model.graph.input if entry.name not in arrays]
    arrays.update(zip(fed, values, strict=True))
    if wanted:
        arrays.update(zip(wanted, onnx_runtime(whole, values), strict=True))
    inputs = {name: arrays[name] for name in names}
    declared = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in inputs.items()
    ]
    graph = helper.make_graph([node], "product", declared, model.graph.output)
    opset = list(model.opset_import)
    return helper.make_model(graph, opset_imports=opset, ir_version=8), inputs


@pytest.mark.parametrize("kind", STORED)
def test_stored_models(kind: str) -> None:
    listed = LISTED["as they are"].get(kind, {})
    assert complaints(stored_cases(kind), listed, why) == []
