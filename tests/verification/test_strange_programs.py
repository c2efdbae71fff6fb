"""Programs that somebody changed at random: those that the loader takes are judged, never a
traceback, and in bounded time and memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from anacc.errors import AnaccError, ProgramError
from anacc.program.check import check
from anacc.program.image import Image
from anacc.verification.check import verify
from anacc.verification.summary import as_data, as_lines
from tests.verification.edits import instructions, stream_named, with_operand, with_origin
from tests.verification.networks import compiled, saved

NUMBERS = [-1, 0, 1, 2, 3, 7, 64, 255, 2**16, 2**20, 2**24, 2**31 - 1, 2**31, 2**40, 2**62]
VALUES = [None, [], {}, "a", -5, 2**70, [1, 2, 3], 1.5, True, [None], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all numbers of nested data and data classes."""
    if isinstance(value, tuple | list):
        for key, each in enumerate(value):
            yield from places(each, (*path, key))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*path, key))
    elif is_dataclass(value):
        for field in fields(value):
            yield from places(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """The data with another value at a path."""
    if not path:
        return change(value)
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, first: changed(value[first], rest, change)}
    if isinstance(value, tuple | list):
        items = [changed(v, rest, change) if n == first else v for n, v in enumerate(value)]
        return type(value)(items)
    return replace(value, **{first: changed(getattr(value, first), rest, change)})


def strange(image: Image, chance: random.Random) -> Image:
    """A program of which one number, or a part of its table of origins, is another."""
    if chance.random() < 0.3:
        path = chance.choice(list(places(image.origin)))
        path = path[: chance.randint(1, len(path))]
        return replace(image, origin=changed(image.origin, path, lambda _: chance.choice(VALUES)))

    def number(value: Any) -> Any:
        if isinstance(value, float):
            return chance.choice([0.0, -value, 2 * value, 1e300])
        return chance.choice([*NUMBERS, value + 1, value - 1, value + 2, 3 * value])

    path = chance.choice(list(places(image.code)))
    return replace(image, code=changed(image.code, path, number))


@pytest.mark.parametrize("name", ["residual", "recurrent", "chained"])
def test_changed_programs_are_judged(name: str, tmp_path: Path) -> None:
    chance = random.Random(name)
    image, model = compiled(name), saved(name, tmp_path)
    judged = 0
    for _ in range(25):
        try:
            other = strange(image, chance)
            check(other)
        except (AnaccError, TypeError, ValueError):
            continue  # what is no instruction, or what the loader refuses
        try:
            findings = verify(other, model)
        except ProgramError as error:
            assert error.message.startswith("the table of origins is damaged")
            assert error.hint
        else:
            assert as_lines(findings)
            assert as_data(findings)
        judged += 1
    assert judged >= 3


def test_blocks_of_other_layers_are_judged(tmp_path: Path) -> None:
    image, model = compiled("residual"), saved("residual", tmp_path)
    for layer in ("first", "second", "grouped", "last"):
        number = stream_named(image, f"{layer} rows")
        (program,) = instructions(image.code.streams[number], "program")
        for block in range(len(image.code.weights)):
            findings = verify(with_operand(image, number, "program", 0, block), model)
            assert bool(findings.faults) == (block != program.operands[0])


def _set(image: Image, table: str, key: str, value: Any) -> Image:
    def change(origin: dict[str, Any]) -> None:
        origin[table][0][key] = value

    return with_origin(image, change)


@pytest.mark.parametrize(
    ("table", "key", "value", "reason"),
    [
        ("weights", "rows", [0, 2**40], "weights.0.rows.1"),
        ("weights", "rows", [27, 0], "a region from 27 to 0"),
        ("weights", "rows", [0, 26], "weight block 0 does not have the size of its region"),
        ("weights", "columns", [0, 9], "weight block 0 does not have the size of its region"),
        ("weights", "correction", [1.0], "not as many as the columns"),
        ("weights", "nodes", "first", "weights.0.nodes"),
        ("tensors", "channels", {"i8": [999]}, "channels that do not exist"),
        ("tensors", "channels", {"i8": []}, "tensors.0.channels.i8"),
        ("tensors", "scale", 0.0, "tensors.0.scale"),
        ("tensors", "shape", [1, 2**30, 2**30, 2**30], "open or too large"),
        ("tensors", "permutation", [0, 0, 1], "permutation is none"),
        ("tensors", "batch_axis", 7, "batch axis is none"),
    ],
)
def test_damaged_origins_are_refused(table: str, key: str, value: Any, reason: str) -> None:
    with pytest.raises(ProgramError, match="the table of origins is damaged") as caught:
        verify(_set(compiled("residual"), table, key, value))
    assert reason in caught.value.message
