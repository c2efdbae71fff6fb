"""A small valid program that touches every instruction and every rule, as text and as an image."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from anacc.errors import ProgramError
from anacc.program.assembly import assemble
from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.manifest import FORMAT_VERSION, Border, Manifest, Port, Segment
from anacc.program.model import Code
from anacc.targets import load_target, target_to_data

# A convolution over six positions of four channels; its codes go to a recurrent cell (a cycle of
# two streams) and to a pooling stage whose result a host segment takes on.
TEXT = """\
.anacc 2
.adc 0 phases=4 multiplier=9000000 shift=40 maximum=854
.weight 0 rows=12 columns=4
.weight 1 rows=8 columns=4
.table 0 base=8 entries=3 limit=8.0 odd=yes interpolate=yes
.channel 0 i8 token=4 capacity=4
.channel 1 i8 token=12 capacity=4 route=12,13
.channel 2 i8 token=4 capacity=4
.channel 3 f16 token=4 capacity=4
.channel 4 i8 token=4 capacity=4
.channel 5 f16 token=4 capacity=4
.channel 6 f16 token=4 capacity=4
.channel 7 tensor token=0 capacity=1
.stream 0 host 0.0 "input"
  input 0
.stream 1 bridge 0.0 "window"
  .register 0 i8 4
  .register 1 i8 12
  .buffer i8 32 fill=0
  loop 6
    recv r0[0:4], c0
    store @4+4*i0{4:1}, r0[0:4]
  end
  loop 6
    load r1[0:12], @0+4*i0{3:4, 4:1}
    send c1, r1[0:12]
  end
.stream 2 core 0.12 "conv"
  .register 0 i8 12
  .register 1 i16 4
  .register 2 f16 4
  .register 3 i8 4
  program 0, 0, 0
  loop 2
    loop 3
      recv r0[0:12], c1
      mvm r1[0:4], r0[0:12], 0, 0, 0
      affine r2[0:4], r1[0:4], %0{4}, %4{1}
      relu r2[0:4], r2[0:4]
      clamp r2[0:4], r2[0:4], -1.5, 6.0
      quantise r3[0:4], r2[0:4]
      send c2, r3[0:4]
    end
  end
.stream 3 core 0.12 "gates"
  .register 0 i8 8
  .register 1 i16 4
  .register 2 f16 4
  program 1, 12, 4
  loop 6 seq
    recv r0[0:4], c2
    recv r0[4:8], c4
    mvm r1[0:4], r0[0:8], 12, 4, 0
    scale r2[0:4], r1[0:4], %0{4}
    add r2[0:4], r2[0:4], r2[0:4]
    send c3, r2[0:4]
  end
  recv r0[0:4], c4
.stream 4 gdpu 0.0 "state"
  .register 0 f16 4 state
  .register 1 f16 4
  .register 2 i8 4
  quantise r2[0:4], r0[0:4]
  send c4, r2[0:4]
  loop 6 seq
    recv r1[0:4], c3
    lookup r1[0:4], r1[0:4], 0
    multiply r0[0:4], r0[0:4], r1[0:4]
    quantise r2[0:4], r0[0:4]
    send c4, r2[0:4]
    send c5, r1[0:4]
  end
.stream 5 bridge 0.1 "pool"
  .register 0 i8 24
  .register 1 i8 4
  .register 2 i32 4
  .register 3 f16 4
  .buffer i8 24 fill=-3
  loop 6
    recv r1[0:4], c2
    store @20-4*i0{4:1}, r1[0:4]
  end
  load r0[0:24], @0{24:1}
  maximum r1[0:4], r0[0:24]
  copy r0[0:4], r1[0:4]
  sum r2[0:4], r0[0:24]
  average r3[0:4], r2[0:4], %0{1}
  send c6, r3[0:4]
.stream 6 host 0.0 "hidden"
  output 1
.stream 7 host 0.0 "head"
  segment 0
.stream 8 host 0.0 "scores"
  output 4
"""


def border(
    name: str, channel: int, shape: tuple[int | None, ...], dtype: str = "float32"
) -> Border:
    """A border with the batch first and the other axes in order."""
    return Border(
        name=name,
        channel=channel,
        dtype=dtype,
        shape=shape,
        batch_axis=0,
        permutation=tuple(range(len(shape) - 1)),
        scale=0.5,
    )


def manifest(full: bool) -> Manifest:
    """The sample's manifest; without its target unless `full`, for the container does not care."""

    def port(name: str, *shape: int | None) -> Port:
        return Port(name=name, dtype="float32", shape=shape, batch_axis=0)

    return Manifest(
        format_version=FORMAT_VERSION,
        model="sample",
        model_sha256="0" * 64,
        target=target_to_data(load_target("hermes")) if full else {"chip": 1.5},
        inputs=(port("x", None, 6, 4),),
        outputs=(port("h", None, 6, 4), port("y", None, 2)),
        batch=None,
        borders=(
            border("x", 0, (None, 6, 4)),
            border("h", 5, (None, 6, 4)),
            border("pooled", 6, (None, 4)),
            border("y", 7, (None, 2)),
            border("y", 7, (None, 2)),
        ),
        segments=(Segment(inputs=(2,), outputs=(3,)),),
        options={"calibration": "minmax"},
        provenance={"anacc": "0.1.0"},
    )


@cache
def code() -> Code:
    """The sample's code."""
    return assemble(TEXT)


def image(text: str = TEXT, full: bool = True) -> Image:
    """The sample as an image, with the code of another text if given."""
    rng = np.random.default_rng(5)
    parsed = code() if text == TEXT else assemble(text)
    return Image(
        manifest=manifest(full),
        code=parsed,
        constants16=np.arange(12, dtype=np.float16) / np.float16(8),
        constants32=np.array([1 / 24], np.float32),
        weights=[
            rng.integers(-127, 128, (min(each.rows, 512), min(each.columns, 512))).astype(np.int8)
            for each in parsed.weights
        ],
        segments=[b"onnx"],
        mapping={"tiles": [{"cost": 1, "bound": 1.0}], "warnings": []},
        origin={"streams": [["Conv_0"]], "weights": []},
    )


def refused(image: Image) -> str:
    """The sentence with which an image is refused."""
    with pytest.raises(ProgramError) as caught:
        check(image)
    assert "\n" not in caught.value.message
    return caught.value.message
