"""What the value of each key of a target looks like, read off the schema: to parse it from text,
and to tell a user what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from anacc.targets import keys
from anacc.targets.schema import Target

# Digits are those of ASCII; what is not finite is left to the schema, which refuses it by name.
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|nan)")

SEPARATORS = ("+", ",")
"""Either stands between the entries of a list."""

# Bounds of the schema that only keep typing errors away; no user asks for them.
_NO_BOUND = 1e12


@dataclass(frozen=True)
class Form:
    """The form of a value.

    Attributes:
        kind: `integer`, `number`, `name` or `text`, of an entry where it is a list.
        choices: what may be given; empty: whatever lies in the bounds.
        bounds: in words; empty where there are none.
        is_list: whether the value is a list of such.
    """

    kind: str
    choices: tuple[str, ...]
    bounds: str
    is_list: bool

    def __str__(self) -> str:
        """What is allowed, in words."""
        listed = ", ".join(self.choices)
        if self.is_list:
            return f"list of {listed or f'{self.kind}s {self.bounds}'}"
        return listed or f"{self.kind} {self.bounds}".rstrip()

    def parse(self, text: str) -> Any:
        """Return the value that a text states; bounds and choices are left to the schema.

        Raises:
            ValueError: the text is no such value; the message says why.
        """
        if not self.is_list:
            return self._entry(text)
        separator = next((each for each in SEPARATORS if each in text), ",")
        return tuple(self._entry(entry) for entry in text.split(separator))

    def _entry(self, text: str) -> int | float | str:
        text = text.strip()
        if not text:
            raise ValueError("is empty" if not self.is_list else "has an empty entry")
        if self.kind == "integer":
            if not _WHOLE.fullmatch(text):
                raise ValueError("must be a whole number in decimal digits")
            return int(text)
        if self.kind == "number":
            if not _NUMBER.fullmatch(text):
                raise ValueError("must be a decimal number such as `0.5` or `2e3`")
            return float(text)
        return text


@cache
def forms() -> dict[str, Form]:
    """Return the form of each dotted key, in the order of the schema."""
    return {key: _form(key) for key in keys.units()}


def as_text(value: Any) -> str:
    """Return a value as `Form.parse` reads it; the entries of a list are separated by `+`."""
    match value:
        case tuple() | list():
            return SEPARATORS[0].join(map(as_text, value))
        case float():
            return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case _:
            return str(value)


def _form(key: str) -> Form:
    model: Any = Target
    for part in key.split("."):
        model = _model(model.model_fields[part].annotation)
    field = model.model_fields["value"]
    annotation, bounds = field.annotation, field.metadata
    is_list = get_origin(annotation) is tuple
    if is_list:
        annotation = get_args(annotation)[0]
        # The entry's bounds stand in a field of its own: `Annotated[float, Field(gt=0)]`.
        fields = getattr(annotation, "__metadata__", ())
        bounds = [bound for each in fields for bound in each.metadata]
        annotation = get_args(annotation)[0] if fields else annotation
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        kind = "name" if isinstance(choices[0], str) else "integer"
        return Form(kind, tuple(map(str, choices)), "", is_list)
    kind = {int: "integer", float: "number", str: "text"}[annotation]
    return Form(kind, (), "" if kind == "text" else _in_words(bounds, kind == "integer"), is_list)


def _model(annotation: Any) -> Any:
    """The model of a field, also of an optional one (`ReadMode | None`)."""
    return next((each for each in get_args(annotation) if each is not NoneType), annotation)


def _in_words(bounds: Sequence[Any], whole: bool) -> str:
    """Bounds of pydantic's `Field`, `gt`, `ge` and `le`."""
    above, least, most = (
        next((getattr(each, name) for each in bounds if hasattr(each, name)), None)
        for name in ("gt", "ge", "le")
    )
    if whole:
        return f"from {least if above is None else above + 1} to {most}"
    text = f"above {above}" if least is None else f"from {least} on"
    return text if most is None or most >= _NO_BOUND else f"{text}, at most {most:g}"
