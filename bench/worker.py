"""One engine in a process of its own: `python -m bench.worker ENGINE CASE`.

It makes the engine, says on one line what a first run gave, and then waits: for each number that it
reads it measures as often and answers with one line.  Both are JSON.  It ends with its input.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from bench.cases import CASES, ENGINES
from bench.engines import Figures, Unavailable, prepare

# Threads of a pool go on spinning after a run, ready for the next one: 50 ms in ONNX Runtime.
LOOK_SECONDS = 0.005
BUSY_SHARE = 0.1  # of a CPU
MOST_LOOKS = 400
# Whoever takes longer than this is not measured the slower for cold caches.
WARMS_UP = 1.0


def main(engine_name: str, case_name: str, answers: TextIO) -> None:
    """Answer until the input ends."""

    def say(answer: Mapping[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    case = CASES[case_name]
    try:
        measure = prepare(case, ENGINES[engine_name])
    except Unavailable as reason:
        say({"unavailable": str(reason)})
        return
    first = None
    if not case.fresh:
        first = measure()
        if _warms_up(first):
            first = measure()  # without what only the very first run does
        wait_until_idle()
    say({"first": first})
    cpu = time.process_time()
    for line in sys.stdin:
        idle = time.process_time() - cpu
        if first and _warms_up(first):
            measure()  # others have had the caches since
        figures = [measure() for _ in range(int(line))]
        wait_until_idle()
        cpu = time.process_time()
        say({"figures": figures, "idle": idle})


def _warms_up(first: Figures) -> bool:
    return first.get("seconds", 0.0) < WARMS_UP


def wait_until_idle() -> None:
    """Wait until no thread of this process is at work, so that it takes nothing from the engine
    whose turn is next."""
    for _ in range(MOST_LOOKS):
        cpu = time.process_time()
        time.sleep(LOOK_SECONDS)
        if time.process_time() - cpu < BUSY_SHARE * LOOK_SECONDS:
            return


if __name__ == "__main__":
    # What a library prints goes to the messages, not between the answers.
    standard_output, sys.stdout = sys.stdout, sys.stderr
    main(sys.argv[1], sys.argv[2], standard_output)
