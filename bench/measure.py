"""Runs the engines of a case in turns, each in its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType
from typing import Any, Self

from bench.cases import AIHWKIT, CASES, FOLDER, ROOT, Case
from bench.engines import Figures

ROUND_SECONDS = 0.08  # for the measurements of one engine in one round
MOST_SAMPLES = 50
LIMIT_SAMPLES = 3  # of the limits of the CPU, which have no time of their own
SLOW = 1.0  # seconds; slower engines take part in each SLOW_EVERY-th round only
SLOW_EVERY = 3


class EngineError(Exception):
    """An engine failed; the message says which and where its messages are."""


@dataclass
class Series:
    """The measurements of one engine in one case.

    Attributes:
        rounds: by number of the round and name of the figure, the median in that round.
        idle: seconds of CPU time that it used while all others had their turns; the median.
        unavailable: why there are no measurements, else empty.
    """

    rounds: dict[int, Figures] = field(default_factory=dict)
    idle: float = 0.0
    unavailable: str = ""


class _Worker:
    """The process of one engine."""

    def __init__(self, engine: str, case: str, python: str) -> None:
        self._name = f"{engine} in {case}"
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._log = FOLDER / f"{case}.{engine}.log"
        threads = str(CASES[case].threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", "bench.worker", engine, case],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.first: Figures = {}
        self.unavailable = ""

    def wait_until_ready(self) -> None:
        """Wait for the engine; sets what its first run gave, or why there is none."""
        answer = self._answer()
        self.first = answer.get("first") or {}
        self.unavailable = answer.get("unavailable", "")

    def measure(self, samples: int) -> tuple[list[Figures], float]:
        """The figures of each sample, and the seconds of CPU time since the call before."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{samples}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, which its missing answer tells
        answer = self._answer()
        return answer["figures"], answer["idle"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"{self._name} ended; see build/bench/{self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()


def run_case(
    name: str,
    rounds: int,
    aihwkit_python: str = sys.executable,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Series]:
    """Measure all engines of a case, one after the other in each round.

    Args:
        name: a key of `CASES`.
        rounds: how often each engine has its turn.
        aihwkit_python: the interpreter that has aihwkit.
        progress: called after each round.

    Returns:
        The measurements by engine.

    Raises:
        EngineError: an engine failed.
    """
    case = CASES[name]
    pythons = {
        engine: aihwkit_python if engine in AIHWKIT else sys.executable for engine in case.engines
    }
    if case.fresh:
        return _run_fresh(name, case, pythons, rounds, progress)
    with ExitStack() as stack:
        workers = {}
        for engine, python in pythons.items():
            # One at a time, so that their preparations do not disturb each other's warming up.
            worker = stack.enter_context(_Worker(engine, name, python))
            worker.wait_until_ready()
            workers[engine] = worker
        return _alternate(workers, rounds, progress)


def _alternate(
    workers: Mapping[str, _Worker], rounds: int, progress: Callable[[], None]
) -> dict[str, Series]:
    series = {name: Series(unavailable=worker.unavailable) for name, worker in workers.items()}
    ready = {name: worker for name, worker in workers.items() if not worker.unavailable}
    samples: dict[str, int] = {}
    idle: dict[str, list[float]] = {name: [] for name in ready}
    slow = set()
    for name, worker in ready.items():
        seconds = worker.first.get("seconds", ROUND_SECONDS / LIMIT_SAMPLES)
        samples[name] = min(max(round(ROUND_SECONDS / seconds), 1), MOST_SAMPLES)
        if seconds > SLOW:
            slow.add(name)
    for number in range(rounds):
        # Each round begins with another engine: nobody has always the same predecessor.
        shift = number % max(len(ready), 1)
        for name in [*ready][shift:] + [*ready][:shift]:
            if name in slow and number % SLOW_EVERY:
                continue
            figures, idle_seconds = ready[name].measure(samples[name])
            series[name].rounds[number] = _medians(figures)
            idle[name].append(idle_seconds)
        progress()
    for name, seconds_idle in idle.items():
        series[name].idle = median(seconds_idle)
    return series


def _run_fresh(
    name: str,
    case: Case,
    pythons: Mapping[str, str],
    rounds: int,
    progress: Callable[[], None],
) -> dict[str, Series]:
    """The same with a process for each sample."""
    series = {engine: Series() for engine in case.engines}
    for number in range(rounds):
        for engine, python in pythons.items():
            with _Worker(engine, name, python) as worker:
                worker.wait_until_ready()
                if worker.unavailable:
                    series[engine].unavailable = worker.unavailable
                    continue
                figures, _ = worker.measure(1)
                series[engine].rounds[number] = _medians(figures)
        progress()
    return series


def _medians(samples: list[Figures]) -> Figures:
    return {name: median(sample[name] for sample in samples) for name in samples[0]}
