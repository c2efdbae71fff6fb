"""The rules of a program: the sample keeps all of them, and each damage breaks one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.decode import decode
from anacc.program.encode import encode
from anacc.program.image import Image
from anacc.program.manifest import Port, Segment
from anacc.program.model import Access, Code, Instr, Loop
from anacc.targets import configure, load_target, target_to_data
from tests.program import sample
from tests.program.sample import refused
from tests.program.strategies import codes
from tests.work import work


def test_the_sample_is_valid() -> None:
    check(sample.image())


# What to replace in the sample's text, by what, and a part of the sentence.
DAMAGES = [
    # Declarations.
    ("phases=4", "phases=2", "converter setting 0 has 2 phases"),
    ("multiplier=9000000", "multiplier=1073741824", "has multiplier 1073741824"),
    ("multiplier=9000000", "multiplier=0", "has multiplier 0"),
    ("shift=40", "shift=57", "has shift 57"),
    ("maximum=854", "maximum=4096", "has maximum 4096"),
    ("maximum=854", "maximum=0", "has maximum 0"),
    ("rows=12", "rows=257", "weight block 0 has 257 rows"),
    ("rows=12 columns=4", "rows=12 columns=0", "12 rows and 0 columns"),
    ("entries=3", "entries=1", "table 0 has 1 entries"),
    ("base=8 entries=3", "base=10 entries=3", "table 0 ends at constant 13, but there are 12"),
    ("limit=8.0", "limit=-8.0", "table 0 has the limit -8.0"),
    ("i8 token=4 capacity=4", "i8 token=0 capacity=4", "channel 0 has token size 0"),
    ("token=12 capacity=4", "token=12 capacity=0", "channel 1 has capacity 0"),
    ("tensor token=0", "tensor token=1", "channel 7 has token size 1, not 0 to 0"),
    ("route=12,13", "route=12,12", "channel 1 crosses a link twice"),
    ("route=12,13", "route=12,240", "channel 1 crosses link 240, but 1 chip have 240"),
    ('"conv"', '"conv" round=9', "runs in round 9, but there are 9 streams"),
    ('"conv"', '"conv" round=1',
     "stream 3 `gates`: reads channel 2 in round 0, but stream 2 `conv` writes it in round 1"),
    ("core 0.12 \"conv\"", "core 0.64 \"conv\"", "runs on core 64, but a chip has 64"),
    ("core 0.12 \"conv\"", "core 1024.0 \"conv\"", "runs on chip 1024, but there are 1024"),
    ("gdpu 0.0", "gdpu 0.8", "runs on gdpu 8, but a chip has 8"),
    ("host 0.0", "host 0.1", "runs on host 1, but a chip has 1"),
    ("host 0.0", "host 1.0", "runs on chip 1, but there are 1"),
    (".register 0 i8 4\n", ".register 0 tensor 4\n", "register 0 cannot hold a tensor"),
    (".register 0 i8 4\n", ".register 0 i8 0\n", "register 0 has 0 elements"),
    (".buffer i8 32", ".buffer i16 32", "a buffer cannot hold i16"),
    (".buffer i8 32", ".buffer i8 0", "the buffer has 0 elements"),
    ("fill=-3", "fill=-128", "fill -128 lies outside +-127"),
    ("loop 6", "loop 0", "a loop has count 0"),
    ("  loop 6 seq", "  loop 99999999\nloop 99999\ncopy r0[0:1], r0[0:1]\nend\nend\nloop 6 seq",
     "nested loops make more"),
    ("  loop 6 seq", "  loop 1\nend\nloop 6 seq", "a loop is empty"),
    ("  loop 6 seq", "  loop 20000000 seq", "sequential loops execute more than 67108864"),
    ("  input 0", "  loop 1\n  input 0\n  end", "a host stream cannot hold a loop"),
    # Operands.
    ("recv r0[0:4], c0", "recv r2[0:4], c0", "operand `dst` names register 2, but there are 2"),
    ("recv r0[0:4], c0", "recv r0[0:5], c0", "ends at element 5 of register 0, which has 4"),
    ("recv r0[0:4], c0", "recv r0[0:0], c0", "is not a slice: offset 0, length 0"),
    ("recv r0[0:4], c0", "recv r0[0:4], c8", "operand `channel` is 8, but there are 8"),
    ("recv r0[0:4], c0", "recv r0[0:3], c0", "the register has 3 elements, the other side 4"),
    ("recv r0[0:4], c0", "recv r0[0:4], c3", "the register is i8, the other side f16"),
    ("recv r0[0:4], c0", "recv r0[0:4], c7", "holds tensors, which only the host moves"),
    ("recv r0[0:4], c0", "multiply r0[0:4], r0[0:4], r0[0:4]", "a bridge cannot execute it"),
    ("mvm r1[0:4], r0[0:12], 0", "mvm r2[0:4], r0[0:12], 0", "operand `dst` is f16, not i16"),
    ("12, 4, 0\n", "12, 4, 1\n", "operand `adc` is 1, but there are 1"),
    ("program 1", "program 2", "operand `weight` is 2, but there are 2"),
    ("r1[0:4], r1[0:4], 0", "r1[0:4], r1[0:4], 1", "operand `table` is 1, but there are 1"),
    ("input 0", "input 5", "operand `border` is 5, but there are 5"),
    ("segment 0", "segment 1", "operand `segment` is 1, but there are 1"),
    ("r1[0:4], %0{4}, %4{1}", "r1[0:4], %0{4}, %12{1}", "reaches constants 12 to 12 of a pool"),
    ("r1[0:4], %0{4}, %4{1}", "r1[0:4], %0{4}, %4+3*i0+4*i1{2}", "constants 4 to 16 of a pool"),
    ("r1[0:4], %0{4}, %4{1}", "r1[0:4], %0{4}, %4-5*i0{1}", "reaches constants -1 to 4"),
    ("r1[0:4], %0{4}, %4{1}", "r1[0:4], %0{3}, %4{1}", "there are 3 constants for 4 elements"),
    ("r1[0:4], %0{4}, %4{1}", "r1[0:4], %0{0}, %4{1}", "holds no constant"),
    ("r2[0:4], %0{1}", "r2[0:4], %1{1}", "reaches constants 1 to 1 of a pool of 1"),
    ("relu r2[0:4], r2[0:4]", "relu r2[0:3], r2[0:4]", "the operands have 3 and 4 elements"),
    ("relu r2[0:4], r2[0:4]", "relu r2[0:3], r2[1:4]", "dst overlaps a source without being it"),
    ("maximum r1[0:4], r0[0:24]", "maximum r1[0:4], r0[0:22]", "not a multiple of dst's 4"),
    ("copy r0[0:4], r1[0:4]", "copy r3[0:4], r1[0:4]", "dst is f16, src i8"),
    ("-1.5, 6.0", "6.5, 6.0", "low 6.5 is above high 6.0"),
    (".buffer i8 32 fill=0", "", "needs a buffer, and the stream has none"),
    ("@0+4*i0{3:4, 4:1}", "@0+5*i0{3:4, 4:1}", "reaches elements 0 to 36 of a buffer of 32"),
    ("@0+4*i0{3:4, 4:1}", "@0-4*i0{3:4, 4:1}", "reaches elements -20 to 11"),
    ("@0+4*i0{3:4, 4:1}", "@0+4*i0{3:4, 4:1, 0:1}", "has a dimension without elements"),
    ("@0+4*i0{3:4, 4:1}", "@0+4*i0{" + "1:0, " * 15 + "3:4, 4:1}", "17 dimensions, more than 16"),
    ("@0+4*i0{3:4, 4:1}", "@0+4*i0{2:4, 4:1}", "the register has 12 elements, the other side 8"),
    # Crossbars.
    ("program 1, 12, 4", "program 1, 249, 4", "ends at row 257"),
    ("program 1, 12, 4", "program 1, 12, 253", "column 257 of a crossbar of 256 rows"),
    ("program 1, 12, 4", "program 1, 11, 3", "overlaps another block of the same crossbar"),
    ("  program 1, 12, 4", "  loop 1\n  program 1, 12, 4\n  end", "stands inside a loop"),
    ("program 1, 12, 4", "program 1, 12, 5", "uses rows 12:20 and columns 4:8 of core 0.12"),
    ("  program 1, 12, 4\n", "", "no block that this stream has programmed before holds"),
    ("r0[0:8], 12, 4, 0", "r0[0:8], 13, 4, 0", "uses rows 13:21"),
    # Registers.
    ("    recv r0[0:4], c0\n", "    recv r1[0:4], c0\n", "elements of register 0 that hold no"),
    ("    recv r0[4:8], c4\n", "", "reads elements of register 0 that hold no value here"),
    ("f16 4 state", "f16 4", "stream 4 `state`: instruction 0 `quantise`: reads elements"),
    (".register 2 f16 4\n  .register 3", ".register 2 f16 4 state\n  .register 3",
     "state register 2 in a parallel loop"),
    ("    send c1, r1[0:12]\n  end\n", "  end\n  send c1, r1[0:12]\n",
     "instruction 2 `send`: reads elements of register 1"),
    ("    recv r0[0:4], c0\n    store @4+4*i0{4:1}, r0[0:4]\n",
     "    store @4+4*i0{4:1}, r0[0:4]\n    recv r0[0:4], c0\n", "register 0 that hold no value"),
    # Buffers.
    ("store @4+4*i0{4:1}", "store @4+3*i0{4:1}", "may store an element of the buffer twice"),
    ("store @4+4*i0{4:1}", "store @4{4:1}", "may store an element of the buffer twice"),
    ("    store @4+4*i0{4:1}, r0[0:4]\n",
     "    store @4+4*i0{4:1}, r0[0:4]\n    store @7+4*i0{1:1}, r0[0:1]\n",
     "instruction 0.2 `store`: may store an element that instruction 0.1 stores"),
    ("  load r0[0:24], @0{24:1}\n", "  load r0[0:24], @0{24:1}\n  store @0{1:1}, r0[0:1]\n",
     "may store an element that instruction 0.1 stores"),
    ("    recv r0[0:4], c0\n    store",
     "    recv r0[0:4], c0\nload r0[0:4], @4+4*i0{4:1}\n    store",
     "instruction 0.1 `load`: may load an element before instruction 0.2 stores it"),
    ("    recv r0[0:4], c0\n    store @4+4*i0{4:1}, r0[0:4]\n",
     "    recv r0[0:4], c0\nload r1[0:4], @4+4*i0{4:1}\ncopy r1[4:8], r1[0:4]\n"
     "copy r0[0:4], r1[4:8]\n    store @4+4*i0{4:1}, r0[0:4]\n",
     "instruction 0.1 `load`: may load an element before instruction 0.4 stores it"),
    # Channels.
    ("send c2, r3[0:4]", "send c4, r3[0:4]", "channel 2 has 0 writers"),
    ("send c5, r1[0:4]", "send c3, r1[0:4]", "channel 3 has 2 writers"),
    ("\n  output 1", "", "border 1 `h` is used 0 times"),
    ("send c1, r1[0:12]", "send c1, r1[0:12]\nsend c1, r1[0:12]",
     "stream 2 `conv`: takes 6 tokens of channel 1, into which stream 1 `window` puts 12"),
    ("send c1, r1[0:12]", "send c1, r1[0:12]\nrecv r1[0:12], c1",
     "stream 1 `window`: both writes and reads channel 1"),
    ("  recv r0[0:4], c4\n.stream", ".stream", "takes 6 tokens of channel 4, into which"),
    (".stream 0", ".channel 8 i8 token=4 capacity=1\n.stream 0", "channel 8 has 0 writers"),
    ("    recv r0[0:12], c1\n", "    recv r0[0:12], c1\nsend c2, r0[0:4]\n", "puts 12"),
    ("    send c5, r1[0:4]\n", "    send c5, r1[0:4]\nsend c8, r1[0:4]\n", "channel` is 8"),
    # Deadlock.
    ("  quantise r2[0:4], r0[0:4]\n  send c4, r2[0:4]\n  loop 6 seq\n",
     "  loop 6 seq\n", "takes 7 tokens of channel 4"),
    ("  recv r0[0:4], c4\n.stream 4", ".stream 4", "takes 6 tokens of channel 4"),
]  # fmt: skip


def test_blocks_of_two_rounds_may_overlap() -> None:
    """All that follows the convolution runs in a round of its own, on the same cells."""
    first, conv, rest = sample.TEXT.partition('"conv"')
    rest = rest.replace("program 1, 12, 4", "program 1, 0, 0").replace("12, 4, 0\n", "0, 0, 0\n")
    names = ("gates", "state", "pool", "hidden", "head", "scores")
    for name in names:
        rest = rest.replace(f'"{name}"', f'"{name}" round=1')
    check(sample.image(first + conv + rest))
    one_round = (first + conv + rest).replace(" round=1", "")
    assert "overlaps another block of the same crossbar and round" in refused(
        sample.image(one_round)
    )


@pytest.mark.parametrize(("text", "damage", "reason"), DAMAGES)
def test_each_damage_is_refused(text: str, damage: str, reason: str) -> None:
    assert text in sample.TEXT
    assert reason in refused(sample.image(sample.TEXT.replace(text, damage, 1)))


def border(position: int, **update: Any) -> Callable[[Image], Image]:
    def change(image: Image) -> Image:
        borders = list(image.manifest.borders)
        borders[position] = borders[position].model_copy(update=update)
        return manifest(borders=tuple(borders))(image)

    return change


def manifest(**update: Any) -> Callable[[Image], Image]:
    return lambda image: dataclasses.replace(
        image, manifest=image.manifest.model_copy(update=update)
    )


def unused(**update: Any) -> Callable[[Image], Image]:
    """With one more input, which nothing reads."""
    port = Port(name="z", dtype="float32", shape=(3,), batch_axis=None).model_copy(update=update)
    return manifest(inputs=(*sample.manifest(False).inputs, port))


def replace(**update: Any) -> Callable[[Image], Image]:
    return lambda image: dataclasses.replace(image, **update)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (manifest(target={}), "target in program"),
        (replace(segments=[]), "the program has 0 ONNX segments but its manifest 1"),
        (manifest(segments=()), "operand `segment` is 0, but there are 0"),
        (manifest(batch=0), "the batch is 0"),
        (manifest(batch=8), "the batch is None here but 8 in the manifest"),
        (manifest(segments=(Segment(inputs=(2,), outputs=(9,)),)), "segment 0 names border 9"),
        (manifest(segments=(Segment(inputs=(), outputs=(3,)),)), "border 2 `pooled` is used 0"),
        (manifest(segments=(Segment(inputs=(2,), outputs=(3, 3)),)), "border 3 `y` is used 2"),
        (manifest(inputs=()), "border 0 `x` names no model input"),
        (manifest(outputs=()), "border 1 `h` names no model output"),
        (manifest(outputs=sample.manifest(False).outputs * 2), "two model outputs have the same"),
        (
            manifest(outputs=(*sample.manifest(False).outputs, sample.manifest(False).inputs[0])),
            "model output `x` crosses no border",
        ),
        (border(1, dtype="float16"), "border 1 `h`: type or shape is not the model's"),
        (border(4, name="h"), "type or shape is not the model's"),
        (border(0, dtype="object"), "border 0 `x`: it is of type object, of which the chip takes"),
        (border(0, dtype="sequence_float32"), "of type sequence_float32 and yet has 3 axes"),
        (border(0, channel=8), "border 0 `x`: channel 8 does not exist"),
        (border(0, shape=(None, None, 4)), "axis 1 has no size and is not the batch axis"),
        (border(0, shape=(None, -6, 4)), "axis 1 has the size -6"),
        (border(0, shape=(8, 6, 4)), "the batch is 8 here but None in the manifest"),
        (border(0, shape=(None, 2**30, 2**30)), "a sample has more than"),
        (border(0, batch_axis=3), "batch axis 3 does not exist in 3 axes"),
        (border(0, scale=1e-60), "border 0 `x`: the scale 1e-60 is no positive number of binary32"),
        (border(0, scale=1e300), "border 0 `x`: the scale 1e+300 is no positive"),
        (border(0, shape=(None, *(1,) * 32)), "there are 33 axes, more than 32"),
        (unused(batch_axis=7), "model input or output `z`: batch axis 7 does not exist in 1 axes"),
        (unused(shape=(3,), batch_axis=0), "the batch is 3 here but None in the manifest"),
        (unused(shape=(3, None)), "axis 1 has no size and is not the batch axis"),
        (unused(dynamic=True), "model input `z`: its shape cannot depend on the data"),
        (border(0, permutation=(0, 2)), "[0, 2] is no permutation of 2 axes"),
        (border(0, permutation=(0, 0)), "[0, 0] is no permutation of 2 axes"),
        (border(0, shape=(None, 6, 5)), "30 elements are no whole number of tokens of 4"),
        (border(0, shape=(None, 0, 4)), "0 elements are no whole number of tokens of 4"),
        (border(2, channel=2), "takes 1 tokens of channel 2"),
        (replace(weights=[]), "the program has 0 weight blocks but declares 2"),
        (replace(constants16=np.full(12, np.inf, np.float16)), "binary16 constant 0 is not finite"),
        (
            replace(constants32=np.array([np.nan], np.float32)),
            "binary32 constant 0 is not finite",
        ),
        (replace(constants16=np.zeros((3, 4), np.float16)), "have 2 axes instead of one"),
        (replace(constants32=np.zeros(1)), "binary32 constants are float64"),
    ],
)
def test_each_damage_of_the_manifest_is_refused(
    change: Callable[[Image], Image], reason: str
) -> None:
    assert reason in refused(change(sample.image()))


@pytest.mark.parametrize(("rows", "fits"), [(256, True), (2838, True), (2839, False)])
def test_a_multiplier_suits_the_rows_of_a_crossbar(rows: int, fits: bool) -> None:
    """So that no conversion leaves 64 bits: of 30 bits for 2,838 rows, as docs/numerics.md says."""
    target = configure(load_target("hermes"), {"crossbar.rows": rows}).target
    image = manifest(target=target_to_data(target))(sample.image())
    check(image)
    large = [dataclasses.replace(adc, multiplier=2**30 - 1) for adc in image.code.adcs]
    image = dataclasses.replace(image, code=dataclasses.replace(image.code, adcs=tuple(large)))
    if fits:
        check(image)
    else:
        assert f"too large for {rows} rows of a crossbar" in refused(image)


def test_a_channel_needs_a_reader() -> None:
    text = sample.TEXT.replace("\n  output 4", "")
    image = manifest(borders=sample.manifest(True).borders[:4], outputs=())(sample.image(text))
    image = manifest(outputs=sample.manifest(True).outputs[:1])(image)
    assert "channel 7 has no reader" in refused(image)


def test_a_stream_moves_a_channel_through_one_border() -> None:
    """Two inputs cannot follow each other in one channel."""
    image = sample.image(sample.TEXT.replace("input 0", "input 0\n  input 5"))
    borders = image.manifest.borders
    shape = (None, 3, 4)
    halves = [borders[0].model_copy(update={"shape": shape}) for _ in range(2)]
    port = image.manifest.inputs[0].model_copy(update={"shape": shape})
    image = manifest(inputs=(port,), borders=(halves[0], *borders[1:], halves[1]))(image)
    assert "moves channel 0 through more than one border" in refused(image)


def test_borders_move_codes_numbers_or_tensors() -> None:
    text = sample.TEXT.replace("channel 0 i8 token=4", "channel 0 i32 token=4")
    text = text.replace(".register 0 i8 4\n", ".register 0 i32 4\n", 1)
    text = text.replace("store @4+4*i0{4:1}, r0[0:4]", "store @4+4*i0{4:1}, r1[0:4]")
    text = text.replace("recv r0[0:4], c0", "recv r0[0:4], c0\nload r1[0:12], @0{12:1}")
    assert "holds i32, not i8, f16 or tensor" in refused(sample.image(text))


def test_wrong_python_types_are_refused() -> None:
    """An image from a backend has not been through the decoder."""
    image = sample.image()

    def with_instr(instr: Instr) -> Image:
        stream = dataclasses.replace(image.code.streams[1], body=(instr,))
        streams = (image.code.streams[0], stream, *image.code.streams[2:])
        return dataclasses.replace(image, code=dataclasses.replace(image.code, streams=streams))

    assert "there is no such instruction" in refused(with_instr(Instr("mul", ())))
    assert "has 1 operands, not 2" in refused(with_instr(Instr("recv", (0,))))
    assert "operand `dst` is a int, not a write" in refused(with_instr(Instr("recv", (0, 0))))
    store = image.code.streams[1].body[0]
    assert isinstance(store, Loop) and isinstance(store.body[1], Instr)
    access = store.body[1].operands[0]
    assert isinstance(access, Access)
    assert "has 1 strides inside 0 loops" in refused(with_instr(store.body[1]))


@given(st.data())
def test_damaged_code_is_refused_or_valid(data: st.DataObject) -> None:
    """Whatever decodes is checked to the end, with no error but `ProgramError`."""
    encoded = bytearray(encode(sample.code()))
    for _ in range(data.draw(st.integers(1, 2))):
        position = data.draw(st.integers(14, len(encoded) - 1))
        encoded[position] = data.draw(st.integers(0, 127))
    try:
        code = decode(bytes(encoded))
        check(dataclasses.replace(sample.image(), code=code))
    except ProgramError as error:
        assert "\n" not in error.message


@given(codes)
def test_random_code_is_refused_or_valid(code: Code) -> None:
    """Integers up to the limit of the encoding do not trouble the checks either."""
    try:
        check(dataclasses.replace(sample.image(), code=code))
    except ProgramError as error:
        assert "\n" not in error.message


def test_messages_hold_no_control_characters() -> None:
    text = sample.TEXT.replace('"conv"', '"a\\n\\u001b[31m"').replace(
        "relu r2[0:4]", "relu r2[0:3]"
    )
    assert "stream 2 `a??[31m`: instruction" in refused(sample.image(text))


def test_time_does_not_depend_on_counts() -> None:
    """A million times a million positions are checked with the work that six take, or little more:
    numbers have more digits."""
    text = sample.TEXT.replace("loop 6\n", "loop 1000000\n").replace(
        "loop 6 seq", "loop 1000000 seq"
    )
    text = text.replace(".buffer i8 32", ".buffer i8 4000008").replace("loop 3\n", "loop 500000\n")
    text = text.replace(".buffer i8 24", ".buffer i8 4000000").replace("@20-4", "@3999996-4")
    base = sample.image(text)
    shape = (None, 1_000_000, 4)
    ports = {port.name: port.model_copy(update={"shape": shape}) for port in base.manifest.outputs}
    image = border(1, shape=shape)(border(0, shape=shape)(base))
    image = manifest(
        inputs=(base.manifest.inputs[0].model_copy(update={"shape": shape}),),
        outputs=(ports["h"], base.manifest.outputs[1]),
    )(image)
    assert work(lambda: check(image)) < 1.5 * work(lambda: check(sample.image()))
