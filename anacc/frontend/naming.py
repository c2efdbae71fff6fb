"""Names that nothing has yet."""

from __future__ import annotations

from collections.abc import Callable


def unused_name(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """The name wanted, or with `#2`, `#3`, ... behind it where that is taken."""
    name, count = wanted, 1
    while is_taken(name):
        count += 1
        name = f"{wanted}#{count}"
    return name
