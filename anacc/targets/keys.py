"""The dotted keys of a target file, read off the schema so that they are stated only once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args

from pydantic.fields import FieldInfo

from anacc.targets.quantity import Quantity, Strict, Unit
from anacc.targets.schema import Target


@cache
def units() -> dict[str, str]:
    """Return the unit of each dotted key, in the order of the schema."""
    return dict(_walk(Target, ""))


@cache
def sections() -> frozenset[str]:
    """Return the dotted keys that are tables of keys, such as `gdpu.tanh_table`."""
    parts = [key.split(".") for key in units()]
    return frozenset(".".join(part[:i]) for part in parts for i in range(1, len(part)))


def suggestion(key: str) -> str | None:
    """Return the known dotted key that an unknown one most likely stands for, or None."""
    known = ["inherit", *units(), *sections()]
    parent, _, last = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == parent}
    near = nearest(last, siblings)
    if near is not None:
        return siblings[near]
    near = nearest(key, known)
    if near is not None:
        return near
    # A right name in the wrong section, if only one section has it.
    homes = [k for k in known if k.rpartition(".")[2] == last]
    return homes[0] if len(homes) == 1 else None


def suggestions(key: str) -> list[str]:
    """Return up to three dotted keys of values that an unknown key may stand for, best first."""
    if key in sections():
        return [each for each in units() if each.startswith(f"{key}.")][:3]
    best = suggestion(key)
    found = [best] if best in units() else []
    if best in sections():
        # Right but for the spelling of a section, as in `crosbar.rows`.
        found = [each for each in units() if each == f"{best}.{key.rpartition('.')[2]}"]
    found += get_close_matches(key, units(), n=3, cutoff=0.7)
    return list(dict.fromkeys(found))[:3]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that `word` most likely stands for, letter case aside, or None."""
    by_folded = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def _walk(model: type[Strict], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        if issubclass(inner, Quantity):
            found.append((prefix + name, _unit_of(field)))
        else:
            found.extend(_walk(inner, f"{prefix}{name}."))
    return found


def _model_of(annotation: Any) -> type[Strict]:
    """Return the model of a field, also of an optional one (`ReadMode | None`)."""
    candidates = (annotation, *get_args(annotation))
    return next(c for c in candidates if isinstance(c, type) and issubclass(c, Strict))


def _unit_of(field: FieldInfo) -> str:
    return next(m.symbol for m in field.metadata if isinstance(m, Unit))
