"""Real models: what stays on the host, and that the module computes their stored outputs."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anacc.frontend import import_model
from anacc.ir import Module, verify
from anacc_passes.partition import Partition
from tests.frontend import interpreter

HOST: dict[str, dict[str, int]] = {
    "bert_toy_optimized": {"MatMul": 10, "Div": 12, "Softmax": 5},
    "dtln_1": {},
    "fastestdet": {"Softmax": 1},
    "gonnx_ndm": {},
    "kws_DNN_L": {"Softmax": 1},
    "micro_kws_qdq": {"Softmax": 1},
    "mlperf_kws_ref_model": {"Softmax": 1},
    "mlperf_kws_ref_model_float32": {"Softmax": 1},
    "mnist_12_cntk": {},
    "ptb_lstm_lm": {"Gather": 1},
    "resnet20_akamaster": {},
    "superres_pytorch": {},
    "ultraface_slim320": {"Softmax": 1},
}
FLOAT_ONLY = ("Gather", "Unsqueeze", "Cast", "Reshape", "Shape", "Concat")


def load(folder: Path, name: str) -> tuple[Module, dict[str, Any], dict[str, Any]]:
    """The module of a model, its stored feed and its stored outputs."""
    with np.load(folder / f"{name}.rand.npz") as stored:
        arrays = dict(stored)
    feed = {key[3:]: array for key, array in arrays.items() if key.startswith("in:")}
    outputs = {key[4:]: array for key, array in arrays.items() if key.startswith("out:")}
    return import_model(folder / f"{name}.onnx", sample=feed), feed, outputs


@pytest.mark.parametrize("name", HOST)
def test_host_nodes(anacc_models: Path, name: str) -> None:
    module, _, _ = load(anacc_models, name)
    verify(module)
    operator = {node.name: node.op_type for node in module.source.model.graph.node}
    names = [str(n) for op in module.ops if op.kind == "host" for n in op.origins]
    kinds = Counter(operator[n] for n in names)
    assert {k: n for k, n in kinds.items() if k not in FLOAT_ONLY or k in HOST[name]} == HOST[name]


@pytest.mark.parametrize("name", HOST)
def test_outputs(anacc_models: Path, name: str) -> None:
    """Before and after the partition, in floating point."""
    module, feed, outputs = load(anacc_models, name)
    partitioned = Partition()(module)
    verify(partitioned)
    for each in (module, partitioned):
        actual = interpreter.run(each, feed)
        for key, array in outputs.items():
            close = 1 if array.dtype == np.int8 else 2e-3 * max(float(np.abs(array).max()), 1)
            np.testing.assert_allclose(actual[key], array, rtol=1e-3, atol=close)
