"""Files that are no model, and models that are damaged or out of order."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, TypeProto, helper, parser

from anacc.errors import ModelError
from anacc.frontend import import_model
from anacc.frontend.external import array_of
from anacc.frontend.reading import NEWEST_OPSET, read
from tests.frontend.check import check, floats, model

RELU = "g (float[N,3] x) => (float[N,3] y) { y = Relu (x) }"


def external_model(folder: Path, location: str, **entries: int | str) -> Path:
    proto = model("g (float[N,3] x) => (float[N,4] y) { y = MatMul (x, w) }")
    tensor = TensorProto(name="w", dims=[3, 4], data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    proto.graph.initializer.append(tensor)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_files_that_are_no_model(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    for content, reason in (
        (b"", "is empty"),
        (b"not a model", "is not an ONNX model"),
        (bytes(range(256)) * 40, "is not an ONNX model"),
        (model(RELU).SerializeToString()[:-9], "is not an ONNX model, or is truncated"),
    ):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=reason):
            import_model(file)
    with pytest.raises(ModelError, match="does not exist"):
        import_model(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        import_model(str(tmp_path))


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    """A device has no end; a pipe waits for somebody who writes."""
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "link.onnx").symlink_to("/dev/zero")
    for path in (Path("/dev/zero"), tmp_path / "pipe.onnx", tmp_path / "link.onnx"):
        with pytest.raises(ModelError, match="not a regular file"):
            import_model(path)


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    with file.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(ModelError, match="is larger than 2 GiB"):
        import_model(file)


def test_every_truncation_is_one_sentence(tmp_path: Path) -> None:
    data = model("g (float[N,3] x) => (float[N,4] y) { y = MatMul (x, w) }", w=floats(3, 4))
    whole = data.SerializeToString()
    file = tmp_path / "a.onnx"
    for length in range(1, len(whole) - 1):
        file.write_bytes(whole[:length])
        try:
            import_model(file)
        except ModelError as error:
            assert "\n" not in error.message


def test_versions() -> None:
    add = "g (float[N,3] x) => (float[N,3] y) { y = Add (x, x) }"
    for opset, text in ((6, add), (NEWEST_OPSET + 1, RELU)):
        with pytest.raises(ModelError, match=f"uses operator set {opset}"):
            import_model(model(text, opset))
    for opset in (7, NEWEST_OPSET):
        check(model(RELU, opset), "relu")
    assert import_model(model(RELU, 6)).ops  # Relu is the same in 6 and 7; that of 5 is not
    with pytest.raises(ModelError, match="uses operator set 5"):
        import_model(model(RELU, 5))
    newer = model(RELU)
    newer.ir_version = 99
    assert import_model(newer).ops


@pytest.mark.parametrize("opset", range(7, onnx.defs.onnx_opset_version() + 1))
def test_every_operator_set_that_onnx_knows(opset: int) -> None:
    text = "g (float[N,3] x) => (float[N,4] y) { t = MatMul (x, w)  y = Relu (t) }"
    check(model(text, opset, w=floats(3, 4)), "linear", "relu")


def test_a_model_of_another_domain_alone_needs_no_default_operator_set() -> None:
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 3])],
        [helper.make_tensor_value_info("y", 1, ["N", 3])],
    )
    opset = [helper.make_opsetid("ai.onnx.ml", 3)]
    proto: ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    assert [op.kind for op in import_model(proto).ops] == ["host"]
    proto.graph.node.append(helper.make_node("Add", ["y", "y"], ["z"]))
    proto.graph.output[0].name = "z"
    with pytest.raises(ModelError, match="uses operator set 1; "):
        import_model(proto)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Relu (nothing)", "reads `nothing`, which nothing defines"),
        ("t = Relu (x)  t = Tanh (x)  y = Relu (t)", "`t` is defined twice"),
        ("t = Add (x, u)  u = Relu (t)  y = Relu (u)", "depends on itself"),
        ("t = Relu (x)", "output `y` is defined by nothing"),
        ("y = Relu <beta=1> (x)", "is not valid ONNX"),
        ("y = NoSuchOperator (x)", "is not valid ONNX"),
    ],
)
def test_invalid_graphs(body: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        import_model(model(f"g (float[N,3] x) => (float[N,3] y) {{ {body} }}"))
    assert "\n" not in caught.value.message


def test_damaged_tensors() -> None:
    proto = model("g (float[N,3] x) => (float[N,4] y) { y = MatMul (x, w) }", w=floats(3, 4))
    proto.graph.initializer[0].dims[0] = 10**12
    with pytest.raises(ModelError, match="tensor `w` is damaged"):
        import_model(proto)
    proto.graph.initializer[0].dims[0] = -3
    with pytest.raises(ModelError, match="tensor `w` has a negative dimension"):
        import_model(proto)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    data = model("g (float[N,3] x) => (float[N,3] y) { name = Relu (x)  y = Tanh (name) }")
    file = tmp_path / "a.onnx"
    file.write_bytes(data.SerializeToString().replace(b"name", b"n\xc3me"))
    with pytest.raises(ModelError, match="not UTF-8"):
        import_model(file)


def test_unsorted_nodes_and_names() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y) { y = Tanh (t)  t = Relu (s)  s = Relu (x) }")
    for node in proto.graph.node:
        node.name = "same" if node.op_type == "Relu" else ""
    module = import_model(proto)
    assert [op.origins for op in module.ops] == [("same",), ("same#2",), ("Tanh:y",)]


def test_local_functions_are_expanded() -> None:
    proto = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[N,3] x) => (float[N,3] y) { y = own.twice (x) }
        <domain: "own", opset_import: ["" : 17]>
        twice (a) => (b) { b = Add (a, a) }"""
    )
    check(proto, "add")


def with_function(folder: Path, location: str, inner: bool) -> Path:
    """A model whose local function holds an external tensor, in a branch if `inner`."""
    tensor = TensorProto(name="v", dims=[3], data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    proto = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[N,3] x, bool c) => (float[N,3] y) { y = own.more (x, c) }
        <domain: "own", opset_import: ["" : 17]>
        more (a, c) => (b) { v = Constant <value = float[1] {0.0}> ()  b = Add (a, v) }"""
    )
    nodes = proto.functions[0].node
    if inner:
        branch = helper.make_graph(
            [nodes[0]], "branch", [], [helper.make_tensor_value_info("v", 1, None)]
        )
        nodes[0].CopyFrom(
            helper.make_node("If", ["c"], ["v"], then_branch=branch, else_branch=branch)
        )
        for attribute in nodes[0].attribute:
            attribute.g.node[0].attribute[0].t.CopyFrom(tensor)
    else:
        nodes[0].attribute[0].t.CopyFrom(tensor)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("inner", [False, True])
def test_external_data_of_local_functions(tmp_path: Path, inner: bool) -> None:
    weights = floats(3)
    (tmp_path / "w.bin").write_bytes(weights.tobytes())
    path = with_function(tmp_path, "w.bin", inner)
    before = read(path).sha256
    module = import_model(path)
    if not inner:
        arrays = module.constants.values()
        assert any(np.array_equal(array.ravel(), weights) for array in arrays)
    (tmp_path / "w.bin").write_bytes(floats(3, seed=9).tobytes())
    assert read(path).sha256 != before


@pytest.mark.parametrize("inner", [False, True])
def test_external_data_of_local_functions_outside_the_folder(tmp_path: Path, inner: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(floats(3).tobytes())
    with pytest.raises(ModelError, match="outside the folder"):
        import_model(with_function(folder, "../w.bin", inner))


def test_old_models_list_initialisers_as_inputs() -> None:
    proto = model("g (float[N,3] x, float[3,4] w) => (float[N,4] y) { y = MatMul (x, w) }")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(floats(3, 4), "w"))
    assert check(proto, "linear").inputs == ("%x",)


def test_external_data(tmp_path: Path) -> None:
    weights = floats(3, 4)
    (tmp_path / "w.bin").write_bytes(b"skip" + weights.tobytes())
    path = external_model(tmp_path, "w.bin", offset=4, length=48)
    module = import_model(path)
    np.testing.assert_array_equal(module.constants["@w"], weights)
    assert not module.constants["@w"].flags.writeable
    with pytest.raises(ModelError, match="came without its path"):
        import_model(onnx.load(path, load_external_data=False))


@pytest.mark.parametrize(
    ("location", "entries", "reason"),
    [
        ("../w.bin", {}, "outside the folder"),
        ("link.bin", {}, "outside the folder"),
        ("w.bin", {"offset": 8}, "does not fit its place"),
        ("w.bin", {"offset": -4}, "does not fit its place"),
        ("w.bin", {"length": 12}, "does not fit its place"),
        ("absent.bin", {}, "which does not exist"),
        ("", {}, "outside the folder"),
        (".", {}, "which does not exist"),
        ("w.bin/..", {}, "does not exist"),
        ("no\0name", {}, "names no usable file"),
        ("n" * 5000, {}, "names no usable file"),
        ("w.bin", {"offset": 10**30}, "does not fit its place"),
        ("w.bin", {"offset": "1e3"}, "malformed place"),
        ("w.bin", {"length": -48}, "does not fit its place"),
        ("w.bin", {"length": 2**63}, "does not fit its place"),
    ],
)
def test_external_data_that_is_refused(
    tmp_path: Path, location: str, entries: dict[str, int | str], reason: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (folder / "w.bin", tmp_path / "w.bin"):
        file.write_bytes(floats(3, 4).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelError, match=reason):
        import_model(external_model(folder, location, **entries))


@pytest.mark.parametrize("dims", [[0, 2**62, 2**62], [1] * 70])
def test_shapes_that_no_array_has(tmp_path: Path, dims: list[int]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(4))
    tensor = TensorProto(name="w", dims=dims, data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    with pytest.raises(ModelError, match="tensor `w` is damaged"):
        array_of(tensor, tmp_path)


def test_absolute_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(floats(3, 4).tobytes())
    with pytest.raises(ModelError, match="outside the folder"):
        import_model(external_model(tmp_path, str(tmp_path / "w.bin")))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (helper.make_sparse_tensor_type_proto(1, [3]), "sparse_tensor"),
        (helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, [3])), "map"),
        (helper.make_tensor_type_proto(TensorProto.INT4, [3]), "int4"),
    ],
)
def test_inputs_that_programs_cannot_hold(kind: TypeProto, word: str) -> None:
    graph = helper.make_graph(
        [helper.make_node("SequenceLength", ["s"], ["y"])],
        "g",
        [helper.make_value_info("s", kind)],
        [helper.make_tensor_value_info("y", 7, [])],
    )
    opset = [helper.make_opsetid("", 17)]
    proto: ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    with pytest.raises(ModelError, match=f"input `s` of the model is of type {word}, which"):
        import_model(proto)


def test_the_hash_is_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model(RELU).SerializeToString())
    assert read(path).sha256 == read(path).sha256 != read(model(RELU, 15)).sha256


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1", "FLOAT6E2M3"])
def test_elements_of_less_than_a_byte_in_their_own_file(tmp_path: Path, kind: str) -> None:
    """A file holds them packed: as many bytes as elements would be read as other numbers."""
    (tmp_path / "w.bin").write_bytes(bytes(64))
    tensor = TensorProto(name="w", data_type=TensorProto.DataType.Value(kind), dims=[12])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    with pytest.raises(ModelError, match="`w` has an element type that cannot be in its own file"):
        array_of(tensor, tmp_path)
