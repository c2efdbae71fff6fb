"""What all points of a sweep share, and what comes out of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import onnx

from anacc.api import Program
from anacc.errors import AnaccError
from anacc.feeds import Array, Arrays, Stored
from anacc.ir import Module
from anacc.program.image import Image
from anacc.sweeps.axes import Point

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What all points share; it can be pickled.

    Attributes:
        model: a path, or the serialised model.
        calibration: feeds, or where they are stored; None: synthetic ones.
        data: the data set that accuracy is measured on, or where it is stored; None: it is not.
        metric: one of `anacc.evaluation.METRICS`, with `data`.
        options: keyword arguments of `anacc.compiler.compile_image` for all points.
    """

    model: str | Path | bytes
    calibration: Sequence[Mapping[str, Array]] | Path | None = None
    data: Stored | Path | None = None
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Laboratory:
    """A study whose model is imported and whose data are read: measures one point after another.

    Args:
        study: the study.
        threads: of the executor.

    Raises:
        AnaccError: the model or the data cannot be read, so that no point can be compiled.
    """

    def __init__(self, study: Study, threads: int | None = None) -> None:
        from anacc.compiler import imported
        from anacc.feeds import load_feeds, load_stored

        self._study, self._threads = study, threads
        calibration = study.calibration
        self._feeds = (
            list(load_feeds(calibration)) if isinstance(calibration, Path) else calibration
        )
        self._data = load_stored(study.data) if isinstance(study.data, Path) else study.data
        model: Any = study.model
        if isinstance(model, bytes):
            model = onnx.load_from_string(model)
        options = study.options
        self._module: Module = imported(
            model, options.get("shapes"), self._feeds or (), options.get("states")
        )
        self._expected: list[Arrays] = []

    def measure(self, point: Point) -> Row:
        """Compile a point and measure it; what goes wrong is the row's `error`."""
        try:
            image = self._compiled(point)
            found = figures(image)
            found["accuracy"] = self._accuracy(image)
        except AnaccError as error:
            return empty_row(point, error.message)
        except Exception as error:  # one point does not end the sweep
            return empty_row(point, f"internal error: {type(error).__name__}: {error}")
        return {**empty_row(point, None), **found}

    def _compiled(self, point: Point) -> Image:
        from anacc.compiler import compile_image

        options = {**self._study.options, **point.options}
        image, _ = compile_image(
            self._module, calibration=self._feeds, settings=point.settings, **options
        )
        return image

    def _accuracy(self, image: Image) -> dict[str, float] | None:
        if self._data is None or self._study.metric is None:
            return None
        from anacc.evaluation import evaluate

        wants_reference = self._study.metric != "top1" and not self._data.reference
        done = evaluate(
            Program(image, self._threads),
            self._data,
            self._study.metric,
            reference=self._reference() if wants_reference else None,
        )
        rows = done.meter.rows()
        # A row has the name of an output and then its metric, here against one reference.
        return {name: float(value) for name, value in (row.values() for row in rows)}

    def _reference(self) -> Callable[[Arrays], Arrays]:
        """The outputs of the model in float32 for batch after batch, which all points share."""
        source, number = self._module.source, count()
        names = tuple(port.name for port in source.ports.outputs)

        def reference(feed: Arrays) -> Arrays:
            position = next(number)
            if position == len(self._expected):
                self._expected.append(source.activations(feed, names))
            return self._expected[position]

        return reference


FIGURES = (
    "cores",
    "cores_available",
    "chips",
    "cells_share",
    "slowest_ns",
    "latency_ns",
    "mvm_energy_nj",
    "accuracy",
)
"""The keys of a row that are None where a point does not compile."""


def empty_row(point: Point, error: str | None) -> Row:
    """Return the row of a point without figures, and the reason for that."""
    return {
        "settings": {key: _plain(value) for key, value in point.settings.items()},
        "options": {key: _plain(value) for key, value in point.options.items()},
        **dict.fromkeys(FIGURES),
        "warnings": [],
        "error": error,
    }


def figures(image: Image) -> Row:
    """Return the figures of a program that a row shows, and its warnings."""
    from anacc.reports.mapping import report

    made = report(image)
    cores, performance = made["cores"], made.get("performance") or {}
    return {
        "cores": cores["used"],
        "cores_available": cores["available"],
        "chips": cores["chips"],
        "cells_share": made["cells"]["share"],
        "slowest_ns": performance.get("slowest_ns"),
        "latency_ns": performance.get("latency_ns"),
        "mvm_energy_nj": performance.get("mvm_energy_nj"),
        "warnings": list(made["warnings"]),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
