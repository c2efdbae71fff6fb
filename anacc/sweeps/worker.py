"""A process that compiles points of a study: `python -m anacc.sweeps.worker`.

It reads the study from standard input, answers whether it could be opened, and then answers each
point that it reads with a row, all as pickles.  It ends with its input, at once: a parent that is
gone, however it ended, wants no answer.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO


def main() -> None:
    """Answer until the input ends."""
    # What a library prints goes to the messages, not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(questions(sys.stdin.buffer, at_end=lambda: os._exit(0)), answers)


def questions(stream: BinaryIO, at_end: Callable[[], None]) -> Iterator[Any]:
    """The objects that come in, read by a thread of its own, so that an end of the stream is seen
    while the last of them is worked on."""
    came: SimpleQueue[Any] = SimpleQueue()

    def read() -> None:
        try:
            while True:
                came.put(pickle.load(stream))
        except (EOFError, pickle.UnpicklingError):
            at_end()

    Thread(target=read, daemon=True).start()
    while True:
        yield came.get()


def serve(asked: Iterator[Any], answers: BinaryIO) -> None:
    """Open the study that comes first and answer the points that follow."""
    from anacc.errors import AnaccError
    from anacc.sweeps.study import Laboratory

    def say(answer: Any) -> None:
        pickle.dump(answer, answers)
        answers.flush()

    study, threads = next(asked)
    try:
        laboratory = Laboratory(study, threads)
    except AnaccError as error:
        say(error)
        return
    say(None)
    for point in asked:
        say(laboratory.measure(point))


if __name__ == "__main__":
    main()
