"""The ONNX tensors that a program holds: where they are, and what their tokens stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from anacc.errors import ProgramError
from anacc.program.image import Image
from anacc_runtime import arithmetic

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class HeldTensor:
    """An ONNX tensor of a program, as its member `origin` states it.

    Attributes:
        name: the ONNX tensor.
        shape: sizes of its axes; None for a symbolic batch.
        batch_axis: position of the batch, or None.
        permutation: of the other axes, in the order in which tokens hold the elements.
        channels: for each format (`i8`, `f16`), the channels whose tokens lie side by side.
        scale: real value of one unit of an element.
        zero: the code that stands for 0.
        factors: what the elements of a token are multiplied by, one for each; (): by 1.
        grid: scale and zero point of a tensor of integers, of which the program holds the real
            numbers that they stand for; None where the tensor holds real numbers itself.
    """

    name: str
    shape: tuple[int | None, ...]
    batch_axis: int | None
    permutation: tuple[int, ...]
    channels: Mapping[str, tuple[int, ...]]
    scale: float
    zero: int
    factors: tuple[float, ...]
    grid: tuple[float, int] | None = None

    def real(self, tensor: Array) -> Array:
        """What the program should hold, given the tensor of the model."""
        if self.grid is None:
            return tensor
        scale, zero = self.grid
        return ((tensor.astype(np.float64) - zero) * scale).astype(np.float32)

    @property
    def finest(self) -> str:
        """The most exact format that exists."""
        return "f16" if "f16" in self.channels else "i8"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of a shape is this one."""
        return len(shape) == len(self.shape) and all(
            own in (None, size) for own, size in zip(self.shape, shape, strict=True)
        )

    def decode(self, tokens: Mapping[int, Array]) -> npt.NDArray[np.float64]:
        """The tensor that tokens of its channels stand for."""
        parts = [tokens[channel] for channel in self.channels[self.finest]]
        elements = np.concatenate(parts, axis=2).astype(np.float64)
        whole = (elements - self.zero) * self._unit(parts)
        sizes = [size or 1 for axis, size in enumerate(self.shape) if axis != self.batch_axis]
        moved = whole.reshape(len(whole), *(sizes[axis] for axis in self.permutation))
        inverse = np.argsort(self.permutation).tolist()
        samples = moved.transpose(0, *(axis + 1 for axis in inverse))
        return samples[0] if self.batch_axis is None else np.moveaxis(samples, 0, self.batch_axis)

    def encode(self, tensor: Array, tokens: Mapping[int, Array]) -> dict[int, Array]:
        """What all channels would hold if the tensor were exact.

        Args:
            tensor: in real values.
            tokens: what the channels hold, for the shapes.
        """
        samples = tensor[np.newaxis]
        if self.batch_axis is not None:
            samples = np.moveaxis(tensor, self.batch_axis, 0)
        moved = samples.transpose(0, *(axis + 1 for axis in self.permutation))
        found: dict[int, Array] = {}
        for form, channels in self.channels.items():
            parts = [tokens[channel] for channel in channels]
            size = sum(part.shape[2] for part in parts)
            whole = moved.reshape(len(moved), -1, size) / self._unit(parts) + self.zero
            rounded = whole.astype(np.float32)
            held = arithmetic.code(rounded) if form == "i8" else arithmetic.h(rounded)
            first = 0
            for channel, part in zip(channels, parts, strict=True):
                last = first + part.shape[2]
                found[channel] = np.broadcast_to(held[:, :, first:last], part.shape)
                first = last
        return found

    def _unit(self, parts: list[Array]) -> npt.NDArray[np.float64]:
        """Real value of one unit of each element of a token."""
        size = sum(part.shape[2] for part in parts)
        return self.scale * np.asarray(self.factors or (1.0,) * size, np.float64)


class _Entry(BaseModel):
    """A tensor as the member `origin` states it: anyone can edit a program file."""

    model_config = ConfigDict(strict=True, extra="ignore")

    tensor: str
    shape: list[Annotated[int, Field(ge=1)] | None]
    batch_axis: int | None
    permutation: list[int]
    channels: dict[Literal["i8", "f16"], list[int]] = Field(min_length=1)
    scale: float = Field(gt=0, allow_inf_nan=False)
    zero: int
    factors: list[float]
    grid: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None


def held_tensors(image: Image) -> tuple[HeldTensor, ...]:
    """The ONNX tensors that a program states to hold, in the order of its layers.

    Raises:
        ProgramError: the program states nothing of them, or they do not fit its channels.
    """
    entries = image.origin.get("tensors")
    if entries is None:
        raise ProgramError(
            "the program does not state which tensors it holds", "compile the model again"
        )
    try:
        return tuple(_held(image, _Entry.model_validate(entry)) for entry in entries)
    except (TypeError, ValueError) as error:  # pydantic's errors are such
        raise ProgramError("the program's list of tensors is damaged", "compile again") from error


def _held(image: Image, entry: _Entry) -> HeldTensor:
    """The tensor of an entry.

    Raises:
        ValueError: its parts do not fit together, or not to the channels.
    """
    axis = entry.batch_axis
    if axis is not None and not 0 <= axis < len(entry.shape):
        raise ValueError("it has no such batch axis")
    sizes = [size for k, size in enumerate(entry.shape) if k != axis]
    if None in sizes or sorted(entry.permutation) != list(range(len(sizes))):
        raise ValueError("its axes do not fit its shape")
    for form, numbers in entry.channels.items():
        if not numbers or not all(0 <= n < len(image.code.channels) for n in numbers):
            raise ValueError("it has no channels")
        parts = [image.code.channels[n] for n in numbers]
        width = sum(part.token_size for part in parts)
        if any(part.format.value != form for part in parts):
            raise ValueError("its channels are of another format")
        if len(entry.factors) not in (0, width):
            raise ValueError("its factors do not fit its tokens")
    return HeldTensor(
        name=entry.tensor,
        shape=tuple(entry.shape),
        batch_axis=axis,
        permutation=tuple(entry.permutation),
        channels={str(form): tuple(numbers) for form, numbers in entry.channels.items()},
        scale=entry.scale,
        zero=entry.zero,
        factors=tuple(entry.factors),
        grid=None if entry.grid is None else (float(entry.grid[0]), int(entry.grid[1])),
    )
