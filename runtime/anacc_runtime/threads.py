"""The worker threads of an executor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from weakref import WeakSet

# Threads start as work finds none idle, so this only bounds what callers can ask for.
MOST_THREADS = 1024


class Threads:
    """Threads that start when there is work for them.

    Several threads may call all methods at once.  A process that was forked starts threads of its
    own, for those of its parent do not live in it.
    """

    def __init__(self) -> None:
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Drop the threads without ending them, because this is a forked process without them; the
        lock may have been held by a thread that is gone."""
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def map(
        self,
        function: Callable[[slice], None],
        parts: Sequence[slice],
        interrupt: Callable[[], None],
    ) -> None:
        """Call a function on each part: the last in this thread, each other in one of its own.

        Returns when all calls have.  Where this thread is interrupted, or a call fails, `interrupt`
        is called, upon which the other calls should return soon.
        """
        futures: list[Future[None]] = []
        try:
            with self._lock:
                for part in parts[:-1]:
                    futures.append(self._started().submit(function, part))
            function(parts[-1])
            for future in futures:
                future.result()
        except BaseException:
            interrupt()
            wait(futures)
            raise

    def start(self, function: Callable[[], None], count: int) -> None:
        """Have `count` threads call a function; nobody waits for it, and what it raises is lost."""
        with self._lock:
            for _ in range(count):
                self._started().submit(function)

    def _started(self) -> ThreadPoolExecutor:
        """The pool; the lock is held."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MOST_THREADS)
        return self._pool

    def close(self) -> None:
        """End the threads once they are idle; later work starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


_all: WeakSet[Threads] = WeakSet()


def _forget_all() -> None:
    for threads in list(_all):
        threads.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
