"""Every ONNX node is accounted for: its units, or why it has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import anacc
from anacc.ir.parse import parse_module
from anacc_backends.traffic import border_traffic
from tests.backends.emitted import program
from tests.backends.test_emit import before
from tests.frontend.check import feed_of, floats, model

TEXT = """g (float[N,2,8,8] x, float[N,4] q) => (float[N,4] y, float[N,4] z) {
    two = Constant <value = float[1] {2.0}> ()
    k = Mul (w, two)
    c = Conv (x, k)
    b = Add (c, bias)
    r = Relu (b)
    p = MaxPool <kernel_shape = [6, 6]> (r)
    d = Dropout (p)
    f = Flatten (d)
    t = Tanh (f)
    m = MatMul (t, v)
    i = Identity (m)
    dead = Relu (m)
    s = Softmax (i)
    y = Floor (s)
    z = Gemm (q, v)
}"""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    proto = model(TEXT, 13, w=floats(4, 2, 3, 3), bias=floats(1, 4, 1, 1), v=floats(4, 4))
    return anacc.compile(proto, calibration=feed_of(proto)).report()


def test_every_node_has_one_place(report: dict[str, Any]) -> None:
    places = {node["name"]: node["where"] for node in report["nodes"]}
    assert places == {
        "Constant:two": "folded",
        "Mul:k": "folded",
        "Conv:c": "crossbar",
        "Add:b": "ldpu",
        "Relu:r": "ldpu",
        "MaxPool:p": "bridge",
        "Dropout:d": "nothing",
        "Flatten:f": "nothing",
        "Tanh:t": "gdpu",
        "MatMul:m": "crossbar",
        "Identity:i": "nothing",
        "Relu:dead": "unused",
        "Softmax:s": "host",
        "Floor:y": "host",
        "Gemm:z": "crossbar",
    }


def test_places_name_units_and_reasons(report: dict[str, Any]) -> None:
    nodes = {node["operator"]: node for node in report["nodes"]}
    assert nodes["Conv"]["tiles"] == 1
    kinds = [unit.split()[0] for unit in nodes["Conv"]["units"]]
    assert kinds == ["bridge", "core"]  # windows, then the product
    core = [unit for unit in nodes["Conv"]["units"] if unit.startswith("core")]
    assert nodes["Add"]["units"] == core and nodes["Add"]["tiles"] == 0
    assert nodes["Tanh"]["units"][0].startswith("gdpu 0.")
    assert nodes["Softmax"] == {
        "name": "Softmax:s",
        "operator": "Softmax",
        "where": "host",
        "units": [],
        "tiles": 0,
        "segment": 0,
        "reason": "the chip has no operator Softmax",
        "hint": nodes["Softmax"]["hint"],
    }
    assert nodes["Softmax"]["hint"].startswith("leave it out")
    assert nodes["Mul"]["reason"] == "its results are known when the model is compiled"


def test_borders_count_bytes_in_their_formats(report: dict[str, Any]) -> None:
    found = {(each["tensor"], each["at"]): each for each in report["borders"]["tensors"]}
    assert found["x", "input"]["format"] == "i8" and found["x", "input"]["bytes"] == 2 * 8 * 8
    assert found["z", "output"]["bytes"] == 4 * 2  # binary16
    (leaves,) = (each for (_, at), each in found.items() if at == "segment in")
    assert (leaves["segment"], leaves["format"], leaves["bytes"]) == (0, "f16", 8)
    # The segment gives the output without the chip: four numbers of float32.
    assert [found["y", at]["bytes"] for at in ("segment out", "output")] == [16, 16]
    assert not found["y", "output"]["crosses"]
    assert report["borders"]["bytes"] == 128 + 4 + 8 + 8
    json.dumps(report["borders"], allow_nan=False)


def test_products_are_counted_on_their_sides(report: dict[str, Any]) -> None:
    macs = report["macs"]
    assert macs["crossbar"] == 36 * 4 * 18 + 16 + 16
    assert (macs["host_constant"], macs["host_activations"]) == (0, 0)
    assert macs["crossbar_share"] == 1.0


def test_products_of_two_activations_count_apart() -> None:
    proto = model(
        "g (float[N,3,4] x) => (float[N,3,3] y) "
        "{ a = MatMul (x, w)  t = Transpose <perm=[0,2,1]> (a)  y = MatMul (a, t) }",
        17,
        w=floats(4, 4),
    )
    made = anacc.compile(proto, calibration=feed_of(proto))
    assert made.report()["macs"] == {
        "crossbar": 3 * 16,
        "host": 3 * 3 * 4,
        "host_constant": 0,
        "host_activations": 36,
        "host_share": 36 / (36 + 48),
        "crossbar_share": 1.0,
    }


def test_a_tensor_that_two_segments_take_crosses_once() -> None:
    proto = model(
        """g (float[N,4] x) => (float[N,4] y, float[N,4] z) {
            a = MatMul (x, w)
            y = Floor (a)
            b = MatMul (y, w)
            c = Add (a, b)
            s = Softmax (a)
            z = Sub (c, s)
        }""",
        17,
        w=floats(4, 4),
    )
    tensors = anacc.compile(proto, calibration=feed_of(proto)).report()["borders"]["tensors"]
    crossing = [(t["tensor"], t["at"]) for t in tensors if t["crosses"]]
    assert len(crossing) == len(set(crossing))
    assert all(np.iinfo(np.int64).max > t["bytes"] > 0 for t in tensors)


def test_texts_and_unknown_shapes_have_no_size() -> None:
    text = before("host").replace('["dtype", "float32"]', '["dtype", "object"]')
    first, second, *_ = border_traffic(parse_module(text))
    assert (first["at"], first["bytes"]) == ("input", 16)
    assert (second["at"], second["bytes"]) == ("segment in", None)


def test_a_module_without_a_model_lists_its_ops() -> None:
    names = [(node["name"], node["where"]) for node in program(before("host")).mapping["nodes"]]
    assert names == [("Erf", "host")]


@pytest.mark.parametrize("name", ["digits_cnn", "char_lstm"])
def test_the_example_models_are_accounted_for(name: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "models" / name
    feed = dict(np.load(folder / "calibration.npz"))
    report = anacc.compile(folder / f"{name}.onnx", calibration=feed).report()
    proto = onnx.load(folder / f"{name}.onnx")
    assert len(report["nodes"]) == len(proto.graph.node)
    busy = {stream["unit"] for stream in report["units"]}
    for node in report["nodes"]:
        assert set(node["units"]) <= busy
        assert bool(node["units"]) == (node["where"] in ("crossbar", "ldpu", "gdpu", "bridge"))
        assert (node["segment"] is not None) == (node["where"] == "host") == bool(node["hint"])
    hosted = [node for segment in report["host"] for node in segment["nodes"]]
    assert {node["name"] for node in report["nodes"] if node["where"] == "host"} == set(hosted)
    assert report["macs"]["crossbar_share"] == 1.0
