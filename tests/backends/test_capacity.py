"""Capacities: what leaves a fork holds a whole sample, so that no fork ever waits."""

from __future__ import annotations

import pytest

from anacc.errors import IrError
from anacc.ir.chip_rules import split_tokens
from anacc_backends.capacity import capacities
from tests.passes.chips import Chip


def test_a_channel_without_a_fork_holds_the_default() -> None:
    chip = Chip()
    y = chip.pointwise(chip.input(4, tokens=100))
    chip.output(y)
    assert set(capacities(chip.module(), 2).values()) == {2}


def test_several_readers_are_a_fork() -> None:
    chip = Chip()
    x = chip.input(4, tokens=100)
    left, right = chip.pointwise(x), chip.pointwise(x)
    chip.output(chip.pointwise(left, right, "add"))
    found = capacities(chip.module(), 2)
    assert found[x] == 100 and found[left] == found[right] == 2


def test_an_op_that_reads_a_channel_twice_is_a_fork() -> None:
    chip = Chip()
    x = chip.input(4, tokens=100)
    chip.output(chip.pointwise(x, x, "multiply"))
    assert capacities(chip.module(), 2)[x] == 100


def test_several_results_are_a_fork() -> None:
    chip = Chip()
    x = chip.input(4, tokens=50)
    parts = chip.regroup([x], [1, 3])
    chip.output(parts[0])
    chip.output(parts[1])
    found = capacities(chip.module(), 2)
    assert [found[part] for part in parts] == [50, 50] and found[x] == 2


def test_a_fork_of_few_tokens_holds_the_default() -> None:
    chip = Chip()
    x = chip.input(4, tokens=1)
    chip.output(x)
    chip.output(x)
    assert capacities(chip.module(), 2)[x] == 2


def test_feedback_holds_all_steps_and_the_first_state() -> None:
    chip = Chip()
    for y in chip.lstm([2, 2], [3], steps=5):
        chip.output(y)
    module = chip.module()
    found = capacities(module, 2)
    cells = [op for op in module.ops if op.kind == "lstm_cell"]
    assert [found[op.results[0]] for op in cells] == [6, 6]
    assert [found[op.results[1]] for op in cells] == [5, 5]
    # Every chunk reads the input; the gates go to one cell.
    assert found[module.ops[0].results[0]] == 5
    assert [found[op.operands[0]] for op in cells] == [2, 2]


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ((2, 1), [6, 3]),  # a row waits while one is made: both rows of the first copy
        ((1, 3), [2, 2, 2]),  # copies take turns within a row
        ((2, 3), [2, 2, 2, 2, 2, 2]),
    ],
)
def test_what_is_merged_waits_for_its_turn(ways: tuple[int, int], expected: list[int]) -> None:
    chip = Chip()
    shares = split_tokens((3, 3), ways)
    parts = [chip.input(4, tokens=tokens) for tokens in shares]
    y = chip.value(4, "i8", 9)
    chip.emit("merge", parts, (y,), counts=(3, 3), ways=ways)
    chip.output(y)
    found = capacities(chip.module(), 2)
    assert [found[part] for part in parts] == expected


def test_merges_that_do_not_fit_are_refused() -> None:
    for counts, ways, sizes in [
        ((4,), (3,), (2, 1)),
        ((2,), (3,), (1, 1, 1)),
        ((4,), (2,), (3, 1)),
    ]:
        chip = Chip()
        parts = [chip.input(4, tokens=tokens) for tokens in sizes]
        chip.emit("merge", parts, (chip.value(4, "i8", 4),), counts=counts, ways=ways)
        with pytest.raises(IrError, match="merge"):
            chip.module()
