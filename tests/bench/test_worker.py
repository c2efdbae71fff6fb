"""A worker answers as often as it is asked."""

import io
import json
import sys
from typing import Any

import pytest

from bench import worker
from bench.engines import Unavailable


def answers(monkeypatch: pytest.MonkeyPatch, prepare: Any, requests: str) -> list[dict[str, Any]]:
    """What a worker with this engine answers to the lines of `requests`."""
    monkeypatch.setattr(worker, "prepare", prepare)
    monkeypatch.setattr(worker, "wait_until_idle", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(requests))
    output = io.StringIO()
    worker.main("anacc-1-phase", "lstm-1", output)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_figures_follow_a_run_that_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))

    def prepare(*_: object) -> Any:
        return lambda: {"seconds": next(calls) / 10}

    ready, first, second = answers(monkeypatch, prepare, "2\n1\n")
    assert ready == {"first": {"seconds": 0.1}}
    assert first["figures"] == [{"seconds": 0.3}, {"seconds": 0.4}]
    assert second["figures"] == [{"seconds": 0.6}]


def test_slow_engines_do_not_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(20, 100))

    def prepare(*_: object) -> Any:
        return lambda: {"seconds": next(calls) / 10}

    ready, first = answers(monkeypatch, prepare, "1\n")
    assert ready == {"first": {"seconds": 2.0}}
    assert first["figures"] == [{"seconds": 2.1}]


def test_an_engine_that_is_not_there_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: object) -> Any:
        raise Unavailable("not installed")

    assert answers(monkeypatch, prepare, "1\n") == [{"unavailable": "not installed"}]
