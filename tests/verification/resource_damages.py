"""Programs of which a link, a unit or a channel is wrong."""

from __future__ import annotations

from anacc.program.image import Image
from anacc.program.model import Unit
from tests.verification.damages import damage, received
from tests.verification.edits import (
    instructions,
    stream_named,
    with_channel,
    with_stream,
    with_target,
)


@damage("large", "link", model=False)
def route_removed(image: Image) -> Image:
    return with_channel(image, _partial(image), route=())


@damage("large", "link", model=False)
def route_to_the_wrong_core(image: Image) -> Image:
    channel = _partial(image)
    (link,) = image.code.channels[channel].route
    return with_channel(image, channel, route=(link + 1,))  # another one of the same core, or next


@damage("large", "link", model=False)
def route_with_a_detour(image: Image) -> Image:
    channel = _partial(image)
    return with_channel(image, channel, route=(*image.code.channels[channel].route, 100))


@damage("large", "link", model=False)
def link_slower_than_the_slowest_stage(image: Image) -> Image:
    return with_target(image, "links", "values_per_ns", 0.05)


@damage("recurrent", "link", model=False)
def chunk_on_a_gdpu_of_another_column(image: Image) -> Image:
    number = stream_named(image, "lstm_cell s.h#2")
    return with_stream(image, number, unit=Unit(0, "gdpu", 0))


@damage("recurrent", "unit", model=False)
def more_hidden_units_than_a_gdpu_has(image: Image) -> Image:
    return with_target(image, "gdpu", "hidden_units", 59)


@damage("elementwise", "deadlock", model=False)
def fork_that_fills_up(image: Image) -> Image:
    """The short branch has no room for what the long one must see before it gives anything."""
    number = stream_named(image, "stem rows")
    for send in instructions(image.code.streams[number], "send"):
        assert isinstance(send.operands[0], int)
        image = with_channel(image, send.operands[0], capacity=1)
    return image


@damage("residual", "deadlock", model=False)
def residual_that_fills_up(image: Image) -> Image:
    """A residual of which fewer tokens wait than the windows of the other branch need."""
    number = stream_named(image, "second rows")
    waiting = received(image, number)[-1]
    return with_channel(image, waiting, capacity=4)


def _partial(image: Image) -> int:
    """A channel of partial sums that crosses links."""
    return next(
        number
        for number, channel in enumerate(image.code.channels)
        if channel.route and channel.format.value == "f16"
    )
