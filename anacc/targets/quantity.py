"""One quantity of a target: a value with its unit, the kind of its source, and the reason.

Every leaf of a target file is a `Quantity`.  A field of a section declares the unit it is counted
in with `Unit`, so that a file that states another unit is refused by name instead of being read
as if it had been converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    field_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")

#: Where a value comes from: printed in a publication, computed from printed values, or chosen.
Source = Literal["published", "derived", "assumed"]

SOURCES: tuple[Source, ...] = ("published", "derived", "assumed")

#: How the note begins of a value that a file sets without saying where it comes from.
SET_IN = "set in "

#: How the notes begin of a value that a setting gives, and of one that follows from settings.
SET_BY_USER = "set by the user; before: "
FOLLOWED = "follows from what the user set: "

#: Characters of a note.
MAX_NOTE = 2000

#: Keys of the table that states one quantity in a target file.
QUANTITY_KEYS = ("value", "unit", "source", "note")


class Strict(BaseModel):
    """Base of all parts of a target: immutable, no unknown keys, no conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Quantity(Strict, Generic[T]):
    """A value, its unit, and where it comes from.

    Attributes:
        value: the number, name or tuple of them; lists of a file become tuples.
        unit: the unit of `value`; the field that holds the quantity says which one is right.
        source: `published`, `derived` or `assumed`.
        note: the publication, the derivation, or the reason of the assumption; never empty.
    """

    value: T
    unit: str
    source: Source
    note: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTE)
    ]

    @field_validator("value", mode="before")
    @classmethod
    def _freeze_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Unit:
    """The unit that a quantity field is counted in; put it in the field's `Annotated`."""

    symbol: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, quantity: Quantity[Any]) -> Quantity[Any]:
        if quantity.unit != self.symbol:
            raise PydanticCustomError(
                "unit",
                "Value should be in `{expected}`, not in `{given}`",
                {"expected": self.symbol, "given": quantity.unit},
            )
        return quantity


# Upper bounds below only keep a typing error from becoming a huge allocation or an overflow; they
# lie far above any chip.
LARGEST_COUNT = 65536
Count = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NonNegative = Annotated[float, Field(ge=0, le=1e12)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
