"""The lowering: the schedule of each example is golden/NAME.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.model import Buffer
from anacc_runtime.native import NativeExecutor
from anacc_runtime.native.lower import Lowered, lower
from anacc_runtime.native.operations import RegionKind, TileCall
from anacc_runtime.native.support import Unsupported
from anacc_runtime.reference import Executor
from tests.runtime import examples
from tests.runtime.builder import BRIDGE, I8, Builder, at, i, loop, r
from tests.runtime.convolutions import convolutions
from tests.runtime.schedule_text import schedule_text

GOLDEN = Path(__file__).parent / "golden"


def lowered(image: Image) -> Lowered:
    """The schedule of the only phase of the chip."""
    network = Executor(image).network
    (phase,) = [phase for phase in network.phases if not phase.host]
    return lower(image, network, phase)


@pytest.mark.parametrize("name", ["layer", "windows", "pooling", "concatenation", "recurrence"])
def test_golden(name: str, update_golden: bool) -> None:
    text, path = schedule_text(lowered(examples.ALL[name])), GOLDEN / f"{name}.txt"
    if update_golden:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_convolutions_pass_nothing_through_memory_but_their_codes() -> None:
    """Windows are read where the layer before has written its codes, between the zeros of the
    padding, and partial sums stay in the block at hand."""
    result = lowered(convolutions())
    calls = [op for group in result.schedule.groups for op in group.body]
    tiles = [call for call in calls if isinstance(call, TileCall)]
    first, upper, lower_ = tiles
    kinds = [region.kind for region in result.schedule.regions]
    assert first.codes is not None and first.codes.region == upper.x.region == lower_.x.region
    assert upper.value is not None and lower_.addends == (upper.value,)
    assert kinds[upper.value.region] is RegionKind.LOCAL
    assert [type(call).__name__ for call in calls].count("Gather") == 0


def test_a_schedule_does_not_grow_with_the_batch_or_the_steps() -> None:
    short, long = (lowered(examples.recurrence(steps)) for steps in (5, 50))
    assert len(short.schedule.groups) == len(long.schedule.groups)
    sizes = [
        sum(region.size for region in each.schedule.regions if region.kind is RegionKind.LOCAL)
        for each in (short, long)
    ]
    # Only the state that goes round, `units` codes a step, is kept for all steps.
    assert sizes[1] - sizes[0] < 50 * 4 + 64


def swapped_pairs() -> Image:
    """In each time step a parallel loop stores two tokens and loads them in the other order."""
    b = Builder()
    source, result = b.channel(I8, 1), b.channel(I8, 1)
    b.input("x", source, (None, 6, 1))
    b.stream(
        BRIDGE,
        [(I8, 1), (I8, 1)],
        loop(
            3,
            loop(
                2,
                i("recv", r(0, 1), source),
                i("store", at(0, (2, 1), (1, 1)), r(0, 1)),
                i("load", r(1, 1), at(1, (2, -1), (1, 1))),
                i("send", result, r(1, 1)),
            ),
            sequential=True,
        ),
        buffer=Buffer(I8, 6, 0),
    )
    b.output("y", result, (None, 6, 1))
    return b.image()


def test_the_reference_runs_what_has_no_native_operations() -> None:
    image = swapped_pairs()
    check(image)
    with pytest.raises(Unsupported):
        lowered(image)
    feed = {"x": np.arange(12, dtype=np.float32).reshape(2, 6, 1)}
    expected = feed["x"].reshape(2, 3, 2)[..., ::-1].reshape(2, 6, 1)
    for executor in (Executor(image), NativeExecutor(image)):
        assert executor.run(feed)["y"].tobytes() == expected.tobytes()


def test_a_buffer_is_filled_before_the_first_of_several_channels_is_stored() -> None:
    """Both channels are written right into the padded buffer of their reader, the one that it
    stores last being written first."""
    b = Builder()
    early, late, moved = (b.channel(I8, 1) for _ in range(3))
    result = b.channel(I8, 6)
    first, second = b.channel(I8, 1), b.channel(I8, 1)
    b.input("a", first, (None, 2, 1), scale=0.1)
    b.input("b", second, (None, 2, 1), scale=0.1)
    for source, target in ((first, early), (second, moved), (moved, late)):
        b.stream(BRIDGE, [(I8, 1)], loop(2, i("recv", r(0, 1), source), i("send", target, r(0, 1))))
    b.stream(
        BRIDGE,
        [(I8, 1), (I8, 6)],
        loop(2, i("recv", r(0, 1), late), i("store", at(3, (1,), (1, 1)), r(0, 1))),
        loop(2, i("recv", r(0, 1), early), i("store", at(1, (1,), (1, 1)), r(0, 1))),
        i("load", r(1, 6), at(0, (), (6, 1))),
        i("send", result, r(1, 6)),
        buffer=Buffer(I8, 6, 7),
    )
    b.output("y", result, (None, 6))
    image = b.image()
    check(image)
    feed = {"a": np.array([[[0.1], [0.2]]], np.float32)}
    feed["b"] = np.array([[[0.3], [0.4]]], np.float32)
    for executor in (Executor(image), NativeExecutor(image)):
        assert executor.run(feed)["y"].tolist() == [[7, 1, 2, 3, 4, 7]]
