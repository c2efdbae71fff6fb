"""Recurrent layers: tiles and cells in real arithmetic, token by token, do what ONNX defines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, verify
from anacc.ir.cells import CELLS
from anacc_passes.gates import blocks_of
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.layout import natural
from anacc_passes.tiling.recurrent import lower_recurrent
from tests.passes.cell_interpreter import evaluate
from tests.passes.chip_interpreter import Array, feed, to_tokens, whole_tokens
from tests.passes.chips import target
from tests.recurrent_layers import layer

# A few hidden units a chunk; two chunks and a half in the rows of a crossbar.
SMALL = target(crossbar__rows=5, crossbar__columns=11)
BOTH = frozenset({"i8", "f16"})
SCALES = {"%x": 0.02, "%h0": 0.01, "%c0": 0.25, "%y": 1 / 127, "%y_h": 1 / 127, "%y_c": 0.125}
FUNCTIONS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "lstm": (("hard_sigmoid", 0.2, 0.5), ("relu", 0.0, 0.0), ("scaled_tanh", 0.5, 2.0)),
    "gru": (("hard_sigmoid", -0.2, 0.5), ("scaled_tanh", 0.5, 2.0)),
    "rnn": (("hard_sigmoid", 0.2, 0.5),),
}


@dataclass(frozen=True)
class Layer:
    """A recurrent layer on one sample."""

    kind: str
    direction: str
    steps: int
    features: int
    hidden: int
    states: bool = False
    peepholes: bool = False
    own: tuple[tuple[str, Any], ...] = ()
    seed: int = 0

    @property
    def ways(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def initial(self) -> tuple[str, ...]:
        names = ("%h0", "%c0") if self.kind == "lstm" else ("%h0",)
        return names if self.states else ()

    @property
    def results(self) -> tuple[str, ...]:
        return tuple(f"%{name}" for name in CELLS[self.kind].results)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one sample."""
        state = (self.ways, self.hidden)
        shapes = dict.fromkeys((*self.initial, *self.results), state)
        return {"%x": (self.steps, self.features), **shapes, "%y": (self.steps, *state)}

    def random(self, *shape: int) -> Array:
        return np.random.default_rng((self.seed, *shape)).uniform(-1, 1, shape)

    @property
    def weights(self) -> dict[str, Array]:
        rows = len(CELLS[self.kind].gates) * self.hidden
        arrays = {
            "@w": self.random(self.ways, rows, self.features),
            "@r": self.random(self.ways, rows, self.hidden),
            "@b": self.random(self.ways, 2 * rows),
        }
        if self.peepholes:
            arrays["@p"] = self.random(self.ways, 3 * self.hidden)
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    @property
    def inputs(self) -> dict[str, Array]:
        """Codes."""
        names = ("%x", *self.initial)
        return {name: np.rint(self.random(*self.shapes[name]) / SCALES[name]) for name in names}

    def module(self) -> Module:
        values = {}
        for name, shape in self.shapes.items():
            # (T, N, F), (T, D, N, H), (D, N, H)
            dims: tuple[int | str, ...] = (*shape[:-1], BATCH, shape[-1])
            values[name] = Value(name, TensorType("float32", dims), SCALES[name])
        states = self.initial or (("", "") if self.peepholes else ())
        peepholes = ("@p",) if self.peepholes else ()
        op = Op(
            self.kind,
            ("%x", "@w", "@r", "@b", *states, *peepholes),
            self.results,
            {"direction": self.direction, "hidden": self.hidden, **dict(self.own)},
            ("node",),
        )
        outputs = tuple((name[1:], name) for name in op.results)
        inputs = ("%x", *self.initial)
        module = Module(Level.LAYER, "m", None, inputs, outputs, values, self.weights, (op,))
        verify(module)
        return module

    def reference(self) -> dict[str, Array]:
        """What ONNX defines, in real units: y (T, D, H), then the last states (D, H)."""
        found = {n: array * SCALES[n] for n, array in self.inputs.items()} | self.weights
        (op,) = self.module().ops
        operands: list[Any] = [found.get(name) for name in op.operands]
        for position, name in enumerate(op.operands):
            if name.startswith("%"):
                operands[position] = np.expand_dims(operands[position], -2)
        return dict(zip(self.results, (y.squeeze(-2) for y in layer(op, *operands)), strict=True))


def lowered(each: Layer) -> tuple[Builder, dict[str, Array]]:
    """The layer on the chip, and the tokens of its inputs."""
    builder = Builder(each.module(), SMALL, "4-phase")
    given_: dict[str, Array] = {}
    for name, codes in each.inputs.items():
        given_ |= feed(builder, name, natural(codes.shape), codes, SCALES[name], limit=4)
    return builder, given_


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    kind = draw(st.sampled_from(list(CELLS)))
    own: dict[str, Any] = {}
    if kind == "gru":
        own["linear_before_reset"] = draw(st.booleans())
    peepholes = kind == "lstm" and draw(st.booleans())
    linear = own.get("linear_before_reset", False)
    if not peepholes and draw(st.booleans()):
        direction_functions = FUNCTIONS[kind]
        own["functions"] = (direction_functions, direction_functions)
    if not peepholes and not linear and draw(st.booleans()):
        own["clip"] = 0.5
    if kind == "lstm" and draw(st.booleans()):
        own["input_forget"] = True
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    steps, features, hidden = (draw(st.integers(1, most)) for most in (3, 7, 7))
    states = draw(st.booleans())
    return Layer(kind, direction, steps, features, hidden, states, peepholes, tuple(own.items()))


@given(layers())
@settings(max_examples=100)
def test_a_layer(each: Layer) -> None:
    builder, given_ = lowered(each)
    demanded = dict.fromkeys(each.results, BOTH) | {"%y_c": frozenset({"f16"})}
    found = lower_recurrent(builder, builder.module.ops[0], demanded)
    channels = evaluate(builder, given_)
    expected = each.reference()
    for name in each.results:
        layout = builder.layouts[name]
        assert found[name].layout == layout
        for form in demanded[name]:
            y = whole_tokens(found[name], form, channels) * found[name].scale
            # Weights are rounded to 1/127 of the largest of their column.
            np.testing.assert_allclose(y, to_tokens(layout, expected[name]), atol=0.03)


def only_y(each: Layer) -> dict[str, frozenset[str]]:
    return dict.fromkeys(each.results, frozenset[str]()) | {"%y": BOTH}


@given(layers())
@settings(max_examples=60)
def test_tiles_fit_and_cover_the_matrices_without_cells_of_zeros(each: Layer) -> None:
    builder, _ = lowered(each)
    (op,) = builder.module.ops
    assert lower_recurrent(builder, op, only_y(each)).keys() == {"%y"}
    seen: dict[str, int] = {}
    for tile in builder.ops:
        if tile.kind == "tile":
            codes = builder.constants[tile.operands[0]]
            assert codes.shape[0] <= 5 and codes.shape[1] <= 11
            seen[tile.text("layer")] = seen.get(tile.text("layer"), 0) + codes.size
    used = [
        gate
        for gate in CELLS[each.kind].gates
        if gate != "forget" or "input_forget" not in dict(each.own)
    ]
    cells = len(used) * each.hidden * (each.features + each.hidden)
    assert sum(seen.values()) == each.ways * cells
    assert len(seen) == each.ways * len(blocks_of(op, 0))


def test_a_chunk_holds_no_more_units_than_a_crossbar_has_rows() -> None:
    low = target(crossbar__rows=2, crossbar__columns=32)
    each = Layer("lstm", "forward", 2, 1, 5)
    builder = Builder(each.module(), low, "4-phase")
    feed(builder, "%x", natural((2, 1)), np.zeros((2, 1)), SCALES["%x"])
    lower_recurrent(builder, builder.module.ops[0], only_y(each))
    heights = [len(builder.constants[op.operands[0]]) for op in builder.ops if op.kind == "tile"]
    assert max(heights) <= 2


def test_a_cell_state_that_is_needed_in_codes_becomes_codes() -> None:
    each = Layer("lstm", "forward", 2, 1, 3)
    builder, _ = lowered(each)
    demanded = {"%y": frozenset[str](), "%y_h": frozenset[str](), "%y_c": frozenset({"i8"})}
    found = lower_recurrent(builder, builder.module.ops[0], demanded)
    assert builder.type(found["%y_c"].parts["i8"][0]).format == "i8"


@pytest.mark.parametrize("kind", list(CELLS))
@pytest.mark.parametrize("zero", [True, False])
def test_a_constant_initial_state(kind: str, zero: bool) -> None:
    own = (("linear_before_reset", False),) if kind == "gru" else ()
    each = Layer(kind, "bidirectional", 2, 2, 3, states=True, own=own)
    module = each.module()
    factors = {name: 0.0 if zero else SCALES[name] for name in each.initial}
    states = {
        f"@{name[1:]}": (each.inputs[name] * factor)[:, np.newaxis].astype(np.float32)
        for name, factor in factors.items()
    }
    (op,) = module.ops
    op = replace(op, operands=(*op.operands[:4], *states))
    module = replace(module, ops=(op,), constants={**module.constants, **states}, inputs=("%x",))
    builder = Builder(module, SMALL, "4-phase")
    given_ = feed(builder, "%x", natural((2, 2)), each.inputs["%x"], SCALES["%x"])
    last = {name: frozenset({"f16"}) for name in each.results[1:]}
    found = lower_recurrent(builder, op, {"%y": frozenset(), **last})
    cells = [op for op in builder.ops if op.kind == f"{kind}_cell"]
    assert all(bool(cell.operands[1]) is not zero for cell in cells)
    channels = evaluate(builder, given_)
    expected = (replace(each, states=False) if zero else each).reference()
    for name in last:
        y = whole_tokens(found[name], "f16", channels) * found[name].scale
        np.testing.assert_allclose(y, expected[name], atol=0.03)
