"""Checks of small programs that are made to be slow do a bounded amount of work."""

from __future__ import annotations

import pytest

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.encode import encode
from anacc.program.image import Image
from anacc.program.model import Buffer
from tests.runtime.builder import BRIDGE, CORE, I8, Builder, at, i, loop, r
from tests.work import work


def refused(image: Image, size: int, calls: int) -> str | None:
    """The sentence with which a program of at most `size` bytes is refused, if it is.

    The check may call at most that many functions.
    """
    assert len(encode(image.code)) <= size
    reasons: list[str] = []

    def run() -> None:
        try:
            check(image)
        except ProgramError as error:
            reasons.append(error.message)

    assert work(run) <= calls
    return reasons[0] if reasons else None


def there_and_back(before: int, lag: int, inside: int) -> Image:
    """Two streams that send each other tokens one by one, `before` times ahead of their loops and
    `inside` times in an iteration; the second is `lag` tokens behind the first."""
    b = Builder()
    x, there, back, out = (b.channel(I8, 1) for _ in range(4))
    b.input("x", x, (None, 1))
    b.output("out", out, (None, 1))
    send, recv = i("send", there, r(0, 1)), i("recv", r(0, 1), back)
    take, give = i("recv", r(0, 1), there), i("send", back, r(0, 1))
    first = loop(10**4, *(send, recv) * inside, sequential=True)
    second = loop(10**4, *(take, give) * inside, sequential=True)
    b.stream(
        BRIDGE, [(I8, 1, True)], i("recv", r(0, 1), x), *(send, recv) * before, first,
        *(send,) * lag, *(recv,) * lag, i("send", out, r(0, 1)),
    )  # fmt: skip
    b.stream(
        BRIDGE, [(I8, 1, True)], *(take, give) * before, *(give,) * lag, *(take,) * lag, second
    )  # fmt: skip
    return b.image()


def test_a_cycle_with_many_tokens() -> None:
    # A few calls for each of the 10**6 accesses that the analysis executes at most.
    assert refused(there_and_back(200, 0, 200), 8192, calls=5 * 10**6) is None
    assert refused(there_and_back(0, 200, 200), 8192, calls=5 * 10**6) is None


def test_a_cycle_with_too_many_tokens() -> None:
    reason = refused(there_and_back(0, 600, 600), 25_000, calls=5 * 10**6)
    assert reason is not None and "too many accesses to analyse" in reason


def many_blocks(rows: int, columns: int, overlap: bool = False) -> Image:
    """A crossbar full of blocks of one cell; the last one overlaps the first, or not."""
    b = Builder()
    x, out = b.channel(I8, 1), b.channel(I8, 1)
    b.input("x", x, (None, 1))
    b.output("out", out, (None, 1))
    weight = b.weight([[1]])
    blocks = [i("program", weight, row, column) for row in range(rows) for column in range(columns)]
    extra = [i("program", weight, 0, 0)] * overlap
    copy = i("recv", r(0, 1), x), i("send", out, r(0, 1))
    b.stream(CORE, [(I8, 1)], *blocks, *extra, *copy)
    return b.image()


@pytest.mark.parametrize("overlap", [False, True])
def test_many_blocks_on_a_crossbar(overlap: bool) -> None:
    reason = refused(many_blocks(64, 128, overlap), 40_000, calls=2 * 10**6)
    assert (reason is not None and "overlaps another block" in reason) == overlap


def test_blocks_are_checked_one_by_one_not_against_each_other() -> None:
    few, many = many_blocks(32, 64), many_blocks(64, 128)
    assert work(lambda: check(many)) < 5 * work(lambda: check(few))


def test_many_accesses_that_are_hard_to_tell_apart() -> None:
    """Each pair of load and store needs a long search; together they may not take for ever."""
    b = Builder()
    x, out = b.channel(I8, 1), b.channel(I8, 1)
    b.input("x", x, (None, 1))
    b.output("out", out, (None, 1))
    dims = [(30, 2 * 3 * 1009), (30, 2 * 3 * 997), (1, 1)]
    loads = [i("load", r(1, 900), at(0, (), *dims)) for _ in range(150)]
    stores = [i("store", at(1 + 6 * k * 997, (), (1, 1)), r(0, 1)) for k in range(20, 170)]
    b.stream(
        BRIDGE, [(I8, 1), (I8, 900)], i("recv", r(0, 1), x), *loads, *stores,
        i("send", out, r(1, 1)), buffer=Buffer(I8, 10**7, 0),
    )  # fmt: skip
    refused(b.image(), 8192, calls=10**7)
