"""Streams that wait for each other: which cycles are refused."""

from __future__ import annotations

import dataclasses

import pytest

from anacc.program.manifest import Segment
from tests.program import sample
from tests.program.sample import refused

LOOP = """\
  loop 6 seq
    recv r0[0:4], c2
    recv r0[4:8], c4
"""
STATE = """\
  quantise r2[0:4], r0[0:4]
  send c4, r2[0:4]
  loop 6 seq
    recv r1[0:4], c3
"""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # The cell waits for its own first output: nobody sends before the loop.
        ([("  quantise r2[0:4], r0[0:4]\n  send c4, r2[0:4]\n", ""),
          ("    end\n", "    end\n"), ("  recv r0[0:4], c4\n.stream", ".stream")],
         "waits for ever for a token of channel"),
        # The order within an iteration is what matters, not the counts.
        ([(STATE, "  loop 6 seq\n    recv r1[0:4], c3\n"),
          ("    send c5, r1[0:4]\n  end\n",
           "    send c5, r1[0:4]\n  end\n  quantise r2[0:4], r0[0:4]\n  send c4, r2[0:4]\n")],
         "waits for ever for a token of channel"),
        ([(LOOP, LOOP.replace(" seq", ""))], "a parallel loop moves tokens of a cycle"),
        ([(LOOP, LOOP.replace("    recv r0[4", "    loop 1 seq\n    recv r0[4") + "    end\n")],
         "a nested loop moves tokens of a cycle"),
        ([("  recv r0[0:4], c4\n.stream", "  loop 1 seq\n  recv r0[0:4], c4\n  end\n.stream")],
         "two loops move tokens of a cycle"),
        ([(STATE, STATE.replace("loop 6", "loop 3") + "    recv r1[0:4], c3\n"),
          ("    quantise r2[0:4], r0[0:4]\n    send c4, r2[0:4]\n    send c5, r1[0:4]\n",
           2 * "    quantise r2[0:4], r0[0:4]\n    send c4, r2[0:4]\n    send c5, r1[0:4]\n")],
         "iterations, another of the same cycle"),
        # Balanced as a whole, but not in each iteration.
        ([("    send c4, r2[0:4]\n", ""), ("  end\n.stream 5", "  end\n"
           + 6 * "  send c4, r2[0:4]\n" + ".stream 5"),
          (STATE, STATE.replace("  send c4", "  copy r2[0:4], r2[0:4]\n  send c4"))],
         "an iteration takes 1 tokens of channel 4, but one of its writer puts in 0"),
    ],
)  # fmt: skip
def test_streams_that_wait_for_each_other(changes: list[tuple[str, str]], reason: str) -> None:
    text = sample.TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    assert reason in refused(sample.image(text))


def test_a_host_stream_in_a_cycle() -> None:
    """A segment whose output comes back as its input."""
    base = sample.image()
    borders = list(base.manifest.borders)
    borders[2] = sample.border("pooled", 4, (None, 4))
    borders.append(sample.border("back", 2, (None, 4)))
    text = """\
.anacc 2
.channel 0 i8 token=4 capacity=1
.channel 1 i8 token=4 capacity=1
.stream 0 host 0.0 "segment"
  segment 0
.stream 1 bridge 0.0 "loop"
  .register 0 i8 4
  recv r0[0:4], c0
  send c1, r0[0:4]
"""
    manifest = base.manifest.model_copy(
        update={
            "borders": (sample.border("a", 1, (None, 4)), sample.border("b", 0, (None, 4))),
            "segments": (Segment(inputs=(0,), outputs=(1,)),),
            "outputs": (),
        }
    )
    image = dataclasses.replace(sample.image(text), manifest=manifest)
    assert "a host stream is part of a cycle" in refused(image)
