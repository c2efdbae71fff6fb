"""What the native executor fuses, what it must leave alone, and that neither changes a bit."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.model import Const, Instr, Slice
from anacc_runtime.native import NativeExecutor
from anacc_runtime.native.layers import Layer, LayerStep, fuse
from anacc_runtime.plan import Plan, Repeat, plan, reads, writes
from anacc_runtime.reference import Executor
from tests.runtime import examples
from tests.runtime.builder import CORE, F16, I8, I16, Builder, i, loop, r

WIDTH = 3
CODES, COUNTS, VALUES = (0, 1, 7), 2, (3, 4, 5, 6)  # registers


def v(register: int) -> Slice:
    """A whole register."""
    return r(register, WIDTH)


def const(base: int) -> Const:
    return Const(base, (0,), WIDTH)


SCALE, OTHER_SCALE, OFFSET = const(0), const(3), const(6)


def core(*body: Instr, after: tuple[Instr, ...] = (), sequential: bool = False) -> Image:
    """A core stream over five positions.

    Registers r0, r1 and r7 hold codes, r2 counts, r3 to r6 binary16.  Channel 0 brings codes, 1 and
    2 binary16; 3 takes codes and 4 binary16: the body must serve each once a position.
    """
    rng = np.random.default_rng(3)
    b = Builder()
    for format, name in ((I8, "x"), (F16, "p"), (F16, "q")):
        b.input(name, b.channel(format, WIDTH), (None, 5, WIDTH))
    b.output("codes", b.channel(I8, WIDTH), (None, 5, WIDTH))
    b.output("value", b.channel(F16, WIDTH), (None, 5, WIDTH))
    b.adc()
    b.pool16.extend(rng.normal(size=9).astype(np.float16).tolist())
    b.weight(examples.codes(rng, WIDTH, WIDTH))
    inner = loop(5, *body, sequential=sequential)
    registers = [(I8, WIDTH)] * 2 + [(I16, WIDTH)] + [(F16, WIDTH)] * 4 + [(I8, WIDTH)]
    b.stream(CORE, registers, i("program", 0, 0, 0), inner, *after)
    return b.image()


def layers(image: Image) -> list[Layer]:
    """All fused layers of a program."""

    def found(part: Plan) -> Iterator[Layer]:
        for node in part:
            if isinstance(node, Repeat):
                yield from found(node.body)
            elif isinstance(node, LayerStep):
                yield node.layer

    return [
        layer
        for stream in image.code.streams
        for part in plan(stream)
        for layer in found(fuse(part, stream))
    ]


def check_bits(image: Image) -> None:
    """Both executors agree."""
    check(image)
    feed = examples.feed(image, 4)
    expected, found = Executor(image).run(feed), NativeExecutor(image).run(feed)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


RECV = (i("recv", v(0), 0), i("recv", v(4), 1), i("recv", v(5), 2))
MVM = i("mvm", v(2), v(0), 0, 0, 0)
AFFINE = i("affine", v(3), v(2), SCALE, OFFSET)
PARTIAL = i("add", v(3), v(3), v(4))
RESIDUAL = (i("scale", v(6), v(5), OTHER_SCALE), i("add", v(3), v(6), v(3)))
RELU = i("relu", v(3), v(3))
QUANTISE = i("quantise", v(7), v(3))
SEND = (i("send", 3, v(7)), i("send", 4, v(3)))
WHOLE = (*RECV, MVM, AFFINE, PARTIAL, *RESIDUAL, RELU, QUANTISE, *SEND)


def test_the_whole_pattern_is_one_step() -> None:
    image = core(*WHOLE)
    (layer,) = layers(image)
    assert layer.addends == ((v(4), None), (v(5), OTHER_SCALE))
    assert layer.activation == "relu"
    assert (layer.scale, layer.offset) == (SCALE, OFFSET)
    assert (layer.value, layer.codes) == (v(3), v(7))
    check_bits(image)


def test_a_value_that_nobody_reads_is_not_made() -> None:
    send = i("send", 3, v(7)), i("send", 4, v(4))
    (layer,) = layers(core(*RECV, MVM, AFFINE, RELU, QUANTISE, *send))
    assert (layer.value, layer.codes) == (None, v(7))


@pytest.mark.parametrize(
    ("body", "fused", "addends"),
    [
        # An addend may stand on either side, arrive late, and its register may be written after.
        ((*RECV[:1], MVM, AFFINE, *RECV[1:], PARTIAL, QUANTISE, *SEND), True, 1),
        ((*RECV, MVM, AFFINE, i("add", v(4), v(4), v(3)), i("quantise", v(7), v(4)),
          i("send", 3, v(7)), i("send", 4, v(4))), True, 1),
        # The counts have another reader.
        ((*RECV, MVM, AFFINE, i("scale", v(6), v(2), SCALE), QUANTISE, i("send", 3, v(7)),
          i("send", 4, v(6))), False, 0),
        # The value before the activation is sent: the layer ends there.
        ((*RECV, MVM, AFFINE, i("send", 4, v(3)), RELU, QUANTISE, i("send", 3, v(7))), True, 0),
        # The input register changes before the layer could run.
        ((*RECV, MVM, i("quantise", v(0), v(4)), AFFINE, QUANTISE, *SEND), False, 0),
        # A partial sum's register changes between its add and the end of the layer.
        ((*RECV, MVM, AFFINE, PARTIAL, i("relu", v(4), v(5)), RELU, QUANTISE, *SEND), False, 0),
        # Part of an intermediate value is read.
        ((*RECV, MVM, AFFINE, i("relu", r(6, 1), r(3, 1)), PARTIAL, QUANTISE, *SEND), True, 0),
        # Part of the value changes before it is quantised.
        ((*RECV, MVM, AFFINE, i("relu", r(3, 1), r(4, 1)), QUANTISE, *SEND), True, 0),
        # y + y is no addend.
        ((*RECV, MVM, AFFINE, i("add", v(3), v(3), v(3)), QUANTISE, *SEND), True, 0),
    ],
)  # fmt: skip
def test_other_bodies(body: tuple[Instr, ...], fused: bool, addends: int) -> None:
    image = core(*body)
    found = layers(image)
    assert len(found) == fused
    assert [len(layer.addends) for layer in found] == [addends] * fused
    check_bits(image)


def test_constants_that_differ_between_iterations_are_left_alone() -> None:
    moving = i("affine", v(3), v(2), Const(0, (1,), WIDTH), OFFSET)
    image = core(*RECV, MVM, moving, QUANTISE, *SEND)
    assert layers(image) == []
    check_bits(image)


def test_one_constant_serves_all_columns() -> None:
    single = i("scale", v(3), v(2), Const(0, (0,), 1))
    image = core(*RECV, MVM, single, QUANTISE, *SEND)
    assert len(layers(image)) == 1
    check_bits(image)


@pytest.mark.parametrize("name", ["layer", "layer, 1-phase", "recurrence"])
def test_every_crossbar_of_the_examples_is_fused(name: str) -> None:
    assert len(layers(examples.ALL[name])) == 2


TWO_CROSSBARS = (
    *RECV, MVM, AFFINE, i("relu", v(3), v(3)), i("quantise", v(1), v(4)),
    i("mvm", v(2), v(1), 0, 0, 0), i("scale", v(6), v(2), OTHER_SCALE),
    i("add", v(3), v(6), v(3)), QUANTISE, *SEND,
)  # fmt: skip


@pytest.mark.parametrize("relu", [False, True])
def test_the_later_of_two_crossbars_takes_the_add(relu: bool) -> None:
    body = [step for step in TWO_CROSSBARS if relu or step.op != "relu"]
    image = core(*body)
    first, second = layers(image)
    assert (first.value, first.addends) == (v(3), ())
    assert second.addends == ((v(3), None),)
    check_bits(image)


def test_a_value_that_outlives_a_sequential_loop_is_made() -> None:
    """A register that a sequential loop wrote keeps the last iteration's value."""
    last = i("send", 3, v(7)), i("send", 4, v(3))
    recv = (i("recv", v(0), 0), i("recv", v(4), 1), i("recv", v(5), 2))
    body = (*recv, MVM, AFFINE, RELU, QUANTISE)
    image = core(*body, after=last * 5, sequential=True)
    assert [(layer.value, layer.codes) for layer in layers(image)] == [(v(3), v(7))]
    check_bits(image)


@pytest.mark.parametrize("left", [True, False])
def test_an_addend_that_overlaps_the_value_is_no_addend(left: bool) -> None:
    """Fused, the value is never written, so its elements would be read as they were before."""
    b = Builder()
    x, side, out = b.channel(I8, 4), b.channel(F16, 6), b.channel(F16, 4)
    b.input("x", x, (None, 4))
    b.input("side", side, (None, 6))
    b.output("out", out, (None, 4))
    b.adc()
    b.weight(np.full((4, 4), 127))
    y, other = r(2, 4), r(2, 4, 2)
    b.stream(
        CORE,
        [(I8, 4), (I16, 4), (F16, 6), (F16, 4)],
        i("program", 0, 0, 0),
        i("recv", r(0, 4), x),
        i("recv", r(2, 6), side),
        i("mvm", r(1, 4), r(0, 4), 0, 0, 0),
        i("scale", y, r(1, 4), b.const16([1.0], 0)),
        i("add", r(3, 4), *((y, other) if left else (other, y))),
        i("send", out, r(3, 4)),
    )
    image = b.image()
    assert [layer.addends for layer in layers(image)] == [()]
    check_bits(image)


def test_bounds_of_a_clamp_differ_in_the_sign_of_zero() -> None:
    """What is prepared for one of two layers is not taken for the other."""
    b = Builder()
    x = b.channel(I8, 2)
    b.input("x", x, (None, 2))
    body = [i("program", b.weight(np.full((2, 2), 127)), 0, 0), i("recv", r(0, 2), x)]
    adc, one = b.adc(), b.const16([1.0], 0)
    for name, low in (("plus", 0.0), ("minus", -0.0)):
        out = b.channel(F16, 2)
        b.output(name, out, (None, 2))
        body += [
            i("mvm", r(1, 2), r(0, 2), 0, 0, adc), i("scale", r(2, 2), r(1, 2), one),
            i("clamp", r(2, 2), r(2, 2), low, 6.0), i("send", out, r(2, 2)),
        ]  # fmt: skip
    b.stream(CORE, [(I8, 2), (I16, 2), (F16, 2)], *body)
    image = b.image()
    found = NativeExecutor(image).run({"x": np.full((1, 2), -100, np.float32)})
    assert len(layers(image)) == 2
    assert [bool(np.signbit(found[name]).any()) for name in ("plus", "minus")] == [False, True]


values, any_codes = st.sampled_from(VALUES), st.sampled_from(CODES)
scalable = st.sampled_from((*CODES, COUNTS, *VALUES))
scales = st.sampled_from((SCALE, OTHER_SCALE, Const(4, (0,), 1), Const(0, (1,), WIDTH)))


def op(name: str, *operands: st.SearchStrategy[object]) -> st.SearchStrategy[Instr]:
    return st.tuples(*operands).map(lambda drawn: i(name, *drawn))


ANY = st.one_of(
    op("mvm", st.just(v(COUNTS)), any_codes.map(v), st.just(0), st.just(0), st.just(0)),
    op("scale", values.map(v), scalable.map(v), scales),
    op("affine", values.map(v), scalable.map(v), scales, st.just(OFFSET)),
    op("add", values.map(v), values.map(v), values.map(v)),
    op("relu", values.map(v), values.map(v)),
    op("clamp", values.map(v), values.map(v), st.just(-1.0), st.just(6.0)),
    op("quantise", any_codes.map(v), values.map(v)),
    op("copy", values.map(lambda k: r(k, 2, 1)), values.map(lambda k: r(k, 2))),
    op("copy", any_codes.map(lambda k: r(k, 1)), any_codes.map(lambda k: r(k, 1, 2))),
)


@st.composite
def bodies(draw: st.DrawFn) -> list[Instr]:
    """A pattern with some instructions gone and others between."""
    drawn: list[Instr] = []
    for step in draw(st.sampled_from((WHOLE, TWO_CROSSBARS))):
        drawn += draw(st.lists(ANY, max_size=1))
        if step.op in ("recv", "send") or draw(st.integers(0, 5)):
            drawn.append(step)
    # Registers that are read without having been written are received first, once each channel.
    body = [i("recv", v(1), 0), *(i("copy", v(k), v(1)) for k in (0, 7))]
    body += [i("recv", v(6), 1), i("recv", v(5), 2), *(i("copy", v(k), v(6)) for k in (3, 4))]
    body += [MVM]
    return body + [step for step in drawn if step.op != "recv" and _disjoint(step)]


def _disjoint(step: Instr) -> bool:
    """Whether the destination is a source, or has no element in common with one."""
    return not any(
        target.register == source.register and target != source
        for target in writes(step)
        for source in reads(step)
    )


@settings(max_examples=300)
@given(bodies(), st.booleans())
def test_no_body_changes_a_bit(body: list[Instr], sequential: bool) -> None:
    check_bits(core(*body, sequential=sequential))
