"""A process that compiles points of a study: `python -m anacc.sweeps.worker`.

It reads the study from standard input, answers whether it could be opened, and then answers each
point that it reads with a row, all as pickles.  It ends with its input, so when its parent does.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, BinaryIO


def main() -> None:
    """Answer until the input ends."""
    # What a library prints goes to the messages, not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # nobody waits any more


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Open the study that comes first and answer the points that follow."""
    from anacc.errors import AnaccError
    from anacc.sweeps.study import Laboratory

    def say(answer: Any) -> None:
        pickle.dump(answer, answers)
        answers.flush()

    try:
        study, threads = pickle.load(questions)
        laboratory = Laboratory(study, threads)
    except AnaccError as error:
        say(error)
        return
    say(None)
    while True:
        try:
            point = pickle.load(questions)
        except EOFError:
            return
        say(laboratory.measure(point))


if __name__ == "__main__":
    main()
