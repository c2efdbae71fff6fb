"""Work that does not depend on order, shared among the CPUs.

NumPy lets other threads run while it computes, so that threads suffice.  A job writes to a place of
its own; so results do not depend on how many threads there are, nor on which runs first.

BLAS, which multiplies NumPy's matrices, gets one thread meanwhile.  Its own threads wait for each
other at each product by spinning: where other programs take a part of the CPUs, products of the
size of a tile become many times slower than on one thread.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from threading import Lock, Semaphore
from types import TracebackType

_AHEAD = 2
"""Jobs for each thread that wait or run at once: what they hold in memory is bounded."""


def cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """Threads that do jobs; a context manager, which waits for all of them.

    Leaving it raises what the first job, in the order in which they were given, that failed raised.

    Args:
        threads: how many; 1: each job is done at once where it is given.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._room = Semaphore(_AHEAD * threads)
        self._given: deque[Future[None]] = deque()

    def give(self, job: Callable[[], None]) -> None:
        """Have a job done; waits while too many are under way, and raises what one of them did."""
        if self._pool is None:
            job()
            return
        while self._given and self._given[0].done():
            self._given[0].result()
            self._given.popleft()
        self._room.acquire()
        future = self._pool.submit(job)
        self._given.append(future)
        future.add_done_callback(lambda _: self._room.release())

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        # What stopped the giver came after all that it gave, and gives way to what failed before.
        self._pool.shutdown()
        for future in self._given:
            future.result()


_BLAS_LOCK = Lock()
_blas_users = 0
_blas_threads = 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS compute each product on the thread that asks for it.

    It is a setting of the whole process, which the last to leave restores.  Only OpenBLAS, which
    NumPy's packages bring, can be told; any other keeps its threads.
    """
    global _blas_users, _blas_threads
    functions = _openblas()
    if functions is None:
        yield
        return
    count, set_count = functions
    with _BLAS_LOCK:
        if _blas_users == 0:
            _blas_threads = count()
            set_count(1)
        _blas_users += 1
    try:
        yield
    finally:
        with _BLAS_LOCK:
            _blas_users -= 1
            if _blas_users == 0:
                set_count(_blas_threads)


def _openblas() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """The functions that tell and set the number of threads of NumPy's OpenBLAS, if it has one.

    NumPy has no interface for it.  Looking names up in its extension module finds those of the
    libraries that this is linked to; packages give them a prefix or a suffix of their own.
    """
    try:
        library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    except (ImportError, OSError):
        return None
    for name in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"):
        try:
            count = getattr(library, name.format("get_num_threads"))
            set_count = getattr(library, name.format("set_num_threads"))
        except AttributeError:
            continue
        count.restype, set_count.restype = ctypes.c_int, None
        set_count.argtypes = [ctypes.c_int]
        return count, set_count
    return None
