"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import onnxruntime

from bench.cases import Case, Engine, model_path
from bench.engines import Figures
from bench.engines.feeds import feed
from bench.engines.timing import timed


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure `InferenceSession.run` with the default settings, but for the number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    options.log_severity_level = 3
    path = model_path(case.network, engine.options["type"])
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = feed(case)
    return timed(lambda: session.run(None, inputs))
