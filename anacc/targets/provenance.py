"""Where each value of a target comes from, as plain rows for listings and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from anacc.targets.quantity import SET_BY_USER, SET_IN, SOURCES, Quantity, Source, Strict
from anacc.targets.schema import Target


class Row(NamedTuple):
    """One value of a target: dotted key, value, unit, kind of source, and citation or reason."""

    key: str
    value: Any
    unit: str
    source: Source
    note: str


def rows(target: Target, source: Source | None = None) -> list[Row]:
    """Return all values of a target in file order, or only those of one kind of source."""
    return [row for row in _walk(target, "") if source is None or row.source == source]


def counts(target: Target) -> dict[Source, int]:
    """Return how many values are published, derived and assumed, in that order, zeros included."""
    sources = [row.source for row in rows(target)]
    return {source: sources.count(source) for source in SOURCES}


def own_files(data: Mapping[str, Any]) -> list[str]:
    """The names of the files of users that set values of a target, as far as their notes say so.

    Args:
        data: what `anacc.targets.target_to_data` wrote.
    """
    found: dict[str, None] = {}
    for section in data.values():
        for quantity in _tables(section):
            note = quantity.get("note")
            if isinstance(note, str) and note.startswith(SET_IN):
                found[note.removeprefix(SET_IN)] = None
    return list(found)


def own_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """The values that users set with `--set` or `settings`, by dotted key, as their notes say.

    Args:
        data: what `anacc.targets.target_to_data` wrote; it is not trusted.
    """
    return {
        key: quantity["value"]
        for key, quantity in _quantities(data, "")
        if isinstance(note := quantity.get("note"), str)
        and note.startswith(SET_BY_USER)
        and _is_value(quantity["value"])
    }


def _is_value(value: Any) -> bool:
    """Whether it is a number, a name, or a list of such, as targets have."""
    entries = value if isinstance(value, list) else [value]
    return all(isinstance(entry, str | int | float) for entry in entries)


def _quantities(part: Any, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables in a section that state a value, by dotted key."""
    if not isinstance(part, Mapping):
        return
    for name, inner in part.items():
        if isinstance(inner, Mapping) and "value" in inner:
            yield f"{prefix}{name}", inner
        else:
            yield from _quantities(inner, f"{prefix}{name}.")


def _tables(part: Any) -> Iterator[Mapping[str, Any]]:
    """The tables in a section, itself included."""
    if isinstance(part, Mapping):
        yield part
        for inner in part.values():
            yield from _tables(inner)


def _walk(part: Strict, prefix: str) -> Iterator[Row]:
    for name in type(part).model_fields:
        inner = getattr(part, name)
        if isinstance(inner, Quantity):
            yield Row(prefix + name, inner.value, inner.unit, inner.source, inner.note)
        elif isinstance(inner, Strict):
            yield from _walk(inner, f"{prefix}{name}.")
