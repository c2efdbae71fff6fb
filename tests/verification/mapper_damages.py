"""Programs with copies, chips, rounds and cut columns that are wrong in one way each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anacc.program.image import Image
from anacc.program.model import Access, Instr, Loop, Node, Slice, Unit
from tests.verification.damages import damage, received
from tests.verification.edits import (
    instructions,
    rewritten,
    stream_named,
    with_body,
    with_channel,
    with_operand,
    with_stream,
    without_last_position,
)

# Copies.


@damage("copied", "flow")
def merge_takes_copies_in_another_order(image: Image) -> Image:
    number = stream_named(image, "merge r3")
    first, second = (received(image, number)[place] for place in (0, 1))

    def swap(channel: Any) -> Any:
        return {first: second, second: first}.get(channel, channel)

    return with_operand(image, number, "recv", 1, swap)


@damage("copied", "flow")
def copy_does_the_positions_of_another(image: Image) -> Image:
    """As many products as ever, some positions twice and some not at all."""
    first = stream_named(image, "gather r3.window.copy0")
    second = stream_named(image, "gather r3.window.copy1")
    bases = [
        access.base
        for load in instructions(image.code.streams[first], "load")
        for access in [load.operands[1]]
        if isinstance(access, Access)
    ]

    def change(access: Access) -> Access:
        return replace(access, base=bases[0])

    return with_operand(image, second, "load", 1, change)


@damage("shared", "coverage", model=False)
def copy_leaves_a_position_out(image: Image) -> Image:
    """The result before stands for it, so that the merge still gets all tokens."""
    number = stream_named(image, "second rows 36:72 columns 0:8 copy 1")
    return without_last_position(image, number)


@damage("shared", "coverage", model=False)
def copy_holds_another_block_of_its_layer(image: Image) -> Image:
    """All copies of a tile share one weight block, but one has that of another row tile."""
    number = stream_named(image, "second rows 36:72 columns 0:8 copy 1")
    return with_operand(image, number, "program", 0, _block(image, "second rows 0:36"))


@damage("copied", "coverage")
def copy_holds_the_block_of_another_layer(image: Image) -> Image:
    number = stream_named(image, "second rows 0:72 columns 0:8 copy 3")
    return with_operand(image, number, "program", 0, _block(image, "first rows"))


@damage("few", "deadlock", model=False)
def merge_with_too_little_room(image: Image) -> Image:
    """The residual waits for the windows of the other branch, which wait for more of the merge."""
    for number in _sent(image, "merge r1"):
        image = with_channel(image, number, capacity=4)
    return image


@damage("residual", "order", model=False)
def rows_before_a_window_too_few(image: Image) -> Image:
    """Row by row, a window needs two rows ahead, but only one is stored before the first."""
    number = stream_named(image, "r1.window")

    def stored(loop: Node, rows: int, count: int) -> Loop:
        """A loop of stores that begins so many rows later."""
        if not isinstance(loop, Loop):
            raise TypeError(loop)

        def move(instr: Instr) -> list[Node]:
            address, part = instr.operands
            assert isinstance(address, Access)
            return [Instr("store", (replace(address, base=address.base + rows * 30), part))]

        body = rewritten(loop.body, lambda each: move(each) if each.op == "store" else [each])
        return replace(loop, body=body, count=count)

    def change(body: tuple[Node, ...]) -> tuple[Node, ...]:
        ahead, first, steady, last = body
        assert isinstance(steady, Loop)
        return (
            stored(ahead, 0, 1),
            first,
            stored(steady, -1, steady.count),
            stored(ahead, 7, 1),
            last,
        )

    return with_body(image, number, change)


@damage("copied", "order", model=False)
def step_of_a_copy_too_small(image: Image) -> Image:
    """A copy of every third row reads its window before the last of the three rows is stored."""
    number = stream_named(image, "gather r2.window.copy1")

    def change(body: tuple[Node, ...]) -> tuple[Node, ...]:
        ahead, first, steady = body
        if not isinstance(steady, Loop):
            raise TypeError(steady)
        rows, windows = steady.body
        if not isinstance(rows, Loop):
            raise TypeError(rows)

        def move(instr: Instr) -> list[Node]:
            address, part = instr.operands
            assert isinstance(address, Access)
            base = address.base + 2 * address.strides[1]
            later = replace(address, base=base, strides=(address.strides[0], address.strides[2]))
            return [Instr("store", (later, part))]

        row = rows.body[0]
        assert isinstance(row, Loop)
        late = rewritten((row,), lambda each: move(each) if each.op == "store" else [each])
        return (
            ahead,
            first,
            replace(steady, body=(replace(rows, count=2), windows, *late)),
        )

    return with_body(image, number, change)


# Chips.


@damage("chained", "link", model=False)
def link_between_chips_missing(image: Image) -> Image:
    return with_channel(image, _between_chips(image), route=())


@damage("chained", "link", model=False)
def link_between_chips_backwards(image: Image) -> Image:
    channel = _between_chips(image)
    (link,) = image.code.channels[channel].route
    return with_channel(image, channel, route=(link + 1,))


@damage("chained", "link", model=False)
def link_of_another_chip(image: Image) -> Image:
    """A transfer on the second chip over the link of the first one that has the same place."""
    channel = next(
        number
        for number, each in enumerate(image.code.channels)
        if each.route and each.format.value == "f16"
    )
    (link,) = image.code.channels[channel].route
    return with_channel(image, channel, route=(link % 6,))


@damage("chained", "link", model=False, loads=False)
def unit_of_another_chip(image: Image) -> Image:
    """A stream on a chip that its inputs and results do not go to."""
    number = stream_named(image, "last rows 64:128")
    return with_stream(image, number, unit=Unit(1, "core", 1))


@damage("chained", "unit", model=False, loads=False)
def unit_of_no_chip(image: Image) -> Image:
    number = stream_named(image, "last rows 64:128")
    return with_stream(image, number, unit=Unit(5000, "core", 1))


# Rounds.


@damage("rounds", "order", model=False, loads=False)
def weights_installed_a_round_too_early(image: Image) -> Image:
    """The stream of the round before installs them beside its own."""
    number, before = stream_named(image, "last rows 192"), stream_named(image, "last rows 64")
    program, *rest = image.code.streams[number].body
    image = with_body(image, before, lambda body: (program, *body))
    return with_body(image, number, lambda body: tuple(rest))


@damage("rounds", "crossbar", model=False, loads=False)
def blocks_of_two_rounds_in_one(image: Image) -> Image:
    number = stream_named(image, "last rows 128:192")
    return with_stream(image, number, round=3)


@damage("rounds", "order", model=False, loads=False)
def channel_to_an_earlier_round(image: Image) -> Image:
    number = stream_named(image, "grouped rows 0:36")
    return with_stream(image, number, round=4)


# Columns cut anew.


@damage("regrouped", "coverage", model=False)
def partial_sums_regrouped_in_another_order(image: Image) -> Image:
    """Each part gets columns from another place of the token."""
    number = stream_named(image, "regroup r.partial")
    sends = instructions(image.code.streams[number], "send")
    parts = [send.operands[1] for send in sends]
    assert all(isinstance(part, Slice) for part in parts)
    total = max(part.offset + part.length for part in parts if isinstance(part, Slice))

    def turn(instr: Instr) -> list[Node]:
        if instr.op != "send":
            return [instr]
        channel, part = instr.operands
        assert isinstance(part, Slice)
        moved = replace(part, offset=total - part.offset - part.length)
        return [Instr("send", (channel, moved))]

    return with_body(image, number, lambda body: rewritten(body, turn))


@damage("regrouped", "coverage", model=False)
def partial_sums_regrouped_twice(image: Image) -> Image:
    """One part gets columns that another one has too."""
    number = stream_named(image, "regroup r.partial")

    def first(part: Slice) -> Slice:
        return replace(part, offset=0)

    return with_operand(image, number, "send", 1, first)


@damage("regrouped", "flow")
def codes_regrouped_in_another_order(image: Image) -> Image:
    number = stream_named(image, "regroup r.i8")

    def turn(part: Slice) -> Slice:
        return replace(part, offset=26 if part.offset == 0 else 0)

    return with_operand(image, number, "send", 1, turn)


def _block(image: Image, text: str) -> int:
    """The weight block of a tile."""
    (program,) = instructions(image.code.streams[stream_named(image, text)], "program")
    assert isinstance(program.operands[0], int)
    return program.operands[0]


def _sent(image: Image, text: str) -> list[int]:
    """The channels that a stream writes."""
    sends = instructions(image.code.streams[stream_named(image, text)], "send")
    return [each for each in dict.fromkeys(send.operands[0] for send in sends) if type(each) is int]


def _between_chips(image: Image) -> int:
    """The channel from the first chip to the second one."""
    return next(
        number
        for number, channel in enumerate(image.code.channels)
        if channel.route and channel.route[0] == 30
    )
