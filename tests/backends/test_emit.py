"""Emission: the assembly of golden/NAME.before.txt, a routed chip module, is NAME.after.txt."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from anacc.errors import CompileError, IrError
from anacc.program.assembly import assemble, disassemble
from tests.backends.emitted import FakeSource, program
from tests.passes.chips import extended

GOLDEN = Path(__file__).parent / "golden"


def before(name: str) -> str:
    return (GOLDEN / f"{name}.before.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "average",
        "concat",
        "concat_values",
        "gru_cell",
        "gru_cell_linear_before_reset",
        "host",
        "lstm_cell",
        "lstm_cell_constant_states",
        "lstm_cell_peepholes",
        "maximum",
        "merge",
        "pointwise",
        "pointwise_one_token",
        "regroup",
        "rnn_cell",
        "tile",
        "tile_clamp",
        "window",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    code = program(before(name)).code
    text, path = disassemble(code), GOLDEN / f"{name}.after.txt"
    if update_golden:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")
    assert assemble(text) == code


def test_tables(update_golden: bool) -> None:
    """General tables beside that of tanh; equal ones are one."""
    code = program(before("table"), chip=extended(segments=4)).code
    text, path = disassemble(code), GOLDEN / "table.after.txt"
    if update_golden:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_a_segment_and_its_borders() -> None:
    source = FakeSource()
    image = program(before("host"), source)
    # Both borders of the result stand for one ONNX tensor.
    assert source.asked == [(("Erf",), ("x",), ("t",))]
    assert image.segments == [b"model 1"]
    (segment,) = image.manifest.segments
    assert (segment.inputs, segment.outputs) == ((1,), (2, 3))
    names = [(border.name, border.channel, border.scale) for border in image.manifest.borders]
    assert names == [
        ("x", 0, 1.0), ("x", 0, 1.0), ("t", 1, 1.0), ("t", 2, 0.25), ("y", 1, 1.0), ("y", 2, 0.25)
    ]  # fmt: skip
    assert [border.shape for border in image.manifest.borders] == [(None, 4)] * 6


def test_a_fixed_batch_stands_in_the_borders() -> None:
    image = program(before("host").replace("batch=N", "batch=3"))
    assert image.manifest.batch == 3
    assert {border.shape for border in image.manifest.borders} == {(3, 4)}


def test_weights_and_constants_are_those_of_the_module() -> None:
    image = program(before("tile"))
    for codes in image.weights:
        np.testing.assert_array_equal(codes, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(image.constants16, [0.5, 0.25, 1.0, 2.0, 0.75])
    np.testing.assert_array_equal(program(before("average")).constants32, [1.0, 0.5, 0.25])


def test_the_table_of_tanh_is_sampled_up_to_its_limit() -> None:
    image = program(before("pointwise_one_token"))
    (table,) = image.code.tables
    samples = image.constants16[table.base : table.base + table.entries]
    points = np.linspace(0, table.limit, table.entries)
    np.testing.assert_array_equal(samples, np.tanh(points).astype(np.float16))


def test_an_op_that_was_not_placed_is_named() -> None:
    text = re.sub(r" on \w+ \d\.\d+", "", before("regroup"))
    with pytest.raises(CompileError, match="has not been placed"):
        program(text)


def test_a_placement_that_leaves_an_op_out_is_no_valid_module() -> None:
    text = before("regroup").replace(' from "h" on bridge 0.0', ' from "h"')
    with pytest.raises(IrError, match="has no unit, and others have"):
        program(text)


def test_the_same_module_gives_the_same_program() -> None:
    assert program(before("lstm_cell")).code == program(before("lstm_cell")).code
