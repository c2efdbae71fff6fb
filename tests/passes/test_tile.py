"""Tile: the text of small modules; what each kind of layer becomes is tested beside this file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, helper

import anacc
from anacc.errors import CompileError
from anacc.ir import Channel
from anacc.ir.parse import parse_module
from anacc_passes.tile import Tile
from tests.passes.chips import extended, target
from tests.passes.golden_text import check

HERMES = target()
LOW = target(crossbar__rows=2)


def test_golden_product(update_golden: bool) -> None:
    check("tile_product", Tile(LOW, "4-phase"), update_golden)


def test_golden_convolution(update_golden: bool) -> None:
    check("tile_convolution", Tile(HERMES, "1-phase"), update_golden)


def test_golden_borders(update_golden: bool) -> None:
    check("tile_borders", Tile(HERMES, "4-phase"), update_golden)


@pytest.mark.parametrize(
    "name", ["lstm", "lstm_functions", "gru", "gru_linear_before_reset", "rnn"]
)
def test_golden_recurrent(name: str, update_golden: bool) -> None:
    check(f"tile_{name}", Tile(HERMES, "4-phase"), update_golden)


def test_golden_function(update_golden: bool) -> None:
    check("tile_function", Tile(extended(segments=4), "4-phase"), update_golden)


def test_a_weight_that_is_not_finite_is_refused_by_name() -> None:
    text = """
    module "m" level=layer batch=N {
      constant @w : float32[1, 1] = [1.0]
      constant @s : float32[1] = [1.0]
      constant @o : float32[1] = [nan]
      input %x : float32[N, 1] scale 0.5
      %y : float32[N, 1] scale 0.5 = crossbar(%x, @w, @s, @o, _) {activation = "none",
        dilations = [], group = 1, pads = [], strides = []} from "Gemm_0"
      output "y" = %y
    }
    """
    with pytest.raises(CompileError, match="Gemm_0 rows 0:1 columns 0:1: .* is not finite"):
        Tile(HERMES, "4-phase")(parse_module(text))


def test_a_value_without_the_batch_cannot_enter_the_chip() -> None:
    text = """
    module "m" level=layer batch=N {
      input %x : float32[4] scale 0.5
      %y : float32[4] scale 0.5 = tanh(%x) from "Tanh_0"
      output "y" = %y
    }
    """
    module = parse_module(text)
    with pytest.raises(CompileError, match="`x` enters the chip") as caught:
        Tile(HERMES, "4-phase")(module)
    assert caught.value.hint is not None
    # With a fixed batch of one it may do without.
    assert Tile(HERMES, "4-phase")(replace(module, batch=1)).ops


def test_binary16_values_leave_rather_than_codes() -> None:
    text = """
    module "m" level=layer batch=N {
      constant @w : float32[1, 1] = [1.0]
      constant @s : float32[1] = [1.0]
      input %x : float32[N, 1] scale 0.5
      %t : float32[N, 1] scale 0.5 = tanh(%x) from "Tanh_0"
      %y : float32[N, 1] scale 0.5 = crossbar(%t, @w, @s, @s, _) {activation = "none",
        dilations = [], group = 1, pads = [], strides = []} from "Gemm_1"
      output "t" = %t
      output "y" = %y
    }
    """
    lowered = Tile(HERMES, "4-phase")(parse_module(text))
    (tanh,) = (op for op in lowered.ops if op.kind == "pointwise")
    (tile,) = (op for op in lowered.ops if op.kind == "tile")
    outputs = [op.operands for op in lowered.ops if op.kind == "output"]
    # Both formats are made: codes for the crossbar, values for the output.
    assert tile.operands[5:] == tanh.results[:1]
    assert outputs == [(tanh.results[1],), (tile.results[1],)]


def test_the_parts_of_a_token_leave_in_one_channel() -> None:
    text = """
    module "m" level=layer batch=N {
      input %x : float32[N, 2] scale 0.5
      %y : float32[N, 5] scale 0.5 = pad(%x) {after = [0, 2], before = [0, 1], value = 0.0} from "P"
      output "y" = %y
    }
    """
    lowered = Tile(LOW, "4-phase")(parse_module(text))
    gather, regroup, output = lowered.ops[1:]
    sizes = [lowered.values[name].type for name in gather.results]
    assert [kind.token_size for kind in sizes if isinstance(kind, Channel)] == [2, 2, 1]
    assert regroup.kind == "regroup" and regroup.operands == gather.results
    assert output.operands == regroup.results


def test_calibration_data_without_samples_is_no_obstacle_where_all_runs_on_the_host() -> None:
    """Nothing of such a model has a scale, so that no sample is asked for."""
    node = helper.make_node("Trilu", ["x"], ["y"], name="Trilu")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 5])],
        [helper.make_tensor_value_info("y", 1, ["N", 5])],
    )
    opset = [helper.make_opsetid("", 17)]
    proto: ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    nothing = {"x": np.zeros((0, 5), np.float32)}
    program = anacc.compile(proto, calibration=nothing)
    assert program.run(nothing)["y"].shape == (0, 5)
