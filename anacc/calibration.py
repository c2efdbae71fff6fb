"""Feeds for calibration: as a caller gave them, or all steps of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import FeedError
from anacc.feeds import feed_name
from anacc.frontend.source import SourceModel
from anacc.host_values import as_array, is_tensor, mismatch
from anacc.program.manifest import Port
from anacc.streaming import steps

Feed = Mapping[str, npt.NDArray[Any]]


def first_steps(feeds: Sequence[Feed], states: Mapping[str, str]) -> Sequence[Feed]:
    """The first feed, or the first step of the first stream.

    Raises:
        FeedError: there is no step.
    """
    if not states or not feeds:
        return feeds
    first: dict[str, Any] = dict(feeds[0])
    for name, value in feeds[0].items():
        if name in states or not (isinstance(value, list) or np.ndim(value)):
            continue
        if not len(value):
            raise FeedError(f"{feed_name(1, feeds[0])}: input `{name}` has no step")
        first[name] = value[0]
    return [first]


def prepared(
    feeds: Sequence[Feed],
    source: SourceModel,
    inputs: tuple[Port, ...],
    states: Mapping[str, str],
) -> list[Feed]:
    """The feeds that a model calibrates with, each an array for each input.

    Args:
        feeds: as given; with states, each is a stream, see `anacc.streaming`.
        source: the model.
        inputs: of the model.
        states: for inputs that are states the name of the output that feeds them.

    Raises:
        FeedError: a feed or stream does not fit the model.
    """
    found = [_stacked(feed, inputs) for feed in feeds]
    if states:
        found = [feed for each in found for feed in _fed_back(each, source, inputs, states)]
    _check_feeds(found, source, inputs)
    return found


def _stacked(feed: Feed, inputs: tuple[Port, ...]) -> Feed:
    """The feed with an array in place of a list of arrays where the model takes a tensor."""
    lists = {
        port.name: as_array(feed[port.name])
        for port in inputs
        if is_tensor(port.dtype) and isinstance(feed.get(port.name), list)
    }
    return {**feed, **lists} if lists else feed


def _fed_back(
    stream: Feed, source: SourceModel, inputs: tuple[Port, ...], states: Mapping[str, str]
) -> list[Feed]:
    """The feeds of all steps of a stream; ONNX Runtime computes the states.

    Raises:
        FeedError: the stream does not fit the model.
    """
    wanted = tuple(dict.fromkeys(states.values()))
    return [
        feed
        for feed, _ in steps(lambda feed: source.activations(feed, wanted), stream, inputs, states)
    ]


def _check_feeds(feeds: Sequence[Feed], source: SourceModel, inputs: tuple[Port, ...]) -> None:
    """Refuse a feed that does not fit the model.

    Raises:
        FeedError: naming the feed by its number, and the input.
    """
    for number, feed in enumerate(feeds, 1):
        try:
            source.check(feed)
        except FeedError as error:
            raise FeedError(f"{feed_name(number, feed)}: {error.message}", error.hint) from None
        for port in inputs:
            reason = mismatch(feed[port.name], port.dtype)
            if reason is not None:
                raise FeedError(f"{feed_name(number, feed)}: input `{port.name}` {reason}")
            shape = feed[port.name].shape if is_tensor(port.dtype) else ()
            if any(
                size not in (None, given) for size, given in zip(port.shape, shape, strict=True)
            ):
                wanted = ", ".join("N" if size is None else str(size) for size in port.shape)
                raise FeedError(
                    f"{feed_name(number, feed)}: input `{port.name}` has shape {shape}, "
                    f"not ({wanted})"
                )
