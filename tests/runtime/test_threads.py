"""How many threads take part in a run, and how they end."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from anacc_runtime.native import NativeExecutor
from anacc_runtime.threads import Threads
from tests.runtime import examples


class Counting(Threads):
    """Threads that note how many take part in each phase, the caller's among them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def map(
        self,
        function: Callable[[slice], None],
        parts: Sequence[slice],
        interrupt: Callable[[], None],
    ) -> None:
        self.counts.append(len(parts))
        super().map(function, parts, interrupt)

    def start(self, function: Callable[[], None], count: int) -> None:
        self.counts.append(count + 1)
        super().start(function, count)


def counts(batch: int, least_work: int | None) -> list[int]:
    """How many of five threads take part in the phases of a layer."""
    image = examples.layer()
    native = NativeExecutor(image, least_work=least_work)
    native._threads = threads = Counting()
    native.run(examples.feed(image, batch), 5)
    native.close()
    return threads.counts


def work() -> float:
    """Multiply-adds of one sample."""
    native = NativeExecutor(examples.layer())
    prepared = [native.prepared(phase) for phase in native.network.phases if not phase.host]
    return sum(phase.engine.work for phase in prepared if phase is not None)


@pytest.mark.parametrize("batch", [1, 33])
def test_as_many_threads_take_part_as_have_work(batch: int) -> None:
    """Whether they share the layers of one sample or 33 samples."""
    total = int(batch * work())
    assert counts(batch, total) == []
    assert counts(batch, total // 2) == [2]
    assert counts(batch, total // 4) == [4]
    assert counts(batch, 1) == counts(batch, 0) == [5]


def test_threads_share_a_sample_where_there_is_no_memory_for_one_each() -> None:
    image, batches = examples.layer(), []

    class Noting(Counting):
        def map(self, *arguments: Any) -> None:
            batches.append("samples")
            super().map(*arguments)

    for memory in (1, 1 << 20):
        native = NativeExecutor(image, memory, least_work=0)
        native._threads = Noting()
        native.run(examples.feed(image, 37), 2)
        native.close()
    assert batches == ["samples"]


def test_little_work_wakes_no_thread() -> None:
    assert counts(1, None) == []
    assert counts(0, 0) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_call_ends_the_others(error: type[BaseException]) -> None:
    threads, interrupted = Threads(), threading.Event()
    ended: list[int] = []

    def function(part: slice) -> None:
        if part.start == 2:
            raise error
        interrupted.wait()
        ended.append(part.start)

    with pytest.raises(error):
        threads.map(function, [slice(k, k + 1) for k in range(3)], interrupted.set)
    assert sorted(ended) == [0, 1]
    threads.close()


class Failing(Threads):
    """Threads of which only the first can be started."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1

    def _started(self) -> ThreadPoolExecutor:
        if self.left == 0:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        return super()._started()


@pytest.mark.parametrize("batch", [1, 36])
def test_threads_that_cannot_start_leave_none_at_work(batch: int) -> None:
    """Whether they were to share a sample or samples: closing waits for all that work."""
    image = examples.layer()
    native = NativeExecutor(image, least_work=0)
    native._threads = threads = Failing()
    with pytest.raises(RuntimeError, match="start new thread"):
        native.run(examples.feed(image, batch), 3)
    threads.left = 1
    native.close()


class Looked(threading.Event):
    """Counts how often somebody looks whether it is set, and raises what it is told to."""

    looks = 0
    error: type[BaseException] | None = None

    def is_set(self) -> bool:
        Looked.looks += 1
        if Looked.error is not None:
            raise Looked.error
        return super().is_set()


@pytest.mark.parametrize("name", ["layer", "recurrence", "cell"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_looks_for_interrupts(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread stays in C for longer than some samples take."""
    image = examples.ALL[name]
    native = NativeExecutor(image, least_work=0)
    feed = examples.feed(image, 1000)
    expected = native.run(feed, threads)
    monkeypatch.setattr("anacc_runtime.native.executor.TURN", 1)
    events = SimpleNamespace(Event=Looked)
    monkeypatch.setattr("anacc_runtime.native.executor.threading", events)
    monkeypatch.setattr(Looked, "looks", 0)
    result = native.run(feed, threads)
    assert Looked.looks >= 1000 // 96
    assert all(result[name].tobytes() == expected[name].tobytes() for name in expected)
    monkeypatch.setattr(Looked, "error", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        native.run(feed, threads)
    native.close()
