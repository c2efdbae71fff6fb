"""LSTMs: tiles and cells, token by token in real arithmetic, compute what ONNX defines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, verify
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.layout import natural
from anacc_passes.tiling.recurrent import lower_recurrent
from tests.passes.chip_interpreter import Array, feed, gather, tile, to_tokens, whole_tokens
from tests.passes.chips import target

# Two hidden units a chunk; two chunks and a half in the rows of a crossbar.
SMALL = target(crossbar__rows=5, crossbar__columns=11)
BOTH = frozenset({"i8", "f16"})
H_SCALE, C_SCALE, X_SCALE = 0.01, 0.25, 0.02


@dataclass(frozen=True)
class Lstm:
    """An LSTM on one sample."""

    direction: str
    steps: int
    features: int
    hidden: int
    states: bool
    seed: int = 0

    @property
    def ways(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one sample."""
        state = (self.ways, self.hidden)
        shapes = {"%x": (self.steps, self.features)}
        if self.states:
            shapes |= {"%h0": state, "%c0": state}
        return {**shapes, "%y": (self.steps, *state), "%y_h": state, "%y_c": state}

    def random(self, *shape: int) -> Array:
        return np.random.default_rng((self.seed, *shape)).uniform(-1, 1, shape)

    @property
    def weights(self) -> dict[str, Array]:
        rows = 4 * self.hidden
        arrays = {
            "@w": self.random(self.ways, rows, self.features),
            "@r": self.random(self.ways, rows, self.hidden),
            "@b": self.random(self.ways, 2 * rows),
        }
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    @property
    def inputs(self) -> dict[str, Array]:
        """Codes."""
        scales = {"%x": X_SCALE, "%h0": H_SCALE, "%c0": C_SCALE}
        return {n: np.rint(self.random(*s) / scales[n]) for n, s in self.shapes.items()
                if n in scales}  # fmt: skip

    def module(self) -> Module:
        values = {}
        for name, shape in self.shapes.items():
            scale = {"%x": X_SCALE, "%h0": H_SCALE, "%c0": C_SCALE, "%y_c": 0.125}.get(
                name, 1 / 127
            )
            dims: tuple[int | str, ...] = (
                *shape[:-1],
                BATCH,
                shape[-1],
            )  # (T, N, F), (T, D, N, H), (D, N, H)
            values[name] = Value(name, TensorType("float32", dims), scale)
        states = ("%h0", "%c0") if self.states else ()
        op = Op(
            "lstm",
            ("%x", "@w", "@r", "@b", *states),
            ("%y", "%y_h", "%y_c"),
            {"direction": self.direction, "hidden": self.hidden},
            ("LSTM_0",),
        )
        outputs = tuple((name[1:], name) for name in op.results)
        module = Module(
            Level.LAYER, "m", None, ("%x", *states), outputs, values, self.weights, (op,)
        )
        verify(module)
        return module

    def reference(self) -> dict[str, Array]:
        """What ONNX defines, in real units: y (T, D, H), y_h and y_c (D, H)."""
        w, r, b = self.weights.values()
        x = self.inputs["%x"] * X_SCALE
        zero = np.zeros((self.ways, self.hidden))
        hs = self.inputs.get("%h0", zero) * H_SCALE
        cs = self.inputs.get("%c0", zero) * C_SCALE
        y = np.zeros(self.shapes["%y"])
        last_h, last_c = zero.copy(), zero.copy()
        for way in range(self.ways):
            h, c = hs[way], cs[way]
            backwards = self.direction == "reverse" or way == 1
            for step in range(self.steps)[:: -1 if backwards else 1]:
                gates = w[way] @ x[step] + r[way] @ h + b[way].reshape(2, -1).sum(axis=0)
                i, o, f, a = gates.reshape(4, -1)  # ONNX's order: input, output, forget, cell
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
                h = sigmoid(o) * np.tanh(c)
                y[step, way] = h
            last_h[way], last_c[way] = h, c
        return {"%y": y, "%y_h": last_h, "%y_c": last_c}


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def evaluate(builder: Builder, given_: dict[str, Array]) -> dict[str, Array]:
    """All tokens of every channel; a token is computed from those that it depends on, so that a
    loop through time is no obstacle as long as nothing depends on itself."""
    makers = {name: op for op in builder.ops for name in op.results if name}

    def source(name: str, index: int) -> Array:
        return builder.constants[name] if name.startswith("@") else token(name, index)

    @cache
    def cell(op_index: int, step: int) -> tuple[Array, Array]:
        """Hidden state (in units of 1/127) and cell state after a number of steps."""
        op = builder.ops[op_index]
        gates, h0, c0 = op.operands
        units = op.integer("units")
        if step == 0:
            h = source(h0, 0) * op.number("h_scale") if h0 else np.zeros(units)
            c = source(c0, 0) * op.number("c_scale") if c0 else np.zeros(units)
            return h, c
        i, a, f, o = token(gates, step - 1).reshape(4, units)
        c = sigmoid(f) * cell(op_index, step - 1)[1] + sigmoid(i) * np.tanh(a)
        return 127 * sigmoid(o) * np.tanh(c), c

    @cache
    def moved(op_index: int) -> Array:
        op = builder.ops[op_index]
        return gather(op, builder.constants, [tokens(name) for name in op.operands[1:]])

    def part_of(op: Op, name: str, whole: Array) -> Array:
        first = sum(builder.sizes(op.results[: op.results.index(name)]))
        return whole[first : first + builder.type(name).token_size]

    @cache
    def token(name: str, index: int) -> Array:
        if name in given_:
            return np.asarray(given_[name][index])
        op = makers[name]
        place = builder.ops.index(op)
        if op.kind == "gather":
            return part_of(op, name, moved(place)[index])
        if op.kind == "regroup":
            return part_of(op, name, np.concatenate([token(n, index) for n in op.operands]))
        if op.kind == "lstm_cell":
            steps, which = op.integer("steps"), op.results.index(name)
            if which == 5:
                return cell(place, steps)[1] * op.number("last_c_scale")
            return cell(place, (index, index + 1, index + 1, steps, steps)[which])[0]
        assert op.kind == "tile", op.kind
        needed = {n: token(n, index)[np.newaxis] for n in op.operands[3:] if n}
        return np.asarray(tile(op, builder.constants, needed)[0])

    def tokens(name: str) -> Array:
        return np.array([token(name, index) for index in range(builder.type(name).tokens)])

    return {name: tokens(name) for name in builder.values}


def lowered(lstm: Lstm) -> tuple[Builder, dict[str, Array]]:
    """The LSTM on the chip, and the tokens of its inputs."""
    builder = Builder(lstm.module(), SMALL, "4-phase")
    given_: dict[str, Array] = {}
    for name, codes in lstm.inputs.items():
        scale = {"%x": X_SCALE, "%h0": H_SCALE, "%c0": C_SCALE}[name]
        given_ |= feed(builder, name, natural(codes.shape), codes, scale, limit=4)
    return builder, given_


LSTMS = st.builds(
    Lstm,
    st.sampled_from(["forward", "reverse", "bidirectional"]),
    st.integers(1, 3),
    st.integers(1, 7),
    st.integers(1, 7),
    st.booleans(),
)


@given(LSTMS)
@settings(max_examples=60)
def test_an_lstm(lstm: Lstm) -> None:
    builder, given_ = lowered(lstm)
    demanded = {"%y": BOTH, "%y_h": BOTH, "%y_c": frozenset({"f16"})}
    found = lower_recurrent(builder, builder.module.ops[0], demanded)
    channels = evaluate(builder, given_)
    expected = lstm.reference()
    for name, forms in demanded.items():
        layout = builder.layouts[name]
        assert found[name].layout == layout
        for form in forms:
            y = whole_tokens(found[name], form, channels) * found[name].scale
            # Weights are rounded to 1/127 of the largest of their column.
            np.testing.assert_allclose(y, to_tokens(layout, expected[name]), atol=0.03)


@given(LSTMS)
@settings(max_examples=40)
def test_tiles_of_an_lstm_fit_and_cover_its_matrices(lstm: Lstm) -> None:
    builder, _ = lowered(lstm)
    demanded = {"%y": BOTH, "%y_h": frozenset[str](), "%y_c": frozenset[str]()}
    assert lower_recurrent(builder, builder.module.ops[0], demanded).keys() == {"%y"}
    seen: dict[str, Array] = {}
    for op in builder.ops:
        if op.kind == "tile":
            codes = builder.constants[op.operands[0]]
            assert codes.shape[0] <= 5 and codes.shape[1] <= 11
            matrix = seen.setdefault(
                op.text("layer"), np.zeros((lstm.features + lstm.hidden, 4 * lstm.hidden))
            )
            matrix[slice(*op.integers("weight_rows")), slice(*op.integers("weight_columns"))] += 1
    assert len(seen) == lstm.ways
    assert all((matrix == 1).all() for matrix in seen.values())


def test_a_chunk_holds_no_more_units_than_a_crossbar_has_rows() -> None:
    low = target(crossbar__rows=2, crossbar__columns=32)
    builder = Builder(Lstm("forward", 2, 1, 5, False).module(), low, "4-phase")
    feed(builder, "%x", natural((2, 1)), np.zeros((2, 1)), X_SCALE)
    demanded = {"%y": BOTH, "%y_h": frozenset[str](), "%y_c": frozenset[str]()}
    lower_recurrent(builder, builder.module.ops[0], demanded)
    heights = [len(builder.constants[op.operands[0]]) for op in builder.ops if op.kind == "tile"]
    assert max(heights) <= 2


def test_a_cell_state_that_is_needed_in_codes_becomes_codes() -> None:
    lstm = Lstm("forward", 2, 1, 3, False)
    builder, _ = lowered(lstm)
    demanded = {"%y": frozenset[str](), "%y_h": frozenset[str](), "%y_c": frozenset({"i8"})}
    found = lower_recurrent(builder, builder.module.ops[0], demanded)
    assert builder.type(found["%y_c"].parts["i8"][0]).format == "i8"


@pytest.mark.parametrize("zero", [True, False])
def test_a_constant_initial_state(zero: bool) -> None:
    lstm = Lstm("bidirectional", 2, 2, 3, True)
    module = lstm.module()
    factors = {"%h0": 0.0 if zero else H_SCALE, "%c0": 0.0 if zero else C_SCALE}
    states = {
        f"@{name[1:]}": (lstm.inputs[name] * factor)[:, np.newaxis].astype(np.float32)
        for name, factor in factors.items()
    }
    (op,) = module.ops
    op = replace(op, operands=(*op.operands[:4], "@h0", "@c0"))
    module = replace(module, ops=(op,), constants={**module.constants, **states}, inputs=("%x",))
    builder = Builder(module, SMALL, "4-phase")
    given_ = feed(builder, "%x", natural((2, 2)), lstm.inputs["%x"], X_SCALE)
    demanded = {"%y": frozenset[str](), "%y_h": frozenset({"f16"}), "%y_c": frozenset({"f16"})}
    found = lower_recurrent(builder, op, demanded)
    cells = [op for op in builder.ops if op.kind == "lstm_cell"]
    assert all(bool(name) is not zero for cell in cells for name in cell.operands[1:])
    channels = evaluate(builder, given_)
    expected = (replace(lstm, states=False) if zero else lstm).reference()
    for name in ("%y_h", "%y_c"):
        y = whole_tokens(found[name], "f16", channels) * found[name].scale
        np.testing.assert_allclose(y, expected[name], atol=0.03)
