"""Turn what the schema says about a wrong target into one sentence that names the key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from typing import Any

from pydantic import ValidationError

from anacc.errors import TargetError
from anacc.targets import keys

_SAY_WHERE_FROM = "say in `note` where the value comes from"


def shown(value: Any, limit: int = 60) -> str:
    """Return a value as one printable line of at most `limit` characters, for a message."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a deep list
        return "a very long value"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def unknown_key(origin: str, key: str) -> TargetError:
    """Return the error for a key that no target has, with the key that was probably meant."""
    near = keys.suggestion(key)
    hint = "`anacc targets show hermes` lists all keys"
    return TargetError(
        f"{origin}: `{shown(key)}` is not a key of a target",
        f"did you mean `{near}`?" if near else hint,
    )


def invalid(origin: str, error: ValidationError) -> TargetError:
    """Return the error for a target that the schema refuses.

    The sentence explains the first problem and names the keys of the others.
    """
    problems = error.errors(include_url=False)
    key, reason, hint = _explain(problems[0])
    others = sorted({_explain(problem)[0] for problem in problems[1:]} - {key})
    also = f"; also wrong: {', '.join(f'`{other}`' for other in others[:5])}" if others else ""
    also += f" and {len(others) - 5} more" if len(others) > 5 else ""
    return TargetError(f"{origin}: `{key}` {reason}{also}", hint)


def blamed(error: ValidationError) -> str:
    """Return the dotted key that `invalid` names first."""
    return _explain(error.errors(include_url=False)[0])[0]


def _explain(problem: Any) -> tuple[str, str, str | None]:
    """Return (dotted key, reason, hint) of one entry of `ValidationError.errors()`."""
    context = problem.get("ctx", {})
    if problem["type"] == "impossible":
        return context["key"], context["reason"], context["hint"]
    location = [str(part) for part in problem["loc"]]
    key, part = _split(location)
    unit = keys.units().get(key)
    if problem["type"] == "missing":
        if part:
            return key, f"lacks `{part}`", "state value, unit, source and note"
        return key, "is missing", 'add it, or take it over with `inherit = "hermes"`'
    if problem["type"] == "unit":
        reason = f"must be in `{unit}`, not in `{shown(context['given'])}`"
        return key, reason, f"convert the value and state the unit as `{unit}`"
    reason = _reason(problem)
    if part == "source":  # a near spelling would be a guess at where the value comes from
        return key, f"has a `source` that {reason}", f"write {context.get('expected', 'assumed')}"
    if part == "note":
        return key, f"has a `note` that {reason}", _SAY_WHERE_FROM
    if part not in ("", "value"):
        reason = f"has a `{part}` that {reason}"
    elif len(location) > len(key.split(".")) + 1:
        reason = f"has an entry that {reason}"
    return key, reason, _way_out(problem, context, unit)


def _split(location: Sequence[str]) -> tuple[str, str]:
    """Split a location into the key of a quantity and the part of the quantity, if any."""
    for end in range(len(location), 0, -1):
        key = ".".join(location[:end])
        if key in keys.units():
            return key, location[end] if end < len(location) else ""
    return ".".join(location) or "target", ""


def _reason(problem: Any) -> str:
    if problem["type"] == "too_short":
        return "must list at least one entry"
    if problem["type"] == "tuple_type":
        return f"must be a list, not `{_as_toml(problem['input'])}`"
    message = str(problem["msg"])
    text = message[0].lower() + message[1:]
    for prefix in ("input should ", "value should ", "string should "):
        text = text.replace(prefix, "must ", 1) if text.startswith(prefix) else text
    return f"{text}, not `{_as_toml(problem['input'])}`"


def _as_toml(value: Any) -> str:
    """Return a value about as a target file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{shown(value)}"'
    if isinstance(value, date | time):
        return str(value)
    return shown(list(value) if isinstance(value, tuple) else value)


def _way_out(problem: Any, context: Any, unit: str | None) -> str | None:
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        choices = re.findall("'([^']*)'", context["expected"])
        near = keys.nearest(problem["input"], choices)
        return f"did you mean `{near}`?" if near else f"write {context['expected']}"
    if unit is None:
        return None
    return f"state it in `{unit}`; `anacc targets show hermes` gives an example"
