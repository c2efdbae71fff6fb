"""The table of origins as the verifier relies on it: its form is checked before anything else.

The loader takes it for any JSON data, for programs run without it.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from anacc.errors import ProgramError
from anacc.program.image import Image

MOST_ELEMENTS = 2**40  # of a tensor
MOST_ROWS = 2**16  # of a block: no target may have a larger crossbar

_Edge = Annotated[int, Field(ge=0, lt=2**31)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Block(_Part):
    """Where a weight block comes from."""

    layer: str
    nodes: list[str]
    rows: Annotated[list[_Edge], Field(min_length=2, max_length=2)]
    columns: Annotated[list[_Edge], Field(min_length=2, max_length=2)]
    correction: list[FiniteFloat] = []

    @model_validator(mode="after")
    def _ends(self) -> Self:
        for first, last in (self.rows, self.columns):
            if not 0 < last - first <= MOST_ROWS:
                raise ValueError(f"a region from {first} to {last}")
        if self.correction and len(self.correction) != self.columns[1] - self.columns[0]:
            raise ValueError("the corrections are not as many as the columns")
        return self


class _Tensor(_Part):
    """Which channels hold a tensor."""

    tensor: str
    shape: list[_Edge | None]  # None: the batch, where it is open
    batch_axis: int | None
    permutation: list[int]
    channels: dict[str, Annotated[list[_Edge], Field(min_length=1)]]
    scale: Annotated[FiniteFloat, Field(gt=0)]
    zero: int
    factors: list[Annotated[FiniteFloat, Field(gt=0)]]

    @model_validator(mode="after")
    def _axes(self) -> Self:
        rank = len(self.shape)
        if self.batch_axis is not None and not 0 <= self.batch_axis < rank:
            raise ValueError("the batch axis is none of the axes")
        if sorted(self.permutation) != list(range(rank - (self.batch_axis is not None))):
            raise ValueError("the permutation is none of the axes without the batch")
        sizes = [size for axis, size in enumerate(self.shape) if axis != self.batch_axis]
        if None in sizes or math.prod(size or 0 for size in sizes) > MOST_ELEMENTS:
            raise ValueError("the shape is open or too large")
        return self


class _Origin(_Part):
    streams: list[list[str]] = []
    weights: list[_Block] = []
    tensors: list[_Tensor] = []


def check_origin(image: Image) -> None:
    """Check the table of origins.

    Raises:
        ProgramError: it does not have the form that compiled programs have.
    """
    try:
        origin = _Origin.model_validate(image.origin)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = " ".join(str(first["msg"]).split())
        raise _fault(f"`{place}`: {reason}") from None
    for number, (each, block) in enumerate(zip(origin.weights, image.code.weights, strict=False)):
        rows, columns = (last - first for first, last in (each.rows, each.columns))
        if columns != block.columns or block.rows % rows:
            raise _fault(f"weight block {number} does not have the size of its region")
    for tensor in origin.tensors:
        for channels in tensor.channels.values():
            if max(channels) >= len(image.code.channels):
                raise _fault(f"tensor {tensor.tensor!r} is in channels that do not exist")


def _fault(reason: str) -> ProgramError:
    return ProgramError(f"the table of origins is damaged: {reason}", "compile the model again")
