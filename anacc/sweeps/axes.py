"""The axes of a sweep, and the points of their grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from anacc.errors import UsageError
from anacc.targets.forms import as_text
from anacc.targets.settings import SIZES, values_given

MAX_POINTS = 10_000
"""Of a sweep; more are taken for a mistake."""


@dataclass(frozen=True)
class Point:
    """One compilation of a sweep.

    Attributes:
        settings: values of the target by key, as `anacc.targets.configure` takes them.
        options: keyword arguments of the compiler.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def grid(
    settings: Mapping[str, Iterable[Any]] | None, vary: Mapping[str, Iterable[Any]] | None
) -> list[Point]:
    """Return all combinations of the values of all axes; the last axis varies fastest.

    Args:
        settings: values for each key of the target, or sizes; strings are parsed.
        vary: values for each option of the compiler.

    Raises:
        UsageError: an axis has no value, a value has not the form of its key or comes twice, or
            there are more than `MAX_POINTS` points.
        SettingError: there is no such key, or two axes set the same one.
    """
    axes = [
        *(_checked("settings", name, values, parse=True) for name, values in _items(settings)),
        *(_checked("vary", name, values) for name, values in _items(vary)),
    ]
    count = math.prod(len(values) for values in axes)
    if count > MAX_POINTS:
        raise UsageError(
            f"the sweep has {count} points, more than {MAX_POINTS}", "give fewer values"
        )
    keys, options = list(settings or {}), list(vary or {})
    points = [
        Point(
            dict(zip(keys, values[: len(keys)], strict=True)),
            dict(zip(options, values[len(keys) :], strict=True)),
        )
        for values in product(*axes)
    ]
    values_given(points[0].settings)  # refuses two axes for one key
    return points


def texts(text: str) -> list[str]:
    """Split the values of an axis of the command line, `V1,V2,...`; a list has `+` inside."""
    return text.split(",")


def _items(axes: Any) -> list[tuple[str, Any]]:
    if axes is None:
        return []
    if not isinstance(axes, Mapping):
        raise UsageError(
            f"the axes of a sweep are a mapping from names to values, not a {type(axes).__name__}",
            'write for example {"grid.rows": [8, 16]}',
        )
    return [(str(name), values) for name, values in axes.items()]


def _checked(what: str, name: str, given: Any, parse: bool = False) -> list[Any]:
    """The values of an axis, each once; a single value need not stand in a list."""
    values = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    values = [_parsed(name, value) if parse else value for value in values]
    if not values:
        raise UsageError(f"`{what}` gives no value for `{name}`", "give one at least")
    shown = [as_text(value) for value in values]
    for text in shown:
        if shown.count(text) > 1:
            raise UsageError(f"`{what}` gives `{name}` the value `{text}` twice", "give it once")
    return values


def _parsed(name: str, value: Any) -> Any:
    """The value as a row shows it: sizes as text, others as numbers, names or tuples of them."""
    given = values_given({name: value})
    if name in SIZES:
        return "x".join(as_text(each) for each in given.values())
    return given[name]
