"""What is gathered over the batches of a data set: how accurate a program is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anacc.dataset import Batch
from anacc.errors import FeedError, UsageError
from anacc.feeds import Array, Port
from anacc.metrics import ErrorSums, correct

LABEL = "label"
PROGRAM, ONNX_RUNTIME, STORED = "program", "onnxruntime", "stored"

Row = dict[str, Any]


class Meter(ABC):
    """Gathers a metric; `titles` says in words what the keys of a row mean."""

    titles: Mapping[str, str]

    @abstractmethod
    def add(
        self, batch: Batch, outputs: Mapping[str, Array], reference: Mapping[str, Array] | None
    ) -> None:
        """Take the outputs of a batch, and those of ONNX Runtime for the same feed."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """The result: `name` of an output, then the metric by key; all rows have the same keys."""

    @abstractmethod
    def shown(self, value: Any) -> str:
        """A cell of a row as text."""


class Top1Meter(Meter):
    """Counts right answers of the first output whose shape fits the labels.

    Args:
        ports: the program's outputs.
        labels: class numbers, shape (samples,) or, with a class for each position, (samples, T).
    """

    def __init__(self, ports: Sequence[Port], labels: Array) -> None:
        self.titles = {PROGRAM: "top1", ONNX_RUNTIME: "top1 of ONNX Runtime"}
        self._ports = ports
        self._labels = labels
        self._name: str | None = None
        self._right: dict[str, int] = {}
        self._count = 0

    def add(
        self, batch: Batch, outputs: Mapping[str, Array], reference: Mapping[str, Array] | None
    ) -> None:
        labels = self._labels[batch.samples]
        self._count += labels.size
        sources = {PROGRAM: outputs}
        if reference is not None:
            sources[ONNX_RUNTIME] = reference
        port = self._port(batch, outputs, labels)
        for source, arrays in sources.items():
            scores = _scores(arrays[port.name], port, batch, labels)
            self._right[source] = self._right.get(source, 0) + correct(scores, labels)

    def _port(self, batch: Batch, outputs: Mapping[str, Array], labels: Array) -> Port:
        for port in self._ports:
            scores = _scores(outputs[port.name], port, batch, labels)
            if port.name == self._name or (
                self._name is None and scores.ndim and scores.shape[:-1] == labels.shape
            ):
                self._name = port.name
                return port
        raise FeedError(
            f"no output has a score for each class of labels of shape {self._labels.shape}"
        )

    def rows(self) -> list[Row]:
        shares = {key: right / self._count for key, right in self._right.items()}
        return [{"name": self._name, **shares}]

    def shown(self, value: Any) -> str:
        return f"{value:.2%}" if isinstance(value, float) else str(value)


class ErrorMeter(Meter):
    """Sums errors of every output against ONNX Runtime, stored outputs, or both.

    Args:
        metric: `snr` or `mse`.
        ports: the program's outputs.
        stored: expected outputs by name, samples along the first axis; may lack some or all.
    """

    def __init__(self, metric: str, ports: Sequence[Port], stored: Mapping[str, Array]) -> None:
        name = "dB" if metric == "snr" else "mse"
        self.titles = {ONNX_RUNTIME: f"{name} to ONNX Runtime", STORED: f"{name} to stored"}
        self._metric = metric
        self._ports = ports
        self._stored = stored
        self._sums: dict[str, dict[str, ErrorSums]] = {}

    def add(
        self, batch: Batch, outputs: Mapping[str, Array], reference: Mapping[str, Array] | None
    ) -> None:
        for port in self._ports:
            value = samples_of(outputs[port.name], port, batch)
            if reference is not None:
                wanted = samples_of(reference[port.name], port, batch)
                self._add(port.name, ONNX_RUNTIME, wanted, value)
            if port.name in self._stored:
                self._add(port.name, STORED, self._stored[port.name][batch.samples], value)

    def _add(self, name: str, source: str, wanted: Array, value: Array) -> None:
        sums = self._sums.setdefault(name, {})
        sums[source] = sums.get(source, ErrorSums()) + ErrorSums.of(wanted, value)

    def rows(self) -> list[Row]:
        if not self._sums:
            raise UsageError("the data set stores no output of the program")
        sources = [key for key in self.titles if any(key in sums for sums in self._sums.values())]
        return [
            {"name": name} | {source: self._value(sums.get(source)) for source in sources}
            for name, sums in self._sums.items()
        ]

    def _value(self, sums: ErrorSums | None) -> float:
        if sums is None:
            return math.nan
        return sums.snr_db if self._metric == "snr" else sums.mse

    def shown(self, value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.2f}" if self._metric == "snr" else f"{value:.4g}"


def samples_of(array: Array, port: Port, batch: Batch) -> Array:
    """The samples of an output along a first axis, without those that only fill a fixed batch."""
    if port.batch_axis is None:
        return array[np.newaxis]
    return np.moveaxis(array, port.batch_axis, 0)[: batch.count]


def _scores(array: Array, port: Port, batch: Batch, labels: Array) -> Array:
    """The samples of an output; without a batch axis, an output of shape (1, classes) or (classes,)
    both are the scores of the one sample."""
    scores = samples_of(array, port, batch)
    if port.batch_axis is None and array.ndim and scores.size == labels.size * array.shape[-1]:
        return scores.reshape(*labels.shape, array.shape[-1])
    return scores
