"""The command line: one file for each command, what they share beside them.

Results go to standard output; messages and progress to standard error.  Exit status: 0 success, 1 a
compile or a run failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit status.

    Args:
        arguments: those of the process by default.
    """
    try:
        # Loading the commands takes a moment, in which the user may interrupt, too.
        from anacc.cli.commands import anacc

        anacc.main(arguments, prog_name="anacc")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
