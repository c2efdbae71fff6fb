"""The options of a compilation as a caller gave them: each is checked before any work."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any

from anacc.errors import UsageError

MOST_EFFORT = 3


def checked_path(what: str, value: Any) -> None:
    """Refuse what names no file.

    Raises:
        UsageError: naming the option.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise UsageError(f"`{what}` is a name or a path, not {_kind(value)}")


def checked_choice(what: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value that is none of those known.

    Raises:
        UsageError: naming the option and the value.
    """
    known = tuple(known)
    if value not in known:
        listed = ", ".join(f"`{name}`" for name in known)
        raise UsageError(f"there is no {what} `{value}`", f"choose one of {listed}")


def checked_seed(value: Any) -> int:
    """The seed as a plain integer.

    Raises:
        UsageError: it is negative, or no integer.
    """
    try:
        seed = operator.index(value)
    except TypeError:
        seed = -1
    if seed < 0:
        raise UsageError(f"`seed` is {value!r}, which is no integer from 0 on")
    return seed


def checked_chips(value: Any, reload: bool) -> int | None:
    """The number of chips, None for `auto`.

    Raises:
        UsageError: it is neither `auto` nor a positive integer, or `auto` and yet the chips are to
            be programmed anew.
    """
    if value == "auto":
        if reload:
            raise UsageError(
                "`reload` needs the number of chips, and `chips` is `auto`, which takes as many as "
                "hold the model",
                "give a number, or leave `reload` out",
            )
        return None
    try:
        count = 0 if isinstance(value, (str, bool)) else operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise UsageError(
            f"`chips` is {value!r}, neither `auto` nor an integer from 1 on",
            "give the number of chips, or `auto` for as many as the model needs",
        )
    return count


def checked_effort(value: Any) -> int:
    """The effort of placement and routing as a plain integer.

    Raises:
        UsageError: it is none of 0 to 3.
    """
    try:
        effort = operator.index(value)
    except TypeError:
        effort = -1
    if not 0 <= effort <= MOST_EFFORT:
        raise UsageError(f"`effort` is {value!r}, not one of 0 to {MOST_EFFORT}")
    return effort


def checked_sizes(value: Any) -> dict[str, int]:
    """Sizes of symbolic dimensions by name, as plain integers; whether they fit is not asked.

    Raises:
        UsageError: it is no such mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"`shapes` is a mapping from names to sizes, not {_kind(value)}")
    sizes = {}
    for name, size in value.items():
        try:
            sizes[str(name)] = operator.index(size)
        except TypeError:
            raise UsageError(f"`shapes` gives `{name}` the size {size!r}, no integer") from None
    return sizes


def checked_states(value: Any) -> dict[str, str]:
    """States: names of outputs by those of the inputs that they feed; whether they exist is not
    asked.

    Raises:
        UsageError: it is no such mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(
            f"`states` is a mapping from inputs to outputs, not {_kind(value)}",
            "give a dict: for each input that is a state, the name of the output that feeds it",
        )
    return {str(name): str(output) for name, output in value.items()}


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
