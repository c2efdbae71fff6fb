"""The processes of a sweep, seen from the one that started them.

Processes rather than threads, for passes are Python; started anew rather than forked, for ONNX
Runtime and NumPy have threads; and not by `multiprocessing`, which would run the user's script in
each of them again.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from typing import IO, Any

from anacc.errors import AnaccError
from anacc.sweeps.axes import Point
from anacc.sweeps.study import Row, Study, empty_row

# Each process computes on one thread, so that no figure depends on how many there are.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Lost(Exception):
    """A process ended before it answered; the message says how."""


class Worker:
    """A process with the study open.

    Raises:
        AnaccError: the study cannot be opened.
        Lost: the process ended.
    """

    def __init__(self, study: Study, threads: int) -> None:
        # The process finds the same packages, wherever the program was started.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "anacc.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt is for the parent, which ends it
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise Lost("its process has no pipes")
        self._questions: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._opened = False
        self._study = study, threads

    def ask(self, point: Point) -> Row:
        """Return the row of a point; errors are those of the class."""
        if not self._opened:
            error = self._answer(self._study)
            if error is not None:
                raise error
            self._opened = True
        row: Row = self._answer(point)
        return row

    def _answer(self, question: Any) -> Any:
        process = self._process
        try:
            pickle.dump(question, self._questions)
            self._questions.flush()
            return pickle.load(self._answers)
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()
            status = process.wait()
            reason = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise Lost(f"its process ended {reason}, maybe for lack of memory") from None

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._questions, self._answers):
            with suppress(OSError):  # what was still to be written is for nobody
                stream.close()


class Workers:
    """Up to `count` processes, each started when there is work for it.

    Args:
        study: the study.
        count: how many points are in work at a time.
        threads: of the executor in each process.
    """

    def __init__(self, study: Study, count: int, threads: int) -> None:
        self._study, self._count, self._threads = study, count, threads
        self._idle: SimpleQueue[Worker | None] = SimpleQueue()
        for _ in range(count):
            self._idle.put(None)
        self._lock = Lock()
        self._all: list[Worker] = []
        self._ended = False

    def measure(self, points: Sequence[Point], on_row: Callable[[], None]) -> list[Row]:
        """Return a row for each point, in their order.

        Args:
            points: of the study.
            on_row: called whenever a point is done.

        Raises:
            AnaccError: the study cannot be opened.
            KeyboardInterrupt: the user interrupted; all processes have ended.
        """
        pool = ThreadPoolExecutor(self._count)
        try:
            futures = [pool.submit(self._row, point) for point in points]
            for future in as_completed(futures):
                future.result()
                on_row()
            return [future.result() for future in futures]
        finally:
            self._end()
            pool.shutdown(cancel_futures=True)

    def _row(self, point: Point) -> Row:
        worker = self._idle.get()
        try:
            worker = worker or self._started()
            return worker.ask(point)
        except Lost as lost:
            worker = None
            return empty_row(point, str(lost))
        except AnaccError:
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def _started(self) -> Worker:
        with self._lock:
            if self._ended:
                raise Lost("the sweep was ended")
            worker = Worker(self._study, self._threads)
            self._all.append(worker)
            return worker

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            for worker in self._all:
                worker.end()
