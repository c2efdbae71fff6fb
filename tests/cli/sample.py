"""A program made by hand, and the ONNX model that it computes: y = x @ W + b."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from anacc.program.container import write
from anacc.program.image import Image
from anacc.program.model import Adc, Unit
from anacc.targets import load_target, target_to_data
from tests.runtime.builder import CORE, F16, I8, I16, Builder, i, loop, r

WEIGHT = np.array([[10, -20, 3], [-5, 7, 100], [0, 127, -127], [60, 1, -2]], np.int8)
BIAS = np.array([0.5, -1.0, 2.0], np.float32)
SCALE = 1 / 32  # of the input codes

MAPPING = {
    "cores_used": 1,
    "cores": 64,
    "layers": [
        {
            "name": "dense",
            "nodes": ["MatMul_0", "Add_1"],
            "kind": "linear",
            "matrix": [4, 3],
            "groups": 1,
            "tiles": 1,
            "cores": [0],
            "unit": "core 0.0",
            "positions": 1,
        }
    ],
    "tiles": [
        {
            "core": 0,
            "row": 0,
            "column": 0,
            "rows": 4,
            "columns": 3,
            "layer": "dense",
            "cells_used": 12,
        }
    ],
    "bounds": {"cores": {"value": 1, "bound": 1, "meaning": "cores in use"}},
    "host": [
        {
            "nodes": ["Softmax_2"],
            "reasons": ["the chip has no Softmax"],
            "hints": ["leave it out"],
        }
    ],
    "nodes": [
        {
            "name": "MatMul_0",
            "operator": "MatMul",
            "where": "crossbar",
            "units": ["bridge 0.3", "core 0.0", "core 0.1", "core 0.8"],
            "tiles": 2,
        },
        {"name": "Add_1", "operator": "Add", "where": "ldpu", "units": ["core 0.0"]},
        {"name": "Tanh_4", "operator": "Tanh", "where": "gdpu", "units": ["gdpu 0.0", "gdpu 1.2"]},
        {
            "name": "Softmax_2",
            "operator": "Softmax",
            "where": "host",
            "segment": 0,
            "reason": "the chip has no Softmax",
            "hint": "leave it out",
        },
        {"name": "Pool_5", "operator": "MaxPool", "where": "bridge", "units": ["bridge 0.12"]},
        {"name": "Const_3", "operator": "Constant", "where": "folded", "reason": "it is known"},
    ],
    "borders": [
        {"tensor": "x", "at": "input", "format": "i8", "bytes": 4, "crosses": True},
        {
            "tensor": "y",
            "at": "segment in",
            "segment": 0,
            "format": "f16",
            "bytes": 6,
            "crosses": True,
        },
        {"tensor": "z", "at": "output", "format": "tensor", "bytes": None, "crosses": False},
    ],
    "warnings": ["calibrated on random inputs"],
    "macs": {"crossbar": 12, "host": 4, "host_activations": 3},
}


ORIGIN = {"streams": [[], ["MatMul_0", "Add_1"], []], "weights": []}


def image(batch: int | None = None) -> Image:
    """The program; a fixed batch where one is given."""
    b = Builder()
    b.batch = batch
    x, y = b.channel(I8, 4), b.channel(F16, 3)
    b.input("x", x, (batch, 4), scale=SCALE)
    b.stream(
        CORE,
        [(I8, 4), (I16, 3), (F16, 3)],
        # One count for eight codes times codes: 4095 counts are enough for every input.
        i("program", b.weight(WEIGHT), 0, 0),
        loop(
            1,
            i("recv", r(0, 4), x),
            i("mvm", r(1, 3), r(0, 4), 0, 0, b.adc(Adc(1, 1 << 20, 23, 4095))),
            i("affine", r(2, 3), r(1, 3), b.const16([8 * SCALE] * 3, 1), b.const16(BIAS, 1)),
            i("send", y, r(2, 3)),
        ),
    )
    b.output("y", y, (batch, 3))
    made = b.image()
    manifest = made.manifest.model_copy(
        update={
            "model": "dense",
            "target": target_to_data(load_target("hermes")),
            "options": {"read_mode": "4-phase"},
            "provenance": {"anacc": "0.1.0"},
        }
    )
    # The builder numbers units like streams; here each kind has one.
    streams = tuple(replace(s, unit=Unit(0, s.unit.kind, 0)) for s in made.code.streams)
    code = replace(made.code, streams=streams)
    return replace(made, manifest=manifest, code=code, mapping=MAPPING, origin=ORIGIN)


def write_program(folder: Path, batch: int | None = None) -> Path:
    """Write `program.bin`."""
    path = folder / "program.bin"
    write(image(batch), path)
    return path


def write_model(folder: Path) -> Path:
    """Write `model.onnx`."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"], name="MatMul_0"),
            helper.make_node("Add", ["product", "b"], ["y"], name="Add_1"),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [
            numpy_helper.from_array(WEIGHT.astype(np.float32), "w"),
            numpy_helper.from_array(BIAS, "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def inputs(samples: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Inputs in [-1, 1] that the input codes represent exactly, shape (samples, 4)."""
    codes = np.random.default_rng(seed).integers(-32, 33, (samples, 4))
    return (codes * SCALE).astype(np.float32)
