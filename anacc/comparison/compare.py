"""How much each layer of a program loses, against the model in ONNX Runtime (float32).

Two runs of the reference executor tell it: one as the program is, and one in which each tensor,
once it was looked at, is replaced by what it should be, so that every layer gets exact inputs
(rounded to their codes) and its error is its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anacc.comparison.streams import Making, makings
from anacc.comparison.tensors import Array, HeldTensor, held_tensors
from anacc.comparison.watch import Watch
from anacc.errors import FeedError, ProgramError, UsageError
from anacc.metrics import snr_db
from anacc.program.image import Image

if TYPE_CHECKING:
    import onnx

FALL = 3.0  # dB that a tensor must lie below all that it is made of, to have fallen
_SAME = "compare with the model that the program was compiled from"
_AGAIN = "compile the model again"
POOR = 20.0  # dB below which a tensor is poor


@dataclass(frozen=True)
class TensorLoss:
    """What a program makes of one tensor.

    Attributes:
        tensor: ONNX name.
        nodes: the ONNX nodes whose streams make it.
        node: the one of them that makes it in the model, as messages call it; "" if none does.
        snr_db: signal-to-noise ratio against float32, in dB.
        alone_db: the same if all that it is made of were exact: what is lost here.
        fall_db: how far it lies below the worst tensor that it is made of; None for an input.
        clip_rate: share of the conversions of the worst column that exceed the converter; None
            where nothing is converted.
        range_used: the largest conversion of all columns over the converters' range: far below 1,
            their steps are coarse for these sums; above 1, they clip.  None as before.
        core: core of that column, "" where nothing is converted.
        column: that column of the layer's matrix, or None.
        columns: (first, last + 1) columns of its tile, or None.
    """

    tensor: str
    nodes: tuple[str, ...]
    node: str
    snr_db: float
    alone_db: float
    fall_db: float | None
    clip_rate: float | None
    range_used: float | None
    core: str
    column: int | None
    columns: tuple[int, int] | None


@dataclass(frozen=True)
class Comparison:
    """A program beside its model, tensor by tensor.

    Attributes:
        tensors: those that the chip holds, in the order of the layers.
    """

    tensors: tuple[TensorLoss, ...]

    @property
    def culprit(self) -> TensorLoss | None:
        """The first tensor that is poor (below `POOR`) and has fallen (by more than `FALL` below
        all that it is made of); if none is, None."""
        for loss in self.tensors:
            if loss.snr_db < POOR and (loss.fall_db is None or loss.fall_db > FALL):
                return loss
        return None

    def sentence(self) -> str:
        """What the comparison comes to, in one sentence."""
        if not self.tensors:
            return "the chip holds no tensor of the model"
        found = self.culprit
        if found is None:
            worst = min(self.tensors, key=lambda loss: loss.alone_db)
            return (
                f"no layer falls below {POOR:.0f} dB; most is lost at {_named(worst)}, which gives "
                f"{worst.alone_db:.1f} dB from exact inputs"
            )
        text = f"the first to fall is {_named(found)}: {found.snr_db:.1f} dB"
        if found.fall_db is not None:
            text += f", {found.fall_db:.1f} dB below what it is made of"
        if found.clip_rate:
            text += (
                f"; column {found.column} on {found.core} clips in "
                f"{100 * found.clip_rate:.1f} % of its conversions"
            )
        elif found.range_used is not None:
            text += (
                f"; nothing clips, and the sums on {found.core} use "
                f"{100 * found.range_used:.0f} % of the converters' range"
            )
        return text

    def data(self) -> dict[str, Any]:
        """JSON data: `tensors` (attributes of `TensorLoss`; a ratio that is not finite is None),
        `culprit` (the name of a tensor, or None) and `sentence`."""
        found = self.culprit
        return {
            "tensors": [
                {key: _finite(value) for key, value in asdict(loss).items()}
                for loss in self.tensors
            ],
            "culprit": None if found is None else found.tensor,
            "sentence": self.sentence(),
        }


def compare(
    image: Image, model: str | os.PathLike[str] | onnx.ModelProto, feed: Mapping[str, Array]
) -> Comparison:
    """Run a program and its model on a feed, and compare every tensor that the chip holds.

    Args:
        image: the program.
        model: what it was compiled from.
        feed: an array for each input; a few samples are enough.

    Raises:
        ModelError: the model cannot be read.
        FeedError: the feed does not fit.
        ProgramError: the program cannot run, or does not state which tensors it holds.
        UsageError: the model lacks a tensor that the program holds, or has another in its place.
    """
    from anacc.frontend import import_model
    from anacc_runtime.reference import Executor

    tensors = held_tensors(image)
    sizes = image.manifest.options.get("shapes", {})
    path = Path(model) if isinstance(model, os.PathLike) else model
    source = import_model(path, shapes=sizes, sample=feed).source
    for held in tensors:
        if held.name not in source.types:
            raise UsageError(
                f"the model has no tensor `{held.name}`, which the program holds", _SAME
            )
    computed = source.activations(feed, tuple(held.name for held in tensors))
    for held in tensors:
        shape = np.shape(computed[held.name])
        if not held.fits(shape):
            raise UsageError(f"tensor `{held.name}` of the model has another shape, {shape}", _SAME)
    if not all(np.size(array) for array in computed.values()):
        raise FeedError("the feed has no samples", "give a few")
    wanted: dict[str, Array] = {held.name: held.real(computed[held.name]) for held in tensors}
    as_is = Watch.of(tensors)
    Executor(image, observer=as_is).run(feed)
    found = as_is.held()
    _check(image, tensors, found)
    exact: dict[int, Array] = {}
    for held in tensors:
        exact |= held.encode(np.asarray(wanted[held.name]), found)
    alone = Watch(as_is.channels, exact)
    Executor(image, observer=alone).run(feed)
    figures = [
        [snr_db(wanted[held.name], held.decode(seen)) for held in tensors]
        for seen in (found, alone.held())
    ]
    made = makings(image, tensors)
    makers = {result: node.name for node in source.model.graph.node for result in node.output}
    return Comparison(
        tuple(
            _loss(
                image,
                held,
                making,
                makers.get(held.name),
                figures[0][k],
                figures[1][k],
                figures[0],
                as_is,
            )
            for k, (held, making) in enumerate(zip(tensors, made, strict=True))
        )
    )


def _check(image: Image, tensors: Sequence[HeldTensor], tokens: Mapping[int, Array]) -> None:
    """Refuse what a program states of itself and does not keep.

    Raises:
        ProgramError: tensors are larger or smaller than their tokens, or nodes of streams missing.
    """
    for held in tensors:
        size = math.prod(n or 1 for k, n in enumerate(held.shape) if k != held.batch_axis)
        for channels in held.channels.values():
            shapes = [tokens[channel].shape for channel in channels]
            if sum(count * width for _, count, width in shapes) != size:
                raise ProgramError(f"tensor `{held.name}` does not fit its channels", _AGAIN)
    streams = image.origin.get("streams")
    if not isinstance(streams, list) or len(streams) != len(image.code.streams):
        raise ProgramError("the program does not state the nodes of its streams", _AGAIN)
    if not all(
        isinstance(each, list) and all(isinstance(n, str) for n in each) for each in streams
    ):
        raise ProgramError("the program's list of nodes is damaged", _AGAIN)


def _loss(
    image: Image,
    held: HeldTensor,
    making: Making,
    maker: str | None,
    snr: float,
    alone: float,
    ratios: Sequence[float],
    watch: Watch,
) -> TensorLoss:
    streams: list[list[str]] = image.origin["streams"]
    nodes = dict.fromkeys(node for stream in making.streams for node in streams[stream])
    before = [ratios[source] for source in making.sources]
    worst: tuple[float, int, int] | None = None
    for stream in making.streams:
        shares = watch.shares(stream)
        if shares.size and (worst is None or shares.max() > worst[0]):
            worst = (float(shares.max()), stream, int(shares.argmax()))
    core, (first, last) = ("", (0, 0)) if worst is None else _place(image, worst[1])
    return TensorLoss(
        tensor=held.name,
        nodes=tuple(nodes),
        node=maker if maker in nodes else next(reversed(nodes), ""),
        snr_db=snr,
        alone_db=alone,
        fall_db=min(before) - snr if before else None,
        clip_rate=None if worst is None else worst[0],
        range_used=None if worst is None else max(watch.peak[k] for k in making.streams),
        core=core,
        column=None if worst is None else first + worst[2],
        columns=None if worst is None else (first, last),
    )


def _place(image: Image, stream: int) -> tuple[str, tuple[int, int]]:
    """The core of the tile of a stream, and the (first, last + 1) columns of its layer's matrix.

    Raises:
        ProgramError: the mapper's notes are damaged.
    """
    try:
        numbers = [unit["stream"] for unit in image.mapping["units"] if unit["kind"] == "tile"]
        tile = image.mapping["tiles"][numbers.index(stream)]
        first, last = tile["weight_columns"]
        return str(tile["core"]), (int(first), int(last))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ProgramError("the program's mapping is damaged", _AGAIN) from error


def _named(loss: TensorLoss) -> str:
    return f"node `{loss.node}`" if loss.node else f"input `{loss.tensor}`"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
