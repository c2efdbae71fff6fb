"""Writes what the engines read: inputs, ONNX models, and programs of anacc."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import onnx

import anacc
from bench.cases import CASES, ENGINES, FOLDER, feed_path, model_path, program_path
from bench.models import (
    Feed,
    convolutional_feed,
    convolutional_model,
    quantise_dynamically,
    quantise_statically,
    recurrent_feed,
    recurrent_model,
)
from bench.networks import NETWORKS, ConvolutionalNetwork, RecurrentNetwork

CALIBRATION_SAMPLES = 16


def write(cases: Iterable[str]) -> None:
    """Write the files of some cases, over those of an earlier run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    batches: dict[str, int] = {}
    engines: dict[str, set[str]] = {}
    for case in (CASES[name] for name in cases):
        batches[case.network] = max(batches.get(case.network, CALIBRATION_SAMPLES), case.batch)
        engines.setdefault(case.network, set()).update(case.engines)
    for network, batch in batches.items():
        _write_network(network, batch, engines[network])


def _write_network(name: str, batch: int, engines: set[str]) -> None:
    network = NETWORKS[name]
    match network:
        case ConvolutionalNetwork():
            model, feed = convolutional_model(network), convolutional_feed(network, batch)
            calibration = {key: array[:CALIBRATION_SAMPLES] for key, array in feed.items()}
        case RecurrentNetwork():
            model, feed = recurrent_model(network), recurrent_feed(network, batch)
            calibration = {key: array[:, :CALIBRATION_SAMPLES] for key, array in feed.items()}
        case _:
            return  # its engines make what they need
    np.savez(feed_path(name), allow_pickle=False, **feed)
    path = model_path(name, "float32")
    onnx.save(model, path)
    wanted = [ENGINES[engine].options for engine in engines]
    for weights in {options.get("type", "float32") for options in wanted} - {"float32"}:
        if isinstance(network, ConvolutionalNetwork):
            quantise_statically(path, calibration, weights, model_path(name, weights))
        else:
            quantise_dynamically(path, weights, model_path(name, weights))
    for mode in {options["mode"] for options in wanted if "mode" in options}:
        _compile(name, model, calibration, mode)


def _compile(name: str, model: onnx.ModelProto, calibration: Feed, mode: str) -> None:
    with warnings.catch_warnings():
        # Of random weights nobody asks how accurate they are.
        warnings.simplefilter("ignore", UserWarning)
        program = anacc.compile(model, calibration=calibration, read_mode=mode)
    program.save(program_path(name, mode))
