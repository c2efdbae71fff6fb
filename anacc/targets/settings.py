"""Targets as families: a target with some of its numbers set anew, and consistent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from pydantic import ValidationError

from anacc.errors import SettingError
from anacc.targets import keys
from anacc.targets.dependence import RULES, unknown
from anacc.targets.forms import as_text, forms
from anacc.targets.load import target_to_data
from anacc.targets.problems import blamed, invalid, shown
from anacc.targets.provenance import rows
from anacc.targets.quantity import FOLLOWED, MAX_NOTE, SET_BY_USER, Source
from anacc.targets.schema import Target

SIZES = ("grid", "crossbar")
"""Sections that a setting may give as a size, ROWSxCOLUMNS."""


@dataclass(frozen=True)
class Configured:
    """A target with settings.

    Attributes:
        target: consistent, and saying of each value that was set or followed what it was before.
        warnings: sentences on what could not follow.
    """

    target: Target
    warnings: tuple[str, ...] = ()


def configure(target: Target, settings: Mapping[str, Any] | None) -> Configured:
    """Return a target with some values set, and with those that follow from them.

    A value that is set becomes an assumption whose note says what it was before; one that follows
    (`anacc.targets.dependence`) is derived, unless it is set too.  A setting that states what holds
    anyway changes nothing, and nothing follows a key that is set.

    Args:
        target: the chip to start from.
        settings: values by dotted key (`grid.rows`, in the unit that the target has for it), or
            sizes of `grid` and `crossbar`: "16x16" or (rows, columns).  A string is read as
            `--set` reads it.  None: none.

    Raises:
        SettingError: there is no such key, a key is set twice, or a value is impossible by itself
            or together with the others.
    """
    given = values_given(settings)
    old = {row.key: row.value for row in rows(target)}
    chosen = {key: value for key, value in given.items() if not _same(value, old.get(key))}
    if not chosen:
        return Configured(target)
    listed = ", ".join(f"`{key}={shown(as_text(value))}`" for key, value in chosen.items())
    origin = f"target `{target.chip.name.value}` with {shown(listed, limit=200)}"
    data = target_to_data(target)
    for key, value in chosen.items():
        before = _before(data, key) if key in old else "it was not stated"
        _put(data, key, value, "assumed", f"{SET_BY_USER}{before}")
    _check_alone(data, origin)
    new, reasons = _followed(old, given, set(chosen))
    for key, how in reasons.items():
        _put(data, key, new[key], "derived", f"{FOLLOWED}{how}; before: {_before(data, key)}")
    try:
        made = Target.model_validate(data)
    except ValidationError as error:
        raise _refused(origin, error) from None
    return Configured(made, _warnings(new, given, {*chosen, *reasons}))


def values_given(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values that settings give, by dotted key: sizes are two, strings are parsed.

    Raises:
        SettingError: there is no such key, a value does not have its form, or a key is set twice.
    """
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise SettingError(
            f"`settings` is a mapping from keys to values, not a value of type "
            f"{type(settings).__name__}",
            'write for example {"grid.rows": 16}',
        )
    given: dict[str, Any] = {}
    for name, value in settings.items():
        for key, each in _expanded(str(name), value).items():
            if key in given:
                raise SettingError(f"settings give `{key}` twice", "give it once")
            given[key] = each
    return given


def allowed(key: str) -> str:
    """Return what a key may be set to, in words, with its unit."""
    unit = keys.units()[key]
    return str(forms()[key]) + ("" if unit in ("name", "names", "1") else f", in {unit}")


def _expanded(name: str, value: Any) -> dict[str, Any]:
    if name in SIZES:
        return dict(zip((f"{name}.rows", f"{name}.columns"), _size(name, value), strict=True))
    if name not in forms():
        raise _unknown(name)
    if not isinstance(value, str):
        return {name: _plain(value)}
    try:
        return {name: forms()[name].parse(value)}
    except ValueError as error:
        raise SettingError(f"setting `{name}={shown(value)}` {error}", _takes(name)) from None


def _size(name: str, value: Any) -> list[Any]:
    """Rows and columns; whether they are possible is asked later."""
    sizes: list[Any] = []
    if isinstance(value, str):
        form = forms()[f"{name}.rows"]
        try:
            sizes = [form.parse(part) for part in value.lower().split("x")]
        except ValueError:
            pass
    elif isinstance(value, list | tuple):
        sizes = [_plain(each) for each in value]
    if len(sizes) != 2:
        raise SettingError(
            f"setting `{name}={shown(value)}` is not a size ROWSxCOLUMNS",
            f"write for example `{name}=16x16`, or set `{name}.rows` or `{name}.columns` alone",
        )
    return sizes


def _plain(value: Any) -> Any:
    """The value as the schema takes it: numbers of NumPy become Python's, lists tuples."""
    match value:
        case bool() | str():
            return value
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case list() | tuple():
            return tuple(map(_plain, value))
        case _:
            return value


def _unknown(name: str) -> SettingError:
    near = keys.suggestions(name)
    hint = "`anacc targets keys` lists all that may be set"
    if near:
        hint = f"did you mean {' or '.join(f'`{key}`' for key in near)}? {hint}"
    return SettingError(f"setting `{shown(name)}`: a target has no such key", hint)


def _same(value: Any, before: Any) -> bool:
    """Whether a value states what holds anyway; 8.0 is no number of rows."""
    if isinstance(before, float):
        return type(value) in (int, float) and value == before
    return type(value) is type(before) and value == before


def _check_alone(data: Mapping[str, Any], origin: str) -> None:
    """Refuse values that no target could have, whatever its other values; nothing can follow from
    them."""
    try:
        Target.model_validate(data)
    except ValidationError as error:
        if any(problem["type"] != "impossible" for problem in error.errors()):
            raise _refused(origin, error) from None


def _refused(origin: str, error: ValidationError) -> SettingError:
    problem, key = invalid(origin, error), blamed(error)
    alone = error.errors()[0]["type"] != "impossible" and key in forms()
    return SettingError(problem.message, _takes(key) if alone else problem.hint)


def _takes(key: str) -> str:
    return f"`{key}` takes: {allowed(key)}"


def _followed(
    old: Mapping[str, Any], given: Mapping[str, Any], changed: set[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """All values after the change, and of each figure that follows how."""
    new: dict[str, Any] = {**old, **given}
    reasons: dict[str, str] = {}
    for rule in RULES:
        if rule.key in given or rule.key not in old or changed.isdisjoint(rule.reads):
            continue
        result = rule.follow(old, new)
        if result is None or result[0] == old[rule.key]:
            continue
        new[rule.key], reasons[rule.key] = result
        changed = {*changed, rule.key}
    return new, reasons


def _put(data: dict[str, Any], key: str, value: Any, source: Source, note: str) -> None:
    *parents, last = key.split(".")
    table = data
    for parent in parents:
        table = table.setdefault(parent, {})
    table[last] = {
        "value": value,
        "unit": keys.units()[key],
        "source": source,
        "note": note if len(note) <= MAX_NOTE else note[: MAX_NOTE - 3] + "...",
    }


def _before(data: Mapping[str, Any], key: str) -> str:
    quantity: Any = data
    for part in key.split("."):
        quantity = quantity[part]
    unit = "" if quantity["unit"] in ("name", "names", "1") else f" {quantity['unit']}"
    return f"{as_text(quantity['value'])}{unit} ({quantity['source']}: {quantity['note']})"


def _warnings(
    new: Mapping[str, Any], given: Mapping[str, Any], changed: set[str]
) -> tuple[str, ...]:
    """One sentence on all figures that nobody can say how they would change."""
    kept: list[str] = []
    causes: dict[str, None] = {}
    for key in new:
        found = [cause for cause in unknown(key, new) if cause in changed]
        if found and key not in given:
            kept.append(key)
            causes.update(dict.fromkeys(found))
    if not kept:
        return ()
    stay = "stays as it was" if len(kept) == 1 else "stay as they were"
    return (
        f"{_listed(kept)} {stay}, for nothing says how a change of {_listed(list(causes))} moves "
        "such a figure: set it too if you know",
    )


def _listed(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
