"""Run a sweep."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from anacc.api import Feed
from anacc.errors import UsageError
from anacc.evaluation import METRICS
from anacc.feeds import Stored, calibration_feeds, split_stored
from anacc.options import checked_choice, checked_path
from anacc.sweeps.axes import Point, grid
from anacc.sweeps.study import Row, Study
from anacc.sweeps.workers import Workers
from anacc.targets import load_target
from anacc_runtime.program import available_cpus

# Of `compile_image`: what a sweep gives itself, and what is about one compilation.
_NOT_OPTIONS = {
    "model",
    "calibration",
    "settings",
    "dump_ir",
    "print_ir_after",
    "write",
    "on_progress",
    "warn",
}


def sweep(
    model: str | os.PathLike[str] | onnx.ModelProto,
    settings: Mapping[str, Iterable[Any]] | None = None,
    vary: Mapping[str, Iterable[Any]] | None = None,
    *,
    target: str | os.PathLike[str] = "hermes",
    calibration: Feed | Iterable[Feed] | None = None,
    data: Mapping[str, npt.ArrayLike] | None = None,
    metric: str | None = None,
    jobs: int | None = None,
    on_row: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Row]:
    """Compile a model over a grid of parameters: every combination of the values.

    ::

        rows = anacc.sweep("model.onnx", {"crossbar": ["128x128", "256x256"], "gdpu.count": [4, 8]})

    Args:
        model: a path, or the model itself.
        settings: values for each key of the target, as `settings` of `anacc.compile` takes them.
        vary: values for each option of `anacc.compile`: `{"read_mode": ["4-phase", "1-phase"]}`.
        target, calibration: as for `anacc.compile`.
        data: a data set, samples along the first axis: arrays by input name; for `top1` the
            classes as `label`.
        metric: what accuracy is: `top1`, or against the model in float32 `snr` or `mse`.
        jobs: how many points are compiled at a time; None: one for each CPU that may be used.
        on_row: called after each point with how many are done, and how many there are.
        options: of `anacc.compile`, for all points.

    Returns:
        A row for each point, the last axis varying fastest, whatever `jobs` is:

        - `settings`, `options`: the point.
        - `cores` used, `cores_available` and `chips`; `cells_share`, of the cores in use.
        - `slowest_ns`, `latency_ns`, `mvm_energy_nj`: estimates of a sample, None where the
          program states none.
        - `accuracy`: the metric by output, or None.
        - `warnings`: of the compiler.
        - `error`: why the point does not compile, else None; the figures are None then.

    Raises:
        SettingError: there is no such key, or a value has another form.
        UsageError: an axis has no values, or there is no such option or metric.
        ModelError: the model cannot be read.
        FeedError: a calibration feed does not fit the model.
        TargetError: the target that all points start from cannot be read.
    """
    if not isinstance(model, onnx.ModelProto):
        checked_path("model", model)
    checked_path("target", target)
    _check_options({**options, **dict.fromkeys(vary or {})})
    if (metric is None) != (data is None):
        raise UsageError("`metric` and `data` belong together", "give both, or none")
    if metric is not None:
        checked_choice("metric", metric, METRICS)
    study = Study(
        model.SerializeToString() if isinstance(model, onnx.ModelProto) else Path(model),
        None if calibration is None else list(calibration_feeds(calibration)),
        None if data is None else stored(data),
        metric,
        {"target": Path(target) if isinstance(target, os.PathLike) else target, **options},
    )
    return run(study, grid(settings, vary), jobs, on_row)


def run(
    study: Study,
    points: Sequence[Point],
    jobs: int | None = None,
    on_row: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Return a row for each point of a study; arguments and errors are those of `sweep`."""
    cpus = available_cpus()
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"`jobs` is {jobs!r}, which is no integer from 1 on")
    load_target(study.options.get("target", "hermes"))  # refused before processes start
    count = min(jobs or cpus, len(points))
    done = 0

    def on_done() -> None:
        nonlocal done
        done += 1
        if on_row is not None:
            on_row(done, len(points))

    return Workers(study, count, max(1, cpus // count)).measure(points, on_done)


def stored(data: Mapping[str, npt.ArrayLike]) -> Stored:
    """Return a data set that a caller gave; keys are those of a feed file.

    Raises:
        UsageError: it is no mapping.
    """
    if not isinstance(data, Mapping):
        raise UsageError(
            f"`data` is a mapping from names to arrays, not a {type(data).__name__}",
            "give for example dict(numpy.load(path))",
        )
    return split_stored({str(name): np.asarray(array) for name, array in data.items()}, "`data`")


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse what is no option of the compiler, before processes start."""
    from anacc.compiler import compile_image

    known = inspect.signature(compile_image).parameters.keys() - _NOT_OPTIONS
    for name in options:
        checked_choice("option", name, sorted(known))
