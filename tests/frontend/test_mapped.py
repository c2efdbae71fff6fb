"""Large initialisers are mapped from inside the file; the model stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anacc.errors import ModelError
from anacc.frontend import evaluation, mapped
from anacc.frontend.evaluation import Session
from anacc.frontend.external import Array, place_of
from anacc.frontend.reading import read


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "LARGE_FILE", 0)
    monkeypatch.setattr(mapped, "LARGE_TENSOR", 64)


def model(*arrays: Array) -> onnx.ModelProto:
    """A model that adds up initialisers `w0`, `w1`, ..., cast to float32."""
    nodes = []
    total = "x"
    for index in range(len(arrays)):
        nodes.append(helper.make_node("Cast", [f"w{index}"], [f"c{index}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Add", [total, f"c{index}"], [f"y{index}"]))
        total = f"y{index}"
    graph = helper.make_graph(
        nodes, "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info(total, TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(array, f"w{index}") for index, array in enumerate(arrays)],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


ARRAYS: tuple[Array, ...] = (
    np.linspace(-1, 1, 64, dtype=np.float32),
    np.arange(64, dtype=np.int64),
    np.arange(64, dtype=np.int8),
    np.array([2.5], np.float32),
)


def test_constants_are_what_the_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(*ARRAYS), path)
    original = read(path)
    places = {}
    for index, array in enumerate(ARRAYS):
        found = original.constants[f"w{index}"]
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype and not found.flags.writeable
        places[index] = place_of(found)
    assert [places[k] is not None for k in range(4)] == [True, True, True, False]
    for index in range(3):
        where = places[index]
        assert where is not None and where[0] == path
        data = path.read_bytes()[where[1] : where[1] + ARRAYS[index].nbytes]
        assert data == ARRAYS[index].tobytes()


def test_the_model_is_the_same_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(*ARRAYS), path)
    slim = read(path)
    monkeypatch.setattr(mapped, "LARGE_FILE", 2**40)
    whole = read(path)
    assert slim.sha256 == whole.sha256 and slim.model == whole.model
    assert [*slim.constants] == [*whole.constants]


@pytest.mark.parametrize("damage", ["short", "long", "twice", "negative", "name"])
def test_damaged_tensors_are_left_to_the_library(tmp_path: Path, damage: str) -> None:
    proto = model(*ARRAYS)
    tensor = proto.graph.initializer[0]
    if damage == "short":
        tensor.raw_data = tensor.raw_data[:-4]
    elif damage == "long":
        tensor.raw_data += b"1234"
    elif damage == "negative":
        tensor.dims[0] = -64
    elif damage == "twice":
        proto.graph.initializer.append(tensor)
    path = tmp_path / "m.onnx"
    data = proto.SerializeToString()
    path.write_bytes(data.replace(b"w0", b"\xff\xfe") if damage == "name" else data)
    with pytest.raises(ModelError):
        read(path)


def test_no_truncation_or_changed_byte_is_a_traceback(tmp_path: Path) -> None:
    data = model(*ARRAYS).SerializeToString()
    path = tmp_path / "m.onnx"
    rng = np.random.default_rng(1)
    for trial in range(300):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] = int(rng.integers(256))
        cut = int(rng.integers(1, len(data) + 1)) if trial % 3 == 0 else len(data)
        path.write_bytes(changed[:cut])
        try:
            read(path)
        except ModelError:
            pass


def test_onnx_runtime_maps_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((64, 33)).astype(np.float32)
    path = tmp_path / "w.bin"
    path.write_bytes(b"odd" + weight.tobytes())
    array = np.asarray(np.memmap(path, np.float32, "r", 3, (64 * 33,))).reshape(64, 33)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 33])],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = rng.standard_normal((5, 64)).astype(np.float32)
    (copied,) = Session(proto, {"w": array}).run({"x": x})
    monkeypatch.setattr(evaluation, "_LARGE_BYTES", 1)
    session = Session(proto, {"w": array})
    (found,) = session.run({"x": x})
    assert not session._shared
    np.testing.assert_allclose(found, copied, rtol=1e-5, atol=1e-5)


def test_a_part_of_a_mapped_array_has_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(200)))
    array = np.memmap(path, np.uint8, "r", 10, (100,))
    assert place_of(np.asarray(array)[20:]) == (path, 30)
    assert place_of(np.asarray(array)[::2]) is None
    assert place_of(np.arange(3)) is None
