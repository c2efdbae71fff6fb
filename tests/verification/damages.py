"""Programs that are wrong in one way each, made from good ones.

Most of them are well formed: the loader has no reason to refuse them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Access, Const, Instr, Node, Slice
from tests.verification.edits import (
    instructions,
    stream_named,
    with_body,
    with_codes,
    with_constants,
    with_instructions,
    with_operand,
    with_origin,
    with_stream,
    without_last_position,
)


@dataclass(frozen=True)
class Damage:
    """A way to break a program.

    Attributes:
        network: which of `networks`.
        kind: the property that then does not hold.
        apply: breaks the program.
        model: whether only the model shows it.
        loads: whether the loader has no objection.
    """

    network: str
    kind: str
    apply: Callable[[Image], Image]
    model: bool = True
    loads: bool = True


DAMAGES: dict[str, Damage] = {}


def damage(
    network: str, kind: str, *, model: bool = True, loads: bool = True
) -> Callable[[Callable[[Image], Image]], Callable[[Image], Image]]:
    def add(apply: Callable[[Image], Image]) -> Callable[[Image], Image]:
        DAMAGES[apply.__name__] = Damage(network, kind, apply, model, loads)
        return apply

    return add


# Weights.


@damage("large", "weights")
def weight_blocks_swapped(image: Image) -> Image:
    weights = list(image.weights)
    weights[0], weights[1] = weights[1], weights[0]
    return replace(image, weights=weights)


@damage("large", "weights")
def weight_code_off_by_one(image: Image) -> Image:
    def change(codes: Any) -> Any:
        codes[17, 3] += 1 if codes[17, 3] < 100 else -1
        return codes

    return with_codes(image, 2, change)


@damage("residual", "weights")
def weight_beside_a_group(image: Image) -> Image:
    def change(codes: Any) -> Any:
        codes[0, -1] = 1  # a row of the first group, a column of the last
        return codes

    return with_codes(image, 2, change)


@damage("large", "weights")
def weights_transposed(image: Image) -> Image:
    return with_codes(image, 0, lambda codes: codes.T)


# The table of origins.


@damage("large", "weights")
def origins_swapped(image: Image) -> Image:
    def change(origin: dict[str, Any]) -> None:
        first, second = origin["weights"][0], origin["weights"][1]
        first["rows"], second["rows"] = second["rows"], first["rows"]

    return with_origin(image, change)


@damage("large", "coverage", model=False)
def origin_says_a_region_twice(image: Image) -> Image:
    def change(origin: dict[str, Any]) -> None:
        origin["weights"][1]["rows"] = list(origin["weights"][0]["rows"])

    return with_origin(image, change)


@damage("residual", "flow")
def origin_names_another_tensor(image: Image) -> Image:
    def change(origin: dict[str, Any]) -> None:
        held = {each["tensor"]: each for each in origin["tensors"]}
        held["r1"]["channels"], held["r2"]["channels"] = (
            held["r2"]["channels"],
            held["r1"]["channels"],
        )

    return with_origin(image, change)


# Partial sums.


@damage("large", "flow")
def row_tile_dropped(image: Image) -> Image:
    """The second row tile passes on the partial sum of the first one in place of its own."""
    return with_instructions(
        image,
        stream_named(image, "wide rows 200:400 columns 0:200"),
        "add",
        lambda add: [Instr("copy", (add.operands[0], add.operands[2]))],
    )


@damage("large", "flow")
def row_tile_counted_twice(image: Image) -> Image:
    return with_instructions(
        image,
        stream_named(image, "wide rows 200:400 columns 0:200"),
        "add",
        lambda add: [add, add],
    )


@damage("large", "coverage", model=False)
def partial_sum_of_another_column_tile(image: Image) -> Image:
    left = stream_named(image, "wide rows 200:400 columns 0:200")
    right = stream_named(image, "wide rows 200:400 columns 200:400")
    channels = [received(image, each)[-1] for each in (left, right)]
    for number, channel in ((left, channels[1]), (right, channels[0])):
        image = _receiving(image, number, "f16", channel)
    return image


# Products.


@damage("residual", "crossbar", model=False)
def converter_settings_of_no_chip(image: Image) -> Image:
    adcs = tuple(replace(adc, multiplier=adc.multiplier + 999) for adc in image.code.adcs)
    return replace(image, code=replace(image.code, adcs=adcs))


@damage("large", "flow")
def product_one_row_too_low(image: Image) -> Image:
    def rewrite(mvm: Instr) -> list[Node]:
        result, source, row, *rest = mvm.operands
        if not (isinstance(source, Slice) and isinstance(row, int)):
            raise TypeError(mvm)
        shorter = Slice(source.register, source.offset, source.length - 1)
        return [Instr("mvm", (result, shorter, row + 1, *rest))]

    return with_instructions(image, stream_named(image, "wide rows 0:200"), "mvm", rewrite)


@damage("residual", "coverage")
def last_position_left_out(image: Image) -> Image:
    """The result of the last but one position stands for the last one too."""
    return without_last_position(image, stream_named(image, "first rows"))


@damage("residual", "crossbar", model=False, loads=False)
def regions_overlap(image: Image) -> Image:
    first, second = stream_named(image, "first rows"), stream_named(image, "second rows")
    return with_stream(image, second, unit=image.code.streams[first].unit)


@damage("residual", "order", model=False, loads=False)
def product_before_its_weights(image: Image) -> Image:
    number = stream_named(image, "last rows")
    return with_body(image, number, lambda body: (*body[1:], body[0]))


# Data movement.


@damage("residual", "flow")
def window_transposed(image: Image) -> Image:
    def turn(access: Access) -> Access:
        down, right, *rest = access.dims
        return replace(access, dims=(right, down, *rest))

    return with_operand(image, stream_named(image, "r1.window"), "load", 1, turn)


@damage("residual", "flow")
def window_shifted(image: Image) -> Image:
    """Windows of the rows in the middle lie one position to the right."""

    def shift(access: Access) -> Access:
        return replace(access, base=access.base + 3) if len(access.strides) == 2 else access

    return with_operand(image, stream_named(image, "r1.window"), "load", 1, shift)


@damage("residual", "flow")
def window_dilated(image: Image) -> Image:
    def spread(access: Access) -> Access:
        (rows, pitch), (columns, step), *rest = access.dims
        return replace(access, dims=((rows, pitch), (columns, 0 * step), *rest))

    return with_operand(image, stream_named(image, "p2.i8"), "load", 1, spread)


@damage("residual", "flow")
def position_done_twice(image: Image) -> Image:
    """Each row of windows is that of its first position, again and again."""

    def stay(access: Access) -> Access:
        return replace(access, strides=(*access.strides[:-1], 0))

    return with_operand(image, stream_named(image, "r3.window"), "load", 1, stay)


@damage("large", "flow")
def parts_of_a_token_swapped(image: Image) -> Image:
    number = stream_named(image, "regrouped")
    sent = [send.operands[0] for send in instructions(image.code.streams[number], "send")]

    def swap(channel: Any) -> Any:
        return {sent[0]: sent[1], sent[1]: sent[0]}.get(channel, channel)

    return with_operand(image, number, "send", 0, swap)


@damage("residual", "order", model=False)
def loads_before_stores(image: Image) -> Image:
    def turn(body: tuple[Node, ...]) -> tuple[Node, ...]:
        return (*body[1:], body[0])

    return with_body(image, stream_named(image, "f.i8"), turn)


@damage("residual", "order", model=False, loads=False)
def element_stored_twice(image: Image) -> Image:
    def same(access: Access) -> Access:
        return replace(access, strides=(*access.strides[:-1], 0))

    return with_operand(image, stream_named(image, "f.i8"), "store", 0, same)


@damage("residual", "order", model=False, loads=False)
def register_read_before_it_is_written(image: Image) -> Image:
    number = stream_named(image, "first rows")
    return with_instructions(image, number, "affine", lambda affine: [])


@damage("recurrent", "flow")
def states_of_chunks_swapped(image: Image) -> Image:
    number = stream_named(image, "last rows")
    first, second = received(image, number)

    def swap(channel: Any) -> Any:
        return {first: second, second: first}.get(channel, channel)

    return with_operand(image, number, "recv", 1, swap)


@damage("recurrent", "flow")
def gates_swapped(image: Image) -> Image:
    """The GDPU takes the output gate for the forget gate."""

    def swap(part: Slice) -> Slice:
        offsets = {120: 180, 180: 120}
        return replace(part, offset=offsets.get(part.offset, part.offset))

    return with_operand(image, stream_named(image, "lstm_cell"), "multiply", 1, swap)


# What the LDPU multiplies and adds.


@damage("residual", "scales")
def column_scale_doubled(image: Image) -> Image:
    scale = _constant(image, stream_named(image, "second rows"), 2)
    return with_constants(image, scale.base + 3, 1, 2.0)


@damage("large", "scales")
def row_tile_scale_doubled(image: Image) -> Image:
    number = stream_named(image, "wide rows 200:400 columns 0:200")
    (scale,) = instructions(image.code.streams[number], "scale")
    constant = scale.operands[2]
    assert isinstance(constant, Const)
    return with_constants(image, constant.base, constant.length, 2.0)


@damage("residual", "scales")
def residual_counted_double(image: Image) -> Image:
    number = stream_named(image, "second rows")
    scale = instructions(image.code.streams[number], "scale")[0].operands[2]
    assert isinstance(scale, Const)
    return with_constants(image, scale.base, 1, 2.0)


@damage("residual", "scales")
def bias_of_the_wrong_sign(image: Image) -> Image:
    offset = _constant(image, stream_named(image, "first rows"), 3)
    return with_constants(image, offset.base, offset.length, -1.0)


@damage("corrected", "scales")
def bias_of_another_column(image: Image) -> Image:
    """In a program of which the offsets are corrected, as they are by default."""
    offset = _constant(image, stream_named(image, "first rows"), 3)
    constants = np.array(image.constants16)
    constants[offset.base] = constants[offset.base + 1]
    return replace(image, constants16=constants)


@damage("corrected", "scales")
def correction_larger_than_errors(image: Image) -> Image:
    """What is said to correct errors of a column is more than its crossbar can be wrong by."""
    offset = _constant(image, stream_named(image, "first rows"), 3)
    constants = np.array(image.constants16)
    constants[offset.base] += 500

    def change(origin: dict[str, Any]) -> None:
        (block,) = (each for each in origin["weights"] if each["layer"] == "first")
        block["correction"][0] += 500.0

    return with_origin(replace(image, constants16=constants), change)


@damage("residual", "scales")
def input_scale_of_another_tensor(image: Image) -> Image:
    borders = list(image.manifest.borders)
    borders[0] = borders[0].model_copy(update={"scale": borders[0].scale * 1.5})
    return replace(image, manifest=image.manifest.model_copy(update={"borders": tuple(borders)}))


def received(image: Image, number: int) -> list[int]:
    """The channels that a stream reads, in order."""
    found = [recv.operands[1] for recv in instructions(image.code.streams[number], "recv")]
    return [channel for channel in found if isinstance(channel, int)]


def _receiving(image: Image, number: int, form: str, channel: int) -> Image:
    """A program of which a stream reads another channel of a format."""

    def change(old: Any) -> Any:
        return channel if image.code.channels[old].format.value == form else old

    return with_operand(image, number, "recv", 1, change)


def _constant(image: Image, number: int, place: int) -> Const:
    """An operand of a stream's `affine`."""
    found = instructions(image.code.streams[number], "affine")[0].operands[place]
    assert isinstance(found, Const)
    return found
