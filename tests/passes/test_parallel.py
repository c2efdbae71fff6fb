"""Jobs of a crew: order, errors, and BLAS on one thread meanwhile."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import NoReturn

import numpy as np
import pytest

from anacc_passes import parallel
from anacc_passes.parallel import Crew, one_blas_thread


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_jobs_are_done(threads: int) -> None:
    places = [0] * 50

    def fill(number: int) -> None:
        places[number] = number

    with Crew(threads) as crew:
        for number in range(50):
            crew.give(partial(fill, number))
    assert places == [*range(50)]


def fail(number: int) -> NoReturn:
    raise ValueError(f"job {number}")


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_job_that_fails_is_what_is_raised(threads: int) -> None:
    with pytest.raises(ValueError, match="job 4"), Crew(threads) as crew:
        for number in range(10):
            crew.give(partial(fail, number) if number >= 4 else lambda: None)


def test_an_earlier_job_comes_before_what_stops_the_giver() -> None:
    go = Event()

    def late() -> NoReturn:
        go.wait(10)
        fail(1)

    with pytest.raises(ValueError, match="job 1"), Crew(2) as crew:
        crew.give(late)
        go.set()
        raise RuntimeError("the giver")


def test_few_jobs_wait_at_once() -> None:
    gate = Event()

    def wait() -> None:
        gate.wait(10)

    with Crew(2) as crew:
        for _ in range(4):
            crew.give(wait)
        assert not crew._room.acquire(blocking=False)
        gate.set()


def test_blas_has_one_thread_and_gets_its_threads_back() -> None:
    functions = parallel._openblas()
    if functions is None:
        pytest.skip("NumPy has another BLAS here")
    count, set_count = functions
    before = count()
    try:
        set_count(2)
        with one_blas_thread():
            assert count() == 1
            with one_blas_thread():
                assert count() == 1
            assert count() == 1
        assert count() == 2
    finally:
        set_count(before)


def test_without_openblas_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_openblas", lambda: None)
    with one_blas_thread():
        assert (np.eye(3) @ np.eye(3) == np.eye(3)).all()
