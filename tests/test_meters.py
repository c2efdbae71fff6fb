"""Scores of outputs that have no batch axis, and outputs that only some references hold."""

from __future__ import annotations

import math

import numpy as np

from anacc.dataset import Batch
from anacc.meters import ErrorMeter, Top1Meter
from tests.test_feeds import Port


def test_top1_of_one_sample_at_a_time() -> None:
    """(classes,) and (1, classes) are scores of the one sample; the first fitting output counts."""
    for shape in ((3,), (1, 3)):
        ports = [Port("state", "float32", (2, 2, 2), None), Port("y", "float32", shape, None)]
        meter = Top1Meter(ports, np.array([2, 0]))
        for start, scores in enumerate(([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])):
            outputs = {"state": np.zeros((2, 2, 2)), "y": np.reshape(scores, shape)}
            meter.add(Batch({}, start, 1), outputs, None)
        assert meter.rows() == [{"name": "y", "program": 0.5}]


def test_an_output_without_a_reference_is_nan() -> None:
    ports = [Port("y", "float32", (None,)), Port("z", "float32", (None,))]
    y, z = np.array([3.0, 4.5]), np.array([1.0, 2.0])
    meter = ErrorMeter("snr", ports, {"y": np.array([3.0, 4.0])})
    meter.add(Batch({}, 0, 2), {"y": y, "z": z}, {"y": y, "z": z})
    first, second = meter.rows()
    assert first == {"name": "y", "onnxruntime": math.inf, "stored": 20.0}
    assert second["onnxruntime"] == math.inf
    assert math.isnan(second["stored"])
