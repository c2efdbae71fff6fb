"""The ONNX tensors that a program holds: where they are, and what their tokens stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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

    def decode(self, tokens: Mapping[int, Array]) -> npt.NDArray[np.float64]:
        """The tensor that tokens of its channels stand for."""
        parts = [tokens[channel] for channel in self.channels[self.finest]]
        whole = np.concatenate(parts, axis=2).astype(np.float64) * self._unit(parts)
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
            whole = moved.reshape(len(moved), -1, size) / self._unit(parts)
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


def held_tensors(image: Image) -> tuple[HeldTensor, ...]:
    """The ONNX tensors that a program states to hold, in the order of its layers.

    Raises:
        ProgramError: the program states none, or they do not fit its channels.
    """
    entries = image.origin.get("tensors")
    if not entries:
        raise ProgramError(
            "the program does not state which tensors it holds", "compile the model again"
        )
    try:
        found = tuple(_held(entry) for entry in entries)
        for held in found:
            numbers = [channel for part in held.channels.values() for channel in part]
            if not numbers or not all(0 <= n < len(image.code.channels) for n in numbers):
                raise ValueError(f"tensor `{held.name}` has no channels")
    except (KeyError, TypeError, ValueError) as error:
        raise ProgramError("the program's list of tensors is damaged", "compile again") from error
    return found


def _held(entry: Mapping[str, Any]) -> HeldTensor:
    return HeldTensor(
        name=str(entry["tensor"]),
        shape=tuple(entry["shape"]),
        batch_axis=entry["batch_axis"],
        permutation=tuple(entry["permutation"]),
        channels={form: tuple(channels) for form, channels in entry["channels"].items()},
        scale=float(entry["scale"]),
        factors=tuple(entry["factors"]),
        grid=_grid(entry.get("grid")),
    )


def _grid(entry: Any) -> tuple[float, int] | None:
    if entry is None:
        return None
    scale, zero = entry
    return float(scale), int(zero)
