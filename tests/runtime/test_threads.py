"""How many threads take part in a run."""

from collections.abc import Callable, Sequence

import pytest

from anacc_runtime.native import NativeExecutor
from anacc_runtime.threads import Threads
from tests.runtime import examples


class Counting(Threads):
    """Threads that note how many take part in each phase, the caller's among them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def map(self, function: Callable[[slice], None], parts: Sequence[slice]) -> None:
        self.counts.append(len(parts))
        super().map(function, parts)

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


def test_little_work_wakes_no_thread() -> None:
    assert counts(1, None) == []
    assert counts(0, 0) == []
