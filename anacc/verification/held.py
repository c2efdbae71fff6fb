"""Tensors of the model that channels of the program hold, as fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Format
from anacc.verification.algebra import Prints
from anacc.verification.structure import host_borders
from anacc.verification.values import Track


@dataclass(frozen=True)
class Holding:
    """A tensor and where its tokens are.

    Attributes:
        channels: side by side, they hold its elements.
        shape: of one sample.
        permutation: of its axes; the tokens are row-major in the permuted tensor.
        axis: of the batch in the whole tensor, or None.
        certain: whether the manifest says so (a border), not only the table of origins.
    """

    channels: tuple[int, ...]
    shape: tuple[int, ...]
    permutation: tuple[int, ...]
    axis: int | None
    certain: bool

    def prints(self, tracks: Mapping[int, Track]) -> Prints | None:
        """The fingerprints of one sample, or None if the tokens do not make such a tensor."""
        parts = []
        for channel in self.channels:
            track = tracks.get(channel)
            if track is None:
                return None
            parts.append(track.read(np.arange(track.tokens, dtype=np.int64), 0, track.size))
        if len({len(part) for part in parts}) != 1:
            return None
        tokens = np.concatenate(parts, axis=1)
        permuted = [self.shape[axis] for axis in self.permutation]
        if tokens.size != int(np.prod(permuted, dtype=np.int64)):
            return None
        return tokens.reshape(permuted).transpose(np.argsort(self.permutation))

    def batched(self, prints: Prints, batch: int) -> Prints:
        """The same with a batch; samples behind the first one have other fingerprints."""
        if self.axis is None:
            return prints
        salt = np.arange(batch, dtype=np.uint64).reshape(-1, *(1,) * prints.ndim)
        return np.moveaxis(prints + salt * np.uint64(0xD1342543DE82EF95), 0, self.axis)


def holdings(image: Image) -> dict[str, list[Holding]]:
    """Where each tensor is held: at borders to the host, and as the table of origins says."""
    found: dict[str, list[Holding]] = {}
    for stream in image.code.streams:
        for way, number in host_borders(image, stream):
            border = image.manifest.borders[number]
            if way == "send" or image.code.channels[border.channel].format is Format.TENSOR:
                continue
            found.setdefault(border.name, []).append(
                Holding(
                    (border.channel,),
                    _without(border.shape, border.batch_axis),
                    border.permutation,
                    border.batch_axis,
                    True,
                )
            )
    for each in image.origin.get("tensors", []):
        for channels in each["channels"].values():
            found.setdefault(each["tensor"], []).append(
                Holding(
                    tuple(channels),
                    _without(each["shape"], each["batch_axis"]),
                    tuple(each["permutation"]),
                    each["batch_axis"],
                    False,
                )
            )
    return found


def _without(shape: tuple[int | None, ...], axis: int | None) -> tuple[int, ...]:
    return tuple(size or 0 for position, size in enumerate(shape) if position != axis)
